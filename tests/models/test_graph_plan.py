"""Steps of graphs without a tape: what branches give, and what needs a tape."""

import weakref

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.arrays import Tape, plain
from gpulayers.models.planned_step import PlannedStep

pytestmark = pytest.mark.usefixtures("loops")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 6)).astype("float32")
IMAGES = RNG.normal(size=(8, 4, 4, 2)).astype("float32")
Y = RNG.integers(0, 3, 8)
LOSS = gl.losses.SparseCategoricalCrossentropy(from_logits=True)


def residual(x):
    x = L.Dense(6, "relu")(x)
    return L.Add()([x, L.Dense(6, "tanh")(x)])


def several(x):
    a, b, c = L.Dense(5)(x), L.Dense(5, "relu")(x), L.Dense(5, "gelu")(x)
    return L.Add()([a, b, c, a])


def joined(x):
    a, b = L.Dense(2, "relu")(x), L.Dense(3)(x)
    return L.Concatenate()([L.Concatenate()([b, a, b]), x])


def gated(x):
    return L.Multiply()([L.Dense(5, "sigmoid")(x), L.Dense(5)(x), L.Dense(5, "tanh")(x)])


def apart(x):
    return L.Subtract()([L.Dense(4)(x), L.Average()([L.Dense(4)(x), L.Dense(4, "relu")(x)])])


def extremes(x):
    a, b = L.Dense(5)(x), L.Dense(5)(x)
    return L.Maximum()([L.Minimum()([a, b]), L.Dense(5)(x), b])


def shared(x):
    one, norm = L.Dense(6, "relu"), L.BatchNormalization()
    a = norm(one(x))
    return L.Add()([norm(one(a)), one(L.Activation("linear")(a))])


def nested(x):
    inner = L.Input((6,))
    block = gl.Model(inner, L.Add()([inner, L.Dense(6, "relu")(inner)]))
    line = gl.Sequential([L.Dense(6), block, L.Dropout(1e-9)])
    return L.Multiply()([line(x), block(x)])


def images(x):
    x = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(x))
    x = L.Activation("relu6")(L.Add()([x, y]))
    y = L.Conv2DTranspose(3, 2, 2)(L.MaxPooling2D()(x))
    return L.GlobalAveragePooling2D()(L.Concatenate()([x, y]))


def noisy(x):
    a = L.Dropout(0.4, seed=1)(L.Dense(6)(x))
    return L.Add()([a, L.GaussianNoise(0.3, seed=2)(L.LayerNormalization()(x))])


GRAPHS = [
    residual, several, joined, gated, apart, extremes, shared, nested, images, noisy,
]  # fmt: skip
EACH = pytest.mark.parametrize("graph", GRAPHS, ids=lambda f: f.__name__)


def given(graph):
    return IMAGES if graph is images else X


def built(graph, last=True):
    x = given(graph)
    gl.utils.set_random_seed(3)
    inputs = L.Input(x.shape[1:])
    outputs = graph(inputs)
    model = gl.Model(inputs, L.Dense(3)(outputs) if last else outputs)
    model.compile("sgd", LOSS)
    return model, x


def close(one, other):
    np.testing.assert_allclose(plain(one), plain(other), rtol=2e-5, atol=2e-6)


@EACH
def test_the_same_as_with_a_tape(graph):
    (model, x), (other, _) = built(graph), built(graph)
    other.set_weights(model.get_weights())
    for batch in (8, 5):
        some = x[:batch], Y[:batch], None
        made = PlannedStep(model, x)(*some, model.trainable_variables)
        expected = other._recorded(*some)
        for a, b in zip(made[:2], expected[:2], strict=True):
            close(a, b)
        for a, b in zip(made[2], expected[2], strict=True):
            close(a, b)
        for a, b in zip(model.weights, other.weights, strict=True):
            close(a.value, b.value)  # Moving statistics, too.


@EACH
def test_recorded_as_one_node(graph):
    """Also the gradient of the inputs, and twice by a tape that stays."""
    (model, x), (other, _) = built(graph, last=False), built(graph, last=False)
    found = []
    for one, alone in ((model, False), (other, True)):
        one(x)
        if alone:
            one._training_plan = lambda x: None
        with Tape(persistent=True) as tape:
            seen = tape.watch(x)
            loss = gl.ops.sum(one(seen, training=True) ** 2)
        sources = [*one.trainable_variables, x]
        found.append([tape.gradient(loss, sources), tape.gradient(loss, sources)])
    for a, again, b in zip(*found[0], found[1][0], strict=True):
        close(a, b)
        np.testing.assert_array_equal(a, again)
    assert model._training_plan(x) is not None


def with_a_mask(x):
    return L.GlobalAveragePooling1D()(L.Masking()(L.Reshape((2, 3))(x)))


def with_own_layer(x):
    class Twice(L.Layer):
        def call(self, inputs):
            return 2 * inputs

    return Twice()(x)


def with_a_function(x):
    return gl.ops.tanh(x)


def that_broadcasts(x):
    return L.Add()([L.Dense(1)(x), x])


def with_a_said_mode(x):
    return L.Dropout(0.5)(x, training=False)


@pytest.mark.parametrize(
    "graph", [with_a_mask, with_own_layer, with_a_function, that_broadcasts, with_a_said_mode]
)
def test_what_takes_a_tape(graph):
    inputs = L.Input((6,))
    x = graph(inputs)
    model = gl.Model(inputs, L.Dense(3)(x))
    model.compile("sgd", LOSS)
    assert PlannedStep(model, X)(X, Y, None, model.trainable_variables) is None
    assert np.isfinite(model.train_on_batch(X, Y))


def test_several_inputs_or_outputs_take_a_tape():
    a, b = L.Input((6,)), L.Input((6,))
    model = gl.Model([a, b], L.Add()([a, b]))
    model.compile("sgd", "mse")
    assert not PlannedStep(model, X).exists
    model = gl.Model(a, [L.Dense(3)(a), L.Dense(2)(a)])
    model.compile("sgd", ["mse", "mse"])
    assert not PlannedStep(model, X).exists


def test_results_are_let_go():
    """What no later layer takes, and no gradient needs, is gone at once; gradients after use."""
    model, x = built(several)
    plan, seen = model._training_plan(x), []

    def watching(run):
        def work(*arrays, needs=None):
            alive = sum(one() is not None for one in seen)
            made = run(*arrays, needs=needs)
            seen.append(weakref.ref(made[0]))
            counts.append(alive)
            return made

        return work

    counts = []
    plan.steps = [(watching(run), *others) for run, *others in plan.steps]
    y, _, pullback = plan.run(x, None, id)
    del y
    # a, b, c (gelu of its own: two results, of which the first is kept by the second's gradient),
    # then sums, each of which takes the place of the one before.
    assert max(counts) <= 6
    assert pullback(np.ones((8, 3), np.float32)) is not None
    assert sum(one() is not None for one in seen) == 0
