"""What recurrent layers keep for their gradients: states, and as much more as there is room for."""

import tracemalloc

import numpy as np
import pytest
from recurrent_layers import MASK, Leaky

import gpulayers as gl
from gpulayers import layers, ops
from gpulayers.arrays import Tape, plain
from gpulayers.layers import convolutional_recurrent
from gpulayers.ops import over_time

FILMS = np.random.default_rng(5).normal(size=(2, 9, 4, 4, 2)).astype("float32")
LONG = np.random.default_rng(6).normal(size=(3, 21, 4)).astype("float32")
LONG_MASK = np.tile(MASK, (1, 5))[:, :21]
FEW, SOME = 0, 40_000  # Bytes with which two steps of these are kept, and about ten.


class Noisy(Leaky):
    """New random numbers at each step, and layers inside with states and dropout of their own."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = [units, (2, units)]
        self.norm, self.drop = layers.BatchNormalization(), layers.Dropout(0.3, seed=1)
        self.seed, self.steps = gl.random.SeedGenerator(2), gl.Variable(0.0, trainable=False)

    def get_initial_state(self, batch_size):
        return [ops.zeros((batch_size, self.units)), ops.ones((batch_size, 2, self.units))]

    def call(self, inputs, states):  # Without `training`: it is that of the call around.
        self.steps.assign_add(1.0)
        noise = gl.random.normal(inputs.shape, seed=self.seed)
        inputs = self.drop(self.norm(inputs)) + 0.1 * noise * self.steps
        new, _ = super().call(inputs, states[:1])
        trace = states[1] * 0.5 + ops.expand_dims(new, 1)
        return new + ops.sum(trace, axis=1), [new, trace]


class Unnamed:
    """A cell that is no layer, with states in a dict."""

    state_size = 4

    def get_initial_state(self, batch_size):
        return [{"sum": np.zeros((batch_size, 4), "float32"), "count": np.zeros((batch_size, 1))}]

    def call(self, inputs, states):
        state = states[0]
        total = ops.tanh(state["sum"] + inputs)
        return total, [{"sum": total, "count": state["count"] + 1}]


class Around(Leaky):
    """A cell around one that drops."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.inner = layers.GRUCell(units, dropout=0.4, recurrent_dropout=0.4, seed=3)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs, states, training=False):
        new, states = self.inner(inputs, states, training=training)
        return 2 * new, states


MADE = {
    "own": lambda **options: layers.RNN(Leaky(3), **options),
    "noisy": lambda **options: layers.RNN(Noisy(3), **options),
    "no layer": lambda **options: layers.RNN(Unnamed(), **options),
    "around": lambda **options: layers.RNN(Around(3), **options),
    "list": lambda **options: layers.RNN([layers.GRUCell(3), Noisy(2), Leaky(4)], **options),
    "dropping": lambda **options: layers.LSTM(3, recurrent_dropout=0.4, seed=1, **options),
    "both ways": lambda **options: layers.Bidirectional(layers.RNN(Leaky(3), **options)),
}
WAYS = {
    "last": {},
    "all": {"return_sequences": True},
    "back": {"return_sequences": True, "go_backwards": True, "return_state": True},
    "zeros": {"return_sequences": True, "zero_output_for_mask": True},
    "unrolled": {"return_sequences": True, "unroll": True},
    "stateful": {"stateful": True, "return_state": True},
}


@pytest.fixture
def keeping(monkeypatch):
    """A function that sets how many bytes are kept, and gives a list of segments' gradients."""
    found, gradients = [], over_time._Segments.gradients

    def noted(segments, grads):
        found.append(segments.pieces)
        return gradients(segments, grads)

    def keep(most):
        monkeypatch.setattr(over_time, "KEPT", most)
        monkeypatch.setattr(convolutional_recurrent, "KEPT", most)
        monkeypatch.setattr(over_time._Segments, "gradients", noted)
        return found

    return keep


def trained(layer, x, mask=None):
    """What a step of training gives and leaves: outputs, gradients, Variables."""
    if getattr(layer, "stateful", False):
        layer.reset_state()
    starts = [v.numpy() for v in layer.variables]
    with Tape() as tape:
        watched = tape.watch(x)
        out = layer(watched, mask=mask, training=True)
        out = out if isinstance(out, tuple) else (out,)
        out = [o for o in gl.tree.flatten(list(out)) if plain(o).dtype.kind == "f"]
        loss = sum(ops.sum(o * o) for o in out) + sum(layer.losses)
    gradients = tape.gradient(loss, [watched, *layer.trainable_weights])
    ends = [v.numpy() for v in layer.variables]
    for variable, start in zip(layer.variables, starts, strict=True):
        variable.assign(start)
    return [*map(plain, out), *gradients, *ends]


def require_equal(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * max(1, np.abs(b).max()))


@pytest.mark.parametrize("mask", [None, LONG_MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("kept", [FEW, SOME])
@pytest.mark.parametrize(
    ("made", "way"),
    [(made, way) for made in MADE for way in WAYS if (made, way) != ("both ways", "back")],
)
def test_what_is_computed_again_is_the_same(made, way, kept, mask, keeping):
    layer = MADE[made](**WAYS[way])
    layer(LONG)
    wanted, segments = trained(layer, LONG, mask), keeping(kept)
    assert not segments
    require_equal(trained(layer, LONG, mask), wanted)
    assert len(segments) == 1 + (made == "both ways")


@pytest.mark.parametrize("options", [
    {"return_sequences": True},
    {"dropout": 0.3, "recurrent_dropout": 0.3, "seed": 1, "go_backwards": True},
    {"data_format": "channels_first", "return_state": True, "activation": "gelu"},
])  # fmt: skip
@pytest.mark.parametrize("masked", [False, True])
def test_films_that_are_computed_again(options, masked, keeping):
    layer = layers.ConvLSTM2D(2, 3, padding="same", **options)
    mask = LONG_MASK[:2, :9] if masked else None
    layer(FILMS)
    wanted, segments = trained(layer, FILMS, mask), keeping(FEW)
    require_equal(trained(layer, FILMS, mask), wanted)
    assert [len(pieces) for pieces in segments] == [8]


class Counting(Leaky):
    """How many steps there were is no Variable, and would go on counting."""

    count = 0

    def call(self, inputs, states):
        self.count += 1
        return super().call(inputs * (1 + self.count % 3), states)


class Costly(Leaky):
    def call(self, inputs, states):
        new, states = super().call(inputs, states)
        self.add_loss(ops.sum(new**2))
        return new, states


class Attentive(Leaky):
    """It sees something beside its inputs."""

    memory = None

    def call(self, inputs, states):
        return super().call(inputs * self.memory, states)


class Remembering(Leaky):
    """The weights that its first step has made."""

    made = None

    def call(self, inputs, states):
        if self.made is None:
            self.made = self.kernel * 2
        new = ops.tanh(ops.concatenate([inputs, states[0]], axis=-1) @ self.made)
        return new, [new]


@pytest.mark.parametrize("kind", [Counting, Costly, Attentive, Remembering])
def test_cells_that_must_not_be_called_again(kind, keeping):
    """They are found at their second step: all that they compute is kept."""
    layer, scale = layers.RNN(kind(3)), gl.Variable(np.ones(4, "float32"))

    def gradients():
        layer.cell.__dict__["count"], layer.cell.__dict__["made"] = 0, None
        with Tape() as tape:
            layer.cell.__dict__["memory"] = scale * 1.5
            out = layer(LONG, training=True)
            loss = ops.sum(out * out) + sum(layer.losses)
        return tape.gradient(loss, [scale, *layer.trainable_weights])

    layer.cell.__dict__["memory"] = 1.0
    layer(LONG)
    wanted, segments = gradients(), keeping(FEW)
    require_equal(gradients(), wanted)
    assert not segments


def test_weights_that_change_before_the_gradient_is_asked_for(keeping):
    layer, found = layers.RNN(Leaky(3)), []
    layer(LONG)
    for kept in (1 << 26, FEW):
        keeping(kept)
        with Tape() as tape:
            out = layer(LONG)
        value = layer.cell.kernel.numpy()
        layer.cell.kernel.assign(value * 2)
        found.append(tape.gradient(out, layer.cell.kernel))
        np.testing.assert_array_equal(layer.cell.kernel.numpy(), value * 2)
        layer.cell.kernel.assign(value)
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_other_results_than_the_first_time_are_noticed(keeping):
    class Careless(Leaky):
        def call(self, inputs, states):
            return super().call(inputs + np.random.normal(size=inputs.shape), states)

    keeping(FEW)
    layer = layers.RNN(Careless(3))
    with Tape() as tape:
        out = layer(LONG)
    with pytest.raises(RuntimeError, match="other results than the first time.*'whole'"):
        tape.gradient(out, layer.trainable_weights)
    gl.config.set_recurrent_segment("whole")
    try:
        with Tape() as tape:
            out = layer(LONG)
        assert np.isfinite(tape.gradient(out, layer.cell.kernel)).all()
    finally:
        gl.config.set_recurrent_segment(None)


def test_second_order(keeping):
    """Gradients of gradients take the way without segments."""
    layer, found = layers.RNN(Leaky(3)), []
    layer(LONG)
    for kept in (1 << 26, FEW):
        keeping(kept)
        with Tape() as outer:
            with Tape([]) as tape:
                watched = tape.watch(LONG)
                out = layer(watched)
            slope = ops.sum(tape.gradient(out, watched) ** 2)
        found.append(outer.gradient(slope, layer.cell.kernel))
    np.testing.assert_allclose(*found, rtol=1e-5)


def most_bytes(layer, x):
    """The most bytes that were in memory at once in a step of training."""
    layer(x[:, :2])
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    with Tape() as tape:
        out = layer(x, training=True)
    tape.gradient(out, layer.trainable_weights)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak - before


@pytest.mark.parametrize("kept", [1 << 20, 1 << 22])
@pytest.mark.parametrize("kind", ["own", "films", "dropping"])
def test_memory_grows_by_the_states_alone(kind, kept, keeping):
    """From some steps on; those that are kept, and what is computed again, take a bounded part."""
    keeping(kept)
    if kind == "films":
        layer, state = layers.ConvLSTM2D(4, 3, padding="same"), 2 * 2 * 16 * 16 * 4 * 4
        x = np.zeros((2, 120, 16, 16, 1), "float32")
    else:
        cell = Leaky(32) if kind == "own" else layers.LSTMCell(32, recurrent_dropout=0.5)
        layer, state = layers.RNN(cell), (1 if kind == "own" else 2) * 64 * 32 * 4
        x = np.zeros((64, 400, 2), "float32")
    most_bytes(layer, x[:, :10])
    steps = x.shape[1]
    half, whole = most_bytes(layer, x[:, : steps // 2]), most_bytes(layer, x)
    assert whole - half <= 1.05 * state * steps / 2 + x.nbytes
    assert whole <= state * steps + x.nbytes + 2 * kept + 40_000


def test_ten_thousand_steps_of_an_own_cell(keeping):
    segments, x = keeping(1 << 23), np.zeros((4, 10_000, 1), "float32")
    layer = layers.RNN(Leaky(4))
    layer(x[:, :2])
    with Tape() as tape:
        watched = tape.watch(x + 1)
        out = layer(watched)
    gradients = tape.gradient(out, [watched, layer.cell.kernel])
    assert all(np.isfinite(a).all() for a in (plain(out), *gradients))
    assert len(segments) == 1
