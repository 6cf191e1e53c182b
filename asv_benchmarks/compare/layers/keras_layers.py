"""Layers beside the same ones of Keras on its NumPy backend."""

from __future__ import annotations

import os
from functools import partial

from .beside_torch import table

# (layer, options, shape of its inputs, whether it is told that it is being trained)
CASES = (
    ("Conv2D", {"filters": 64, "kernel_size": 3, "padding": "same"}, (8, 56, 56, 64), None),
    ("Conv2D", {"filters": 256, "kernel_size": 3, "padding": "same"}, (8, 14, 14, 256), None),
    ("Conv2D", {"filters": 512, "kernel_size": 3, "padding": "same"}, (8, 7, 7, 512), None),
    ("Conv2D", {"filters": 64, "kernel_size": 7, "strides": 2}, (8, 224, 224, 3), None),
    ("Conv2D", {"filters": 64, "kernel_size": 1}, (8, 56, 56, 256), None),
    ("Conv1D", {"filters": 64, "kernel_size": 5, "padding": "causal"}, (16, 1000, 32), None),
    ("Conv3D", {"filters": 16, "kernel_size": 3}, (2, 16, 32, 32, 8), None),
    ("Conv2DTranspose", {"filters": 32, "kernel_size": 3, "strides": 2}, (8, 28, 28, 64), None),
    ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same"}, (8, 112, 112, 32), None),
    ("SeparableConv2D", {"filters": 64, "kernel_size": 3}, (8, 56, 56, 64), None),
    ("MaxPooling2D", {"pool_size": 2}, (8, 112, 112, 64), None),
    ("MaxPooling2D", {"pool_size": 3, "strides": 2}, (8, 112, 112, 64), None),
    ("AveragePooling2D", {"pool_size": 2}, (8, 112, 112, 64), None),
    ("GlobalAveragePooling2D", {}, (32, 7, 7, 512), None),
    ("GlobalMaxPooling2D", {}, (32, 7, 7, 512), None),
    ("AdaptiveAveragePooling2D", {"output_size": 7}, (8, 56, 56, 64), None),
    ("BatchNormalization", {}, (8, 56, 56, 64), True),
    ("BatchNormalization", {}, (8, 56, 56, 64), False),
    ("LayerNormalization", {}, (4096, 1024), None),
    ("LayerNormalization", {}, (32, 64), None),
    ("GroupNormalization", {"groups": 8}, (8, 56, 56, 64), None),
    ("RMSNormalization", {}, (4096, 1024), None),
    ("UnitNormalization", {}, (4096, 1024), None),
)


def both(name, options, shape, training):
    """Two calls of a layer with the same weights."""
    import keras
    import numpy as np

    from gpulayers import layers

    assert keras.backend.backend() == "numpy"
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    theirs, ours = (getattr(of, name)(**options) for of in (keras.layers, layers))
    told = {} if training is None else {"training": training}
    theirs.build(shape), ours.build(shape)
    ours.set_weights(theirs.get_weights())
    return (lambda: [np.asarray(theirs(x, **told))]), (lambda: [ours(x, **told)])


def cases():
    """What is compared: a name, and what makes both functions."""
    os.environ["KERAS_BACKEND"] = "numpy"
    for name, options, shape, training in CASES:
        words = ", ".join(f"{key}={value!r}" for key, value in options.items())
        how = {None: "", True: ", in training", False: ", in inference"}[training]
        yield f"{name}({words}){how}: {shape}", partial(both, name, options, shape, training)


if __name__ == "__main__":
    table(__doc__, cases, "Keras")
