"""Recurrent layers: cells of users, masks, states between batches, dropout."""

import time

import numpy as np
import pytest
from recurrent_layers import EVERY_CELL, MASK, Leaky, X, masked, outputs_and_gradients

import gpulayers as gl
from gpulayers import Sequential, layers
from gpulayers.arrays import Tape, get_mask, plain

RANDOM = np.random.default_rng(4)


@EVERY_CELL
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("further", [{}, {"go_backwards": True}, {"zero_output_for_mask": True}])
def test_all_steps_at_once_are_one_after_the_other(layer, cell, options, mask, further):
    class Own(cell):
        """A subclass, which has no operation for whole sequences."""

    shared = {"return_sequences": True, "return_state": True, **further}
    fast = layer(3, bias_initializer="glorot_normal", **options, **shared)
    slow = layers.RNN(Own(3, **options), **shared)
    fast(X), slow(X)
    slow.set_weights(fast.get_weights())
    pairs = (outputs_and_gradients(one, X, mask) for one in (fast, slow))
    for a, b in zip(*pairs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@EVERY_CELL
@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("back", [False, True])
def test_zeros_for_masked_steps(layer, cell, options, unroll, back):
    settings = {"unroll": unroll, "return_sequences": True, "go_backwards": back, **options}
    recurrent = layer(3, zero_output_for_mask=True, **settings)
    found = recurrent(X, mask=MASK)
    there = MASK[:, ::-1] if back else MASK  # Outputs come in the order of the steps taken.
    assert not found[~there].any()
    repeating = layer(3, **settings)
    repeating(X)
    repeating.set_weights(recurrent.get_weights())
    np.testing.assert_array_equal(found[there], repeating(X, mask=MASK)[there])


def test_stacked_cells_are_layers_on_top_of_each_other():
    stacked = layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True)
    both = [layers.GRU(3, return_sequences=True), layers.LSTM(2, return_sequences=True)]
    wanted = both[1](both[0](masked(X, MASK)))
    stacked(X)
    stacked.set_weights(both[0].get_weights() + both[1].get_weights())
    np.testing.assert_allclose(stacked(masked(X, MASK)), wanted, rtol=1e-6)


def test_an_own_cell_trains_and_is_saved(tmp_path):
    gl.utils.set_random_seed(0)
    model = Sequential([layers.RNN(Leaky(8)), layers.Dense(1)])
    model.compile(gl.optimizers.Adam(0.01), "mse")
    x = RANDOM.normal(size=(64, 6, 2)).astype("float32")
    y = x[:, -2:, 0].sum(axis=1, keepdims=True)
    losses = model.fit(x, y, epochs=30, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    model.save(tmp_path / "own.keras")
    again = gl.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_cell_that_is_no_layer():
    class Sum:
        state_size = 4

        def call(self, inputs, states):
            return inputs + states[0], [inputs + states[0]]

    found = layers.RNN(Sum(), return_sequences=True)(X)
    np.testing.assert_allclose(found, np.cumsum(X, axis=1), rtol=1e-5, atol=1e-6)


@EVERY_CELL
def test_states_between_batches(layer, cell, options):
    whole = layer(3, return_sequences=True, **options)
    wanted = whole(X)
    parts = layer(3, return_sequences=True, stateful=True, **options)
    parts(X[:, :2])
    parts.set_weights(whole.get_weights())
    parts.reset_state()
    found = np.concatenate([parts(X[:, :2]), parts(X[:, 2:])], axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert len(parts.weights) == len(whole.weights)
    with pytest.raises(ValueError, match="need 3 sequences, as at first; got 2"):
        parts(X[:2])


def test_states_that_are_given():
    gru = layers.GRU(3, return_sequences=True, return_state=True)
    every, last = gru(X)
    np.testing.assert_array_equal(every[:, -1], last)
    _, middle = gru(X[:, :3])
    np.testing.assert_allclose(gru(X[:, 3:], initial_state=middle)[0], every[:, 3:], rtol=1e-5)
    np.testing.assert_allclose(gru(X[:, 3:], initial_state=[middle])[0], every[:, 3:], rtol=1e-5)
    with pytest.raises(ValueError, match=r"expected an initial state of shape \(3, 3\), got"):
        gru(X, initial_state=middle[:2])
    with pytest.raises(ValueError, match="expected 1 states in initial_state, got 2"):
        gru(X, initial_state=[middle, middle])


def test_an_encoder_gives_its_states_to_a_decoder():
    source, target = layers.Input((None, 4)), layers.Input((None, 4))
    _, *states = layers.LSTM(3, return_state=True)(source)
    out = layers.LSTM(3, return_sequences=True)(target, initial_state=states)
    assert out.shape == (None, None, 3)
    model = gl.Model([source, target], layers.Dense(1)(out))
    model.compile("sgd", "mse")
    model.fit([X, X[:, :2]], np.ones((3, 2, 1)), verbose=0)
    before = model.predict([X, X[:, :2]], verbose=0)
    assert (before != model.predict([np.roll(X, 1, axis=0), X[:, :2]], verbose=0)).all()


@EVERY_CELL
def test_masks_from_an_embedding(layer, cell, options):
    words = np.array([[1, 2, 3, 0, 0], [3, 1, 2, 1, 2], [0, 1, 2, 3, 0]])
    embedding = layers.Embedding(4, 2, mask_zero=True)
    recurrent = layer(3, **options)
    found = recurrent(embedding(words))
    for row, one in zip(words, found, strict=True):
        alone = embedding(row[row != 0][None, :])
        np.testing.assert_allclose(recurrent(alone)[0], one, rtol=1e-5, atol=1e-6)
    assert get_mask(found) is None
    assert get_mask(layer(3, return_sequences=True)(embedding(words))) is not None


@EVERY_CELL
@pytest.mark.parametrize("implementation", [1, 2])
def test_dropout_is_the_same_at_all_steps(layer, cell, options, implementation):
    if layer is not layers.SimpleRNN:
        options = {**options, "implementation": implementation}
    x = np.ones((2, 6, 4), "float32")
    recurrent = layer(
        3, dropout=0.5, recurrent_initializer="zeros", seed=1, return_sequences=True, **options
    )
    np.testing.assert_array_equal(recurrent(x, training=False), recurrent(x))
    one, two = recurrent(x, training=True), recurrent(x, training=True)
    assert not np.allclose(one, two)
    assert not np.allclose(one, recurrent(x))
    if layer is layers.SimpleRNN:
        np.testing.assert_allclose(one, one[:, :1] + 0 * one, rtol=1e-6)


@EVERY_CELL
def test_recurrent_dropout(layer, cell, options):
    recurrent = layer(3, recurrent_dropout=0.5, seed=1, return_sequences=True, **options)
    one, two = recurrent(X, training=True), recurrent(X, training=True)
    np.testing.assert_array_equal(one[:, 0], two[:, 0])  # States are zeros at first.
    assert not np.allclose(one[:, -1], two[:, -1])
    for weight in outputs_and_gradients(_with_states(recurrent), X, training=True):
        assert np.isfinite(weight).all()


def _with_states(layer):
    config = {**layer.get_config(), "return_state": True}
    return type(layer).from_config(config)


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (TypeError, "LSTM: units must be an integer, got float", lambda: layers.LSTM(2.5)),
        (ValueError, "GRU: units must be a positive integer, got 0", lambda: layers.GRU(0)),
        (ValueError, "a cell must have `state_size`", lambda: layers.RNN(layers.Dense(3))),
        (ValueError, "a cell must have `call`", lambda: layers.StackedRNNCells([3])),
        (ValueError, "use_cudnn must be", lambda: layers.LSTM(2, use_cudnn="maybe")),
        (ValueError, "strides above 1 do not go with",
         lambda: layers.ConvLSTM1D(2, 3, strides=2, dilation_rate=2)),
    ],
)  # fmt: skip
def test_wrong_arguments(error, message, make):
    with pytest.raises(error, match=message):
        make()


def test_wrong_inputs():
    with pytest.raises(ValueError, match="need a step at least"):
        layers.LSTM(2)(X[:, :0])
    with pytest.raises(ValueError, match=r"expected a mask of shape \(3, 5\)"):
        layers.LSTM(2)(X, mask=MASK[:, :3])
    with pytest.raises(ValueError, match="needs a known batch size"):
        layers.LSTM(2, stateful=True)(layers.Input((5, 4)))
    with pytest.raises(ValueError, match="smaller than the kernel"):
        layers.ConvLSTM1D(2, 3)(X[:, :, :2, None])
    with pytest.raises(ValueError, match="at least 3 axes"):
        layers.TimeDistributed(layers.Dense(2))(X[:, 0])


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(2, dropout=0.1, seed=3, kernel_regularizer="l2", bias_constraint="non_neg"),
        layers.GRU(2, "relu", reset_after=False, zero_output_for_mask=True, trainable=False),
        layers.SimpleRNN(2, seed=5, stateful=True),
        layers.ConvLSTM3D(2, 3, data_format="channels_first"),
        layers.Bidirectional(layers.GRU(2), None, backward_layer=layers.LSTM(2, go_backwards=True)),
    ],
)
def test_configs(layer):
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    assert "cell" not in config


def test_a_regularizer_for_each_weight():
    layer = layers.LSTM(
        2, kernel_regularizer="l1", recurrent_regularizer="l2", bias_regularizer="l2"
    )
    layer(X)
    assert len(layer.losses) == 3
    assert [w.name for w in layer.weights] == ["kernel", "recurrent_kernel", "bias"]
    np.testing.assert_array_equal(layer.cell.bias.numpy(), [0, 0, 1, 1, 0, 0, 0, 0])


FAMILIES = {
    "SimpleRNN": (lambda: layers.SimpleRNN(3, return_sequences=True), X),
    "LSTM": (lambda: layers.LSTM(3, return_sequences=True), X),
    "GRU": (lambda: layers.GRU(3, return_sequences=True), X),
    "GRU before": (lambda: layers.GRU(3, reset_after=False, return_sequences=True), X),
    "listed": (lambda: layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)]), X),
    "own": (lambda: layers.RNN(Leaky(4), return_sequences=True), X),
    "both ways": (lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True)), X),
    "each step": (lambda: layers.TimeDistributed(layers.Dense(3)), X),
    "films": (lambda: layers.ConvLSTM1D(2, 2, return_sequences=True), X[..., None]),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_a_bad_sequence_harms_no_other(name, mask):
    make, x = FAMILIES[name]
    layer, bad = make(), x.copy()
    bad[0, 1] = np.nan
    found = []
    for given in (x, bad):
        with Tape() as tape:
            watched = tape.watch(given)
            out = layer(watched, mask=mask, training=True)
        found.append((plain(out), tape.gradient(out, watched)))
    assert np.isnan(found[1][0][0]).any()
    for clean, harmed in zip(*found, strict=True):
        np.testing.assert_array_equal(clean[1:], harmed[1:])


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU", "GRU before", "own", "both ways"])
def test_ten_thousand_steps_in_ten_times_the_time_of_a_thousand(name):
    layer = FAMILIES[name][0]()
    took = []
    for steps in (10_000, 1000, 10_000):  # At first, loops are compiled.
        x = RANDOM.normal(size=(1, steps, 4)).astype("float32")
        start = time.process_time()
        with Tape() as tape:
            watched = tape.watch(x)
            out = layer(watched, training=True)
        gradients = tape.gradient(out, [watched, *layer.trainable_weights])
        took.append(time.process_time() - start)
        assert all(np.isfinite(g).all() for g in gradients)
    assert took[2] < 10 * 3 * took[1]  # Three for what else the machine does.


@EVERY_CELL
def test_a_constraint_for_each_weight(layer, cell, options):
    names = [f"{name}_constraint" for name in ("kernel", "recurrent", "bias")]
    for name in names:
        own = {name: gl.constraints.MaxNorm(0.01), "bias_initializer": "ones", **options}
        recurrent = layer(3, **own)
        model = Sequential([recurrent, layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(X, np.ones((3, 1), "float32"), verbose=0)
        short = [np.linalg.norm(w.numpy(), axis=0).max() <= 0.0101 for w in recurrent.weights]
        assert short == [other == name for other in names]


def test_states_of_a_list_of_cells_in_a_graph():
    """There one state of a cell stands alone, as in Keras; on arrays all cells' are lists."""
    layer = layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_state=True)
    series = layers.Input((5, 4))
    out, state, (h, c) = layer(series)
    assert (out.shape, state.shape, h.shape, c.shape) == ((None, 2), (None, 3), *[(None, 2)] * 2)
    model = gl.Model(series, layers.Concatenate()([state, h]))
    found = np.concatenate([*layer(X)[1], layer(X)[2][0]], axis=-1)
    np.testing.assert_allclose(model(X), found, rtol=1e-6)
    y, alone, both = layer(X)
    assert (y.shape, len(alone), len(both)) == ((3, 2), 1, 2)
    shapes = layer.compute_output_shape((None, 5, 4))
    assert shapes == ((None, 2), (None, 3), [(None, 2), (None, 2)])
