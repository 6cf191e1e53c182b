"""Records what recurrent layers give in Keras 3.15, into tests/parity/golden.

    pip install keras==3.15.1 tensorflow
    PYTHONPATH=tests python -m parity.make_recurrent

Each of `recurrent_cases` keeps its outputs and states, and the gradients of the sum of them, times
cosines, for the inputs, the initial states and the weights.  Keras runs on TensorFlow: it fails on
JAX for masks of films, on PyTorch for those of unrolled layers that go backwards.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree
from parity.packing import record
from parity.recurrent_cases import cotangent, recurrent_cases

GOLDEN = Path(__file__).parent / "golden"


def give_masks(cell, drops) -> None:
    """Let a cell drop by these masks of inputs and states; by a list where there are several."""
    for name, masks in zip(("_dropout_mask", "_recurrent_dropout_mask"), drops, strict=True):
        if masks:
            several = len(masks) > 1 or getattr(cell, "dropout_mask_count", None)
            masks = [ops.convert_to_tensor(mask) for mask in masks]
            object.__setattr__(cell, name, masks if several else masks[0])


def outputs_of(layer, case, x, mask, states, drops, weights):
    """The outputs and states of all calls, in one list."""
    given = {"initial_state": states} if states else {}
    kept = tree.flatten(getattr(layer, "states", None) or []) if case.calls > 1 else []
    values, found = [ops.zeros(v.shape) for v in kept], []
    for call, piece in enumerate(case.pieces()):
        if mask is not None:
            given["mask"] = ops.convert_to_tensor(mask[:, piece])
        if drops:
            give_masks(layer.cell, drops)
        if call == case.calls - 1:
            values = [ops.zeros(v.shape) for v in kept]
        pairs = [*zip(layer.trainable_variables, weights, strict=True), *zip(kept, values)]
        with keras.StatelessScope(pairs) as scope:
            found += tree.flatten(layer(x[:, piece], training=bool(drops), **given))
            values = [ops.stop_gradient(scope.get_current_value(v)) for v in kept]
    return found


def recorded(case):
    """The outputs and states of a case, and the gradients."""
    layer = case.make(keras.layers)
    layer(np.zeros((case.shape[0], case.pieces()[0].stop, *case.shape[2:]), "float32"))
    shapes = [weight.shape for weight in layer.trainable_weights]
    x, mask, states, drops, weights = case.arrays(shapes)

    def total(x, states, weights):
        found = outputs_of(layer, case, x, mask, states, drops, weights)
        return sum(ops.sum(y * cotangent(y.shape, i)) for i, y in enumerate(found)), found

    gradients, found = slope(total, [x, states, weights])
    return [np.asarray(y) for y in found], [np.asarray(g) for g in tree.flatten(gradients)]


def slope(function, arrays):
    """The gradients of a function that gives (a number, something more), and what it gives more."""
    arrays = tree.map_structure(tf.constant, arrays)
    with tf.GradientTape() as tape:
        tape.watch(tree.flatten(arrays))
        total, found = function(*arrays)
    return tape.gradient(total, tree.flatten(arrays)), found


if __name__ == "__main__":
    record(GOLDEN, "recurrent", keras.__version__, recurrent_cases(), recorded)
