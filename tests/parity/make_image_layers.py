"""Records what image layers of Keras 3.15 make of given draws, into tests/parity/golden.

    pip install keras==3.15.1 jax
    PYTHONPATH=tests python -m parity.make_image_layers

JAX, for it has all interpolations and modes.
"""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
from parity.image_layer_cases import box_calls, layer_calls
from parity.packing import Pack

GOLDEN = Path(__file__).parent / "golden"


def _plain(value):
    """Arrays of JAX as NumPy's; formats as dicts of floats."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return np.asarray(value)


def _as_jax(value):
    return jax.tree.map(lambda x: jax.numpy.asarray(x) if isinstance(x, np.ndarray) else x, value)


def record() -> None:
    pack, cases = Pack(), {}
    for call in layer_calls():
        layer = getattr(keras.layers, call.layer)(**call.options)
        method = getattr(layer, f"transform_{call.method}")
        out = method(_as_jax(deepcopy(call.value)), _as_jax(call.drawn))
        cases[call.key] = {"out": pack.encode(_plain(out))}
    for call in box_calls():
        function = getattr(keras.utils.bounding_boxes, call.function)
        out = function(*_as_jax(call.arguments), **call.options)
        cases[f"{call.function}-{call.key}"] = {"out": pack.encode(_plain(out))}
    pack.write(GOLDEN, "image_layers", {"keras": keras.__version__, "cases": cases})


if __name__ == "__main__":
    record()
