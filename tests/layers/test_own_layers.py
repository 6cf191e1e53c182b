"""Layers of one's own, as Keras's guides write them."""

from __future__ import annotations

import numpy as np
import pytest

import gpulayers as gl
from gpulayers.arrays import get_mask, set_mask
from gpulayers.layers import Dense, Embedding, Layer


def test_a_mask_of_ones_own_needs_no_further_word():
    """Tokens and their places, as in Keras's guides, for sequences of any length."""

    class Positions(Layer):
        def __init__(self, length, size):
            super().__init__()
            self.tokens, self.places = Embedding(20, size), Embedding(length, size)

        def call(self, inputs):
            length = gl.ops.shape(inputs)[-1]
            return self.tokens(inputs) + self.places(gl.ops.arange(0, length, 1))

        def compute_mask(self, inputs, mask=None):
            return gl.ops.not_equal(inputs, 0)

    ids = np.array([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0], [4, 5, 6, 7, 8]])
    inputs = gl.Input((None,), dtype="int32")
    hidden = Positions(10, 6)(inputs)
    assert hidden.shape == (None, None, 6)
    attention, last = gl.layers.MultiHeadAttention(2, 3), gl.layers.LSTM(4)
    model = gl.Model(inputs, [attention(hidden, hidden), last(hidden)])
    x, mask = model.layers[1](ids), ids != 0
    np.testing.assert_array_equal(get_mask(x), mask)
    masked = np.array(x)
    set_mask(masked, mask)
    expected = attention(masked, masked), last(np.array(x), mask=mask)
    for outputs in (model(ids), model.predict(ids, verbose=0)):
        for y, e in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(y, e, rtol=1e-5, atol=1e-6)


def test_tables_may_be_shorter_than_the_sizes_that_are_tried():
    class Places(Layer):
        def build(self, input_shape):
            self.table = self.add_weight((100, input_shape[-1]), name="table")

        def call(self, inputs):
            return inputs + self.table[: inputs.shape[1]]

    x = gl.Input((None, 3))
    assert Places()(x).shape == (None, None, 3)


def test_a_forgotten_super_init_is_named():
    class Forgetful(Layer):
        def __init__(self):
            self.inner = Dense(2)

        def call(self, inputs):
            return self.inner(inputs)

    class Weighty(Layer):
        def __init__(self):
            self.weight = self.add_weight((2,))

    for act in (lambda: Forgetful()(np.ones((2, 3), "float32")), Weighty):
        with pytest.raises(RuntimeError, match=r"__init__ must call super\(\).__init__\(\)"):
            act()
    with pytest.raises(ValueError, match=r"needs whole sizes, got shape \(-1,\)"):
        Layer().add_weight((-1,))


def test_errors_say_which_size_stands_for_an_unknown_one():
    with pytest.raises(ValueError, match="480") as caught:
        gl.ops.matmul(gl.Input((3,)), gl.Input((4,)))
    assert "480 stands for a size that is not known yet (None)." in caught.value.__notes__
