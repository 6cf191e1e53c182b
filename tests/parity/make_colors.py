"""Records what layers of colours of Keras 3.15 make of images, into tests/parity/golden.

    pip install keras==3.15.1 jax
    PYTHONPATH=tests python -m parity.make_colors

On NumPy. What is drawn for the images is given: see `color_cases`.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "numpy")

import keras
import numpy as np
from parity.color_cases import color_cases
from parity.packing import Pack

GOLDEN = Path(__file__).parent / "golden"


def drawn_as_keras_has_it(layer, images, drawn):
    """Rectangles by their pixels, and colours for each of them."""
    drawn = dict(drawn)
    if "boxes" in drawn:
        masks = layer._generate_batch_mask(images.shape, drawn.pop("boxes"))
        drawn["batch_masks"] = masks[0] if isinstance(masks, tuple) else masks
    if "fill_value" in drawn:
        drawn["fill_value"] = np.full(images.shape, drawn["fill_value"], "float32")
    return drawn


def record() -> None:
    pack, cases = Pack(), {}
    for case in color_cases():
        layer = getattr(keras.layers, case.layer)(**case.options)
        drawn = drawn_as_keras_has_it(layer, case.images, case.drawn)
        out = np.asarray(layer.transform_images(case.images.copy(), drawn, training=True))
        cases[case.key] = pack.encode(out)
    pack.write(GOLDEN, "colors", {"keras": keras.__version__, "cases": cases})


if __name__ == "__main__":
    record()
