"""Recurrent layers: cells of users, masks, states between batches, dropout, both directions."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import Sequential, layers, ops, registry
from gpulayers.arrays import Tape, get_mask, plain, set_mask

RANDOM = np.random.default_rng(4)
X = RANDOM.normal(size=(3, 5, 4)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [1, 0, 1, 1, 0]], dtype=bool)
CELLS = [
    (layers.SimpleRNN, layers.SimpleRNNCell, {}),
    (layers.LSTM, layers.LSTMCell, {}),
    (layers.GRU, layers.GRUCell, {}),
    (layers.GRU, layers.GRUCell, {"reset_after": False}),
]
EVERY_CELL = pytest.mark.parametrize(("layer", "cell", "options"), CELLS)


def masked(x, mask):
    x = np.array(x)
    set_mask(x, mask)
    return x


def outputs_and_gradients(layer, x, mask=None, **options):
    with Tape() as tape:
        watched = tape.watch(x)
        out = layer(watched, mask=mask, **options)
        loss = ops.sum(out[0] ** 2) + sum(ops.sum(s) for s in out[1:])
    grads = tape.gradient(loss, [watched, *layer.trainable_weights])
    return [*map(plain, out), *grads]


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
def test_zeros_for_masked_steps(layer, cell, options, unroll):
    settings = {"unroll": unroll, "return_sequences": True, **options}
    recurrent = layer(3, zero_output_for_mask=True, **settings)
    found = recurrent(X, mask=MASK)
    assert not found[~MASK].any()
    repeating = layer(3, **settings)
    repeating(X)
    repeating.set_weights(recurrent.get_weights())
    np.testing.assert_array_equal(found[MASK], repeating(X, mask=MASK)[MASK])


def test_stacked_cells_are_layers_on_top_of_each_other():
    stacked = layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True)
    both = [layers.GRU(3, return_sequences=True), layers.LSTM(2, return_sequences=True)]
    wanted = both[1](both[0](masked(X, MASK)))
    stacked(X)
    stacked.set_weights(both[0].get_weights() + both[1].get_weights())
    np.testing.assert_allclose(stacked(masked(X, MASK)), wanted, rtol=1e-6)


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


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_both_directions(merge_mode, return_sequences):
    both = layers.Bidirectional(
        layers.LSTM(3, return_sequences=return_sequences), merge_mode=merge_mode
    )
    found = both(masked(X, MASK))
    names = both.forward_layer.name, both.backward_layer.name
    assert names == tuple(f"{way}_lstm" for way in ("forward", "backward"))
    one = both.forward_layer(X, mask=MASK)
    two = both.backward_layer(X, mask=MASK)
    two = two[:, ::-1] if return_sequences else two
    if return_sequences:
        assert not one[~MASK].any()
    wanted = {
        "concat": np.concatenate([one, two], axis=-1), "sum": one + two, "mul": one * two,
        "ave": (one + two) / 2, None: (one, two),
    }[merge_mode]  # fmt: skip
    for a, b in zip(*((x if merge_mode is None else [x]) for x in (found, wanted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_both_directions_with_states():
    both = layers.Bidirectional(layers.GRU(2, return_state=True))
    states = [RANDOM.normal(size=(3, 2)).astype("float32") for _ in range(2)]
    out, forward, backward = both(X, initial_state=states)
    np.testing.assert_allclose(out, np.concatenate([forward, backward], axis=-1))
    np.testing.assert_allclose(both.backward_layer(X, initial_state=states[1])[1], backward)
    with pytest.raises(ValueError, match="as many states for each direction, got 3"):
        both(X, initial_state=[*states, states[0]])


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (layers.SimpleRNN, {"dropout": 0.4}),
        (layers.LSTM, {}),
        (layers.GRU, {"reset_after": False, "stateful": True}),
        (layers.GRU, {"dropout": 0.4}),
    ],
)
def test_both_directions_at_once_are_one_after_the_other(
    monkeypatch, layer, options, mask, return_sequences
):
    inner = layer(3, return_sequences=return_sequences, return_state=True, seed=5, **options)
    both = layers.Bidirectional(inner, merge_mode=None)
    both(X)
    found = []
    for at_once in (True, False):
        both.stateful and both.reset_state()
        drawn = [one.cell.seed_generator for one in (both.forward_layer, both.backward_layer)]
        states = [np.array(one.state.value) for one in drawn]
        if not at_once:
            monkeypatch.setattr(layers.Bidirectional, "_at_once", lambda *given: None)
        else:
            assert both._operation(mask)[0] is not None
        for _ in range(2):
            found.append(outputs_and_gradients(both, X, mask, training=True))
        for one, state in zip(drawn, states, strict=True):
            one.state.assign(state)
    for one, other in ((0, 2), (1, 3)):
        for a, b in zip(found[one], found[other], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "other"),
    [
        (layers.LSTM(3, recurrent_dropout=0.3), None),
        (layers.LSTM(3, activation="elu"), None),
        (layers.LSTM(3, activity_regularizer="l2"), None),
        (layers.LSTM(3), layers.GRU(3, go_backwards=True)),
        (layers.LSTM(3), layers.LSTM(3, "relu", go_backwards=True)),
        (layers.RNN(layers.LSTMCell(3)), None),
        (layers.LSTM(3, dtype="float64"), None),
    ],
)
def test_both_directions_one_after_the_other(layer, other):
    both = layers.Bidirectional(layer, merge_mode="concat", backward_layer=other)
    x = X.astype(layer.dtype)
    out = both(X, training=True)
    assert out.shape == (3, 6)
    assert len(both.losses) == (2 if layer.activity_regularizer else 0)
    two = both.backward_layer(x)
    np.testing.assert_allclose(both(X)[:, 3:], two, rtol=1e-6)


def test_first_weights_of_both_directions():
    one = layers.Bidirectional(layers.GRU(2))
    one(X)
    two = layers.Bidirectional(layers.GRU(2), weights=one.get_weights())
    np.testing.assert_array_equal(one(X), two(X))


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "layer must be a Layer", (3,)),
        (ValueError, "merge_mode must be one of", (layers.GRU(2), "max")),
        (ValueError, "different directions", (layers.GRU(2), "sum", None, layers.GRU(2))),
        (ValueError, "return_state must be the same",
         (layers.GRU(2), "sum", None, layers.GRU(2, go_backwards=True, return_state=True))),
        (ValueError, "needs the attribute go_backwards", (layers.Dense(2),)),
    ],
)  # fmt: skip
def test_wrong_directions(error, message, arguments):
    with pytest.raises(error, match=message):
        layers.Bidirectional(*arguments)


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


def test_the_same_layer_at_each_step():
    normal = layers.TimeDistributed(layers.BatchNormalization(momentum=0.5))
    normal(X, training=True)
    mean = np.zeros(4)
    for t in range(5):  # One update for each step.
        mean = 0.5 * mean + 0.5 * X[:, t].mean(axis=0)
    np.testing.assert_allclose(normal.layer.moving_mean.numpy(), mean, rtol=1e-5, atol=1e-6)
    films = RANDOM.normal(size=(2, 3, 6, 6, 1)).astype("float32")
    images = layers.TimeDistributed(layers.Conv2D(2, 3))
    assert images(films).shape == (2, 3, 4, 4, 2)
    np.testing.assert_allclose(images(films)[:, 1], images.layer(films[:, 1]), rtol=1e-5, atol=1e-6)


def test_a_mask_for_the_layer_at_each_step():
    words = np.array([[[1, 2, 0], [3, 0, 0]], [[1, 1, 1], [2, 1, 0]]])
    inner = layers.TimeDistributed(layers.LSTM(2))
    x = RANDOM.normal(size=(2, 2, 3, 4)).astype("float32")
    found = inner(x, mask=words != 0)
    for t in range(2):
        wanted = inner.layer(x[:, t], mask=words[:, t] != 0)
        np.testing.assert_allclose(found[:, t], wanted, rtol=1e-6)


def test_a_convolutional_memory_over_one_pixel_is_a_memory():
    films = X[:, :, None, None, :]
    images = layers.ConvLSTM2D(3, 1, return_sequences=True)
    vectors = layers.LSTM(3, return_sequences=True)
    vectors(X)
    images(films)
    images.set_weights([w if w.ndim == 1 else w[None, None] for w in vectors.get_weights()])
    for mask in (None, MASK):
        found, wanted = images(films, mask=mask), vectors(X, mask=mask)
        np.testing.assert_allclose(found[:, :, 0, 0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_dropout_of_films(data_format):
    films = np.ones((2, 3, 4, 4, 4), "float32")
    memory = layers.ConvLSTM2D(
        2, 3, dropout=0.4, recurrent_dropout=0.4, seed=1, padding="same", data_format=data_format
    )
    one, two = memory(films, training=True), memory(films, training=True)
    assert not np.allclose(one, two)
    layer = layers.RNN(memory.cell)
    memory.cell.seed_generator.state.assign([1, 0])
    one = memory(films, training=True)
    memory.cell.seed_generator.state.assign([1, 0])
    np.testing.assert_allclose(layer(films, training=True), one, rtol=1e-5, atol=1e-6)


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
    for length in (None, steps):
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
