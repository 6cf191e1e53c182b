"""What people paste from overviews of Keras's recurrent layers, with only the name changed."""

import numpy as np
import pytest

from gpulayers.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    Dense,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    TimeDistributed,
)
from gpulayers.models import Sequential

MODELS = {
    "LSTM": (lambda: [LSTM(50, input_shape=(10, 64), return_sequences=True), LSTM(20)], (20,)),
    "LSTMCell": (lambda: [RNN(LSTMCell(50), input_shape=(10, 64))], (50,)),
    "GRU": (lambda: [GRU(50, input_shape=(10, 64), return_sequences=True), GRU(20)], (20,)),
    "GRUCell": (lambda: [RNN(GRUCell(50), input_shape=(10, 64))], (50,)),
    "SimpleRNN": (
        lambda: [SimpleRNN(50, input_shape=(10, 64), return_sequences=True), SimpleRNN(20)],
        (20,),
    ),
    "TimeDistributed": (
        lambda: [TimeDistributed(Dense(64), input_shape=(10, 64)), LSTM(50)],
        (50,),
    ),
    "Bidirectional": (
        lambda: [
            Bidirectional(LSTM(50, return_sequences=True), input_shape=(10, 64)),
            LSTM(20),
        ],
        (20,),
    ),
    "SimpleRNNCell": (lambda: [RNN(SimpleRNNCell(50), input_shape=(10, 64))], (50,)),
    "stacked": (
        lambda: [RNN([SimpleRNNCell(50), SimpleRNNCell(30)], input_shape=(10, 64))],
        (30,),
    ),
}
FILMS = {
    "ConvLSTM1D": (ConvLSTM1D, 3, (10, 64, 1), (60, 16)),
    "ConvLSTM2D": (ConvLSTM2D, (3, 3), (10, 64, 64, 1), (60, 60, 16)),
    "ConvLSTM3D": (ConvLSTM3D, (3, 3, 3), (10, 64, 64, 64, 1), (60, 60, 60, 16)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:.*input_shape")
def test_models_of_series(name):
    make, shape = MODELS[name]
    model = Sequential(make())
    assert model.output_shape == (None, *shape)
    x = np.random.default_rng(0).normal(size=(2, 10, 64)).astype("float32")
    assert model(x).shape == (2, *shape)


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.filterwarnings("ignore:.*input_shape")
def test_models_of_films(name):
    layer, size, shape, end = FILMS[name]
    model = Sequential(
        [
            layer(filters=32, kernel_size=size, input_shape=shape, return_sequences=True),
            layer(filters=16, kernel_size=size),
        ]
    )
    assert model.output_shape == (None, *end)
    first = model.layers[0]
    assert first.compute_output_shape((None, *shape)) == (None, 10, *(n + 2 for n in end[:-1]), 32)


def test_a_layer_is_no_cell():
    """As in Keras: the overview's base class takes a cell, and a number is none."""

    class CustomRNNCell(RNN):
        def __init__(self, units, **kwargs):
            super(CustomRNNCell, self).__init__(units, **kwargs)  # noqa: UP008

    with pytest.raises(ValueError, match="a cell must have `call`, got 50"):
        RNN(CustomRNNCell(50), input_shape=(10, 64))


@pytest.mark.filterwarnings("ignore:.*input_shape")
def test_a_model_that_forecasts(capsys):
    input_shape = (10, 64)
    model = Sequential(
        [LSTM(50, return_sequences=True, input_shape=input_shape), LSTM(20), Dense(1)]
    )
    model.compile(optimizer="adam", loss="mean_squared_error")
    x = np.random.default_rng(0).normal(size=(64, 10, 64)).astype("float32")
    y = x[:, -1, :3].sum(axis=1, keepdims=True)
    losses = model.fit(x, y, epochs=10, verbose=1).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    model.summary()
    assert "Trainable params: 28,701" in capsys.readouterr().out
