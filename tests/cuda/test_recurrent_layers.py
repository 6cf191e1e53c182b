"""Recurrent layers on the GPU are those on the CPU, and their steps can be captured."""

from __future__ import annotations

import numpy as np
import pytest
from capture_checks import check_same, runs_of

from gpulayers import config, layers, ops, random
from gpulayers.arrays import Tape, plain
from gpulayers.cuda import recurrent_scan
from gpulayers.layers import convolutional_recurrent
from gpulayers.ops import over_time

RANDOM = np.random.default_rng(0)
SERIES = RANDOM.normal(size=(3, 4, 5)).astype("float32")
FILMS = RANDOM.normal(size=(2, 3, 5, 4, 3)).astype("float32")
MASK = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [1, 0, 1, 1]], dtype=bool)


class Own(layers.Layer):
    """A user's cell."""

    state_size = 6
    noisy = False

    def build(self, shape):
        self.kernel = self.add_weight((shape[-1] + 6, 6))
        self.seed = random.SeedGenerator(1)

    def call(self, inputs, states):
        if self.noisy:
            inputs = inputs + random.normal(inputs.shape, seed=self.seed, like=inputs)
        new = ops.tanh(ops.concatenate([inputs, states[0]], axis=-1) @ self.kernel)
        return new, [new]


class Noisy(Own):
    noisy = True


LAYERS = {
    "own": (lambda: layers.RNN(Own(), return_sequences=True), SERIES, MASK),
    "SimpleRNN": (lambda: layers.SimpleRNN(6, return_sequences=True), SERIES, MASK),
    "LSTM": (lambda: layers.LSTM(6, return_sequences=True), SERIES, MASK),
    "GRU": (lambda: layers.GRU(6, return_sequences=True), SERIES, MASK),
    "GRU, reset before": (lambda: layers.GRU(6, reset_after=False), SERIES, None),
    "backwards": (lambda: layers.LSTM(6, go_backwards=True), SERIES, MASK),
    "Bidirectional": (lambda: layers.Bidirectional(layers.LSTM(6)), SERIES, MASK),
    "Bidirectional, all": (
        lambda: layers.Bidirectional(layers.GRU(6, return_sequences=True)), SERIES, MASK,
    ),
    "ConvLSTM2D": (
        lambda: layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True), FILMS, None,
    ),
    "ConvLSTM2D, channels first": (
        lambda: layers.ConvLSTM2D(4, 3, data_format="channels_first"), FILMS.swapaxes(2, 4), None,
    ),
}  # fmt: skip


@pytest.fixture(params=[over_time.KEPT, 0], ids=["whole", "again"])
def kept(request, monkeypatch):
    """Whether steps are kept, or computed again for the gradient."""
    monkeypatch.setattr(over_time, "KEPT", request.param)
    monkeypatch.setattr(convolutional_recurrent, "KEPT", request.param)


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_as_on_the_cpu(cupy, name, kept):
    make, x, mask = LAYERS[name]
    found = []
    config.set_device("cpu")
    layer = make()
    layer(x)
    weights = layer.get_weights()
    for device in ("cpu", "gpu"):
        config.set_device(device)
        one = make()
        there = (lambda a: a) if device == "cpu" else cupy.asarray
        given = there(np.ascontiguousarray(x))
        one(given)
        one.set_weights(weights)
        with Tape() as tape:
            watched = tape.watch(given)
            out = one(watched, mask=None if mask is None else there(mask))
        y = plain(out)
        g = there(np.cos(np.arange(y.size)).reshape(y.shape).astype("float32"))
        grads = tape.gradient(out, [watched, *one.trainable_weights], g)
        arrays = [y, *grads]
        assert all(type(a) is type(given) for a in arrays)
        found.append([a if device == "cpu" else a.get() for a in arrays])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("way", ["steps", *recurrent_scan.MOST])
@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LSTM(6),
        lambda: layers.GRU(6, reset_after=False),
        lambda: layers.Bidirectional(layers.GRU(6)),
    ],
    ids=["LSTM", "GRU", "Bidirectional"],
)
def test_captured_steps(cupy, same_products, monkeypatch, make, way):
    most = {} if way == "steps" else {way: {4: 64}}
    monkeypatch.setattr(recurrent_scan, "MOST", most)
    model = check_same(cupy, lambda: [layers.Reshape((4, 2)), make()])
    assert runs_of(model)["train"] == 9


@pytest.mark.parametrize("cell", [Own, Noisy, lambda: layers.LSTMCell(6, recurrent_dropout=0.3)])
def test_captured_steps_of_any_cell(cupy, same_products, kept, cell):
    """Random numbers of the steps themselves are counted by the capture: such steps are kept."""
    model = check_same(cupy, lambda: [layers.Reshape((8, 1)), layers.RNN(cell())])
    assert runs_of(model)["train"] == 9


def test_half_precision_in_segments(cupy, monkeypatch):
    x, found = cupy.asarray(SERIES.astype("float16")), []
    layer = layers.RNN(Own(dtype="mixed_float16"), dtype="mixed_float16")
    layer(x)
    for most in (over_time.KEPT, 0):
        monkeypatch.setattr(over_time, "KEPT", most)
        with Tape() as tape:
            out = layer(x)
        assert out.dtype == "float16"
        found.append(tape.gradient(out, layer.cell.kernel).get())
    assert found[0].dtype == "float32"
    np.testing.assert_allclose(*found, rtol=2e-3, atol=2e-3)
