"""Recurrent layers that compute segments of sequences again for the gradient."""

import numpy as np
import pytest
from recurrent_layers import MASK, Leaky, X

import gpulayers as gl
from gpulayers import layers
from gpulayers.arrays import Tape, plain

SEGMENTED = [
    (layers.SimpleRNN(3), X),
    (layers.LSTM(3, return_sequences=True), X),
    (layers.LSTM(3, return_sequences=True, go_backwards=True, zero_output_for_mask=True), X),
    (layers.LSTM(3, return_sequences=True, unroll=True), X),
    (layers.LSTM(3, dropout=0.4, seed=1), X),
    (layers.GRU(3, return_sequences=True, recurrent_dropout=0.4, seed=1), X),
    (layers.GRU(3, reset_after=False, return_sequences=True), X),
    (layers.RNN([layers.GRUCell(3), Leaky(4), layers.LSTMCell(2, dropout=0.3, seed=1)]), X),
    (layers.Bidirectional(layers.GRU(2, return_sequences=True)), X),
    (layers.ConvLSTM1D(2, 2, dropout=0.3, recurrent_dropout=0.3, seed=1), X[..., None]),
]


@pytest.mark.parametrize(("layer", "x"), SEGMENTED, ids=lambda a: getattr(a, "name", ""))
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("steps", [1, 2, "auto"])
def test_segments_change_nothing(layer, x, mask, steps, monkeypatch):
    """What is computed again for the gradient has the same dropout, too."""
    layer(x)
    seeds = [v for v in layer.variables if "seed" in v.path]
    first, found = [v.numpy() for v in seeds], []
    for length in ("whole", steps):
        for variable, value in zip(seeds, first, strict=True):
            variable.assign(value)
        gl.config.set_recurrent_segment(length)
        try:
            with Tape() as tape:
                watched = tape.watch(x)
                out = layer(watched, mask=mask, training=True)
            weights = [watched, *layer.trainable_weights]
            found.append([plain(out), *tape.gradient(out * out, weights)])
        finally:
            gl.config.set_recurrent_segment(None)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_segments_are_chosen_by_number():
    assert gl.config.recurrent_segment() is None
    for wrong in (0, -1, 2.5, "all", True):
        with pytest.raises(ValueError, match="set_recurrent_segment: expected"):
            gl.config.set_recurrent_segment(wrong)
