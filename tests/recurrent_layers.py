"""What tests of recurrent layers need: series, masks, cells."""

from __future__ import annotations

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers, ops, registry
from gpulayers.arrays import Tape, plain, set_mask

X = np.random.default_rng(4).normal(size=(3, 5, 4)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [1, 0, 1, 1, 0]], dtype=bool)
CELLS = [
    (layers.SimpleRNN, layers.SimpleRNNCell, {}),
    (layers.LSTM, layers.LSTMCell, {}),
    (layers.GRU, layers.GRUCell, {}),
    (layers.GRU, layers.GRUCell, {"reset_after": False}),
]
EVERY_CELL = pytest.mark.parametrize(("layer", "cell", "options"), CELLS)


def masked(x, mask):
    """A copy of `x` that bears a mask."""
    x = np.array(x)
    set_mask(x, mask)
    return x


def outputs_and_gradients(layer, x, mask=None, **options):
    """What a layer that gives its states gives, and the gradients of all that."""
    with Tape() as tape:
        watched = tape.watch(x)
        out = layer(watched, mask=mask, **options)
        loss = ops.sum(out[0] ** 2) + sum(ops.sum(s) for s in out[1:])
    grads = tape.gradient(loss, [watched, *layer.trainable_weights])
    return [*map(plain, out), *grads]


@registry.register_keras_serializable("test_recurrent")
class Leaky(layers.Layer):
    """A user's own cell, in array API."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, shape):
        self.kernel = self.add_weight((shape[-1] + self.units, self.units))

    def call(self, inputs, states):
        xp = gl.namespace(inputs)
        new = xp.tanh(xp.concat([inputs, states[0]], axis=-1) @ self.kernel.value)
        new = 0.5 * states[0] + 0.5 * new
        return new, [new]
