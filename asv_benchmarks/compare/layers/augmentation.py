"""Layers that augment images beside Keras's, on the CPU.

KERAS_BACKEND says what Keras computes with, "numpy" by default, "torch" or "jax".  Both change the
same 16 images of 224 x 224 pixels as the same numbers say, and results are compared first; layers
that draw are called as they are.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")

from .beside_torch import table

COUNT, SIZE = 16, 224
FIVE = (
    ("RandomFlip", {}),
    ("RandomRotation", {"factor": 0.1}),
    ("RandomZoom", {"height_factor": 0.2}),
    ("RandomContrast", {"factor": 0.5}),
    ("RandomBrightness", {"factor": 0.2}),
)
WHOLE = (
    (" of noise", "RandomErasing", {}),
    (", in one colour", "RandomErasing", {"fill_value": 0.0}),
    ("", "CutMix", {}),
    ("", "RandomColorJitter", dict.fromkeys(
        ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor"), 0.5)),
    ("", "RandAugment", {}),
    ("", "AugMix", {}),
)  # fmt: skip
CLAHE = "ContrastLimitedAdaptiveHistogramEqualization"


def cases():
    """A name, and what makes both functions."""
    import numpy as np

    x = np.random.default_rng(0).uniform(0, 255, (COUNT, SIZE, SIZE, 3)).astype("float32")
    part = np.linspace(0.1, 0.9, COUNT, dtype=np.float32)
    each = part.reshape(-1, 1, 1, 1)
    order, chosen = np.roll(np.arange(COUNT), 3), np.arange(COUNT) % 2 == 0
    blur = {"should_apply_blur": chosen, "blur_factor": np.array([0.8, 0.5], np.float32)}
    mixed = {"mix_weight": part, "permutation_order": order}
    for name, options, drawn in (
        ("RandomBrightness", {"factor": 0.5}, {"rgb_delta": 100 * each - 50}),
        ("RandomContrast", {"factor": 0.5}, {"contrast_factor": 0.5 + each}),
        ("RandomColorDegeneration", {"factor": 0.5}, {"factor": each}),
        ("RandomGrayscale", {}, chosen.reshape(-1, 1, 1, 1)),
        ("RandomInvert", {}, {"apply_inversion": chosen}),
        ("RandomSaturation", {"factor": 0.5}, {"factor": part}),
        ("RandomHue", {"factor": 0.5}, {"factor": part - np.float32(0.5)}),
        ("RandomSharpness", {"factor": 0.5}, {"factor": part}),
        ("RandomGaussianBlur", {"kernel_size": 5}, blur),
        ("RandomPosterization", {"factor": 4}, {"shift_factor": (8 * part).astype(np.uint8)}),
        ("Solarization", {}, {"additions": 50 * each, "thresholds": 200 * each}),
        ("AutoContrast", {}, {}),
        ("Equalization", {}, {}),
        (CLAHE, {}, {}),
        ("MixUp", {}, mixed),
    ):
        yield name, lambda a=(name, options, x, drawn): both(*a)
    for kind, name, options in WHOLE:
        yield f"{name}, drawing{kind}", lambda a=(name, options, x): called(*a)
    for kind in ("float32", "uint8"):
        yield f"Five layers, {kind}", lambda kind=kind: in_a_row(x.astype(kind))


def called(name, options, x):
    """Calls of Keras's layer and of ours, which draw what they do; nothing is compared."""
    import keras
    import numpy as np

    theirs, ours = getattr(keras.layers, name)(**options), getattr(layers(), name)(**options)
    return timed(
        lambda: keras.ops.convert_to_numpy(theirs(x, training=True)),
        lambda: np.asarray(ours(x, training=True)),
    )


def in_a_row(x):
    """Five of Keras's layers one after another, and a pipeline of ours."""
    import keras
    import numpy as np

    def all_of(module):
        return [getattr(module, name)(**options) for name, options in FIVE]

    theirs, ours = all_of(keras.layers), layers().Pipeline(all_of(layers()))

    def one_after_another():
        y = x
        for layer in theirs:
            y = layer(y, training=True)
        return keras.ops.convert_to_numpy(y)

    return timed(one_after_another, lambda: np.asarray(ours(x, training=True)))


def timed(theirs, ours):
    """Functions of which only shape and dtype of results are compared."""
    a, b = theirs(), ours()
    assert a.shape == b.shape and a.dtype == b.dtype

    def nothing_of(function):
        def run():
            function()
            return []

        return run

    return nothing_of(theirs), nothing_of(ours)


def layers():
    from gpulayers import layers

    return layers


def both(name, options, x, drawn):
    """Keras's layer and ours, as functions that give what they make of images."""
    import keras
    import numpy as np

    theirs, ours = getattr(keras.layers, name)(**options), getattr(layers(), name)(**options)
    there = keras.tree.map_structure(keras.ops.convert_to_tensor, (x, drawn))

    def made_there():
        return [keras.ops.convert_to_numpy(theirs.transform_images(*there, training=True))]

    def made_here():
        return [np.asarray(ours.transform_images(x, drawn))]

    return made_there, made_here


if __name__ == "__main__":
    table(__doc__, cases, f"Keras ({os.environ['KERAS_BACKEND']})")
