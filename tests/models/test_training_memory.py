"""What a step of training holds: results only as long as a gradient or a layer needs them."""

import tracemalloc
import weakref

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers as L
from gpulayers import ops
from gpulayers.cpu.optimizer import PIECE
from gpulayers.optimizers.following import SMALL

pytestmark = pytest.mark.usefixtures("loops")

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.Conv2D(3, 3, padding="same"),
        lambda: L.DepthwiseConv2D(3, padding="same"),
        lambda: L.Dense(3),
        lambda: L.BatchNormalization(),
        lambda: L.Add(),
    ],
)
def test_results_that_no_gradient_needs_are_let_go(layer):
    layer, x = layer(), RNG.normal(size=(2, 6, 6, 3)).astype("float32")
    given = [x, x] if isinstance(layer, L.Add) else x
    layer(given)
    weight = gl.Variable(np.ones(3, np.float32))
    with gl.Tape() as tape:
        given = [x * weight, x * weight] if isinstance(layer, L.Add) else x * weight
        y = layer(given, training=True) if isinstance(layer, L.BatchNormalization) else layer(given)
        seen = weakref.ref(y.value)
        z = ops.relu(y)
        del y
        assert seen() is None
        loss = ops.sum(z * z)
    assert np.isfinite(tape.gradient(loss, [weight])[0]).all()


def test_the_way_back_lets_go_of_what_it_has_used():
    x = gl.Variable(RNG.normal(size=(4, 5)).astype("float32"))
    with gl.Tape() as tape:
        y = ops.exp(x.value)
        seen = weakref.ref(y.value)
        loss = ops.sum(ops.tanh(y))
        del y
    assert seen() is not None  # The gradient of exp is its result.
    gradient = tape.gradient(loss, [x])[0]
    assert seen() is None
    expected = (1 - np.tanh(np.exp(x.value)) ** 2) * np.exp(x.value)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_sums_of_gradients_are_no_arrays_of_others():
    """Several gradients of one array are added up in place, but never in what a rule gave."""
    x = gl.Variable(np.arange(6, dtype=np.float32).reshape(2, 3))
    with gl.Tape() as tape:
        a = x * 2
        b = a + a
        c = b + a + b + a
        loss = ops.sum(c) + ops.sum(a) + ops.sum(b)
    grads = tape.gradient(loss, [x])
    np.testing.assert_allclose(grads[0], np.full((2, 3), 18.0))
    kept = gl.Tape(persistent=True)
    with kept as tape:
        a = x * 2
        parts = [a, a * 3, a + 1, a * a]
        loss = sum(ops.sum(part) for part in parts)
    first = [g.copy() for g in tape.gradient(loss, [x])]
    np.testing.assert_array_equal(tape.gradient(loss, [x])[0], first[0])
    np.testing.assert_allclose(first[0], 2 + 6 + 2 + 8 * x.value)


def traced(work):
    """The most bytes of arrays that a work holds beside those from before, and what remains."""
    tracemalloc.start()
    try:
        work()
        now, most = tracemalloc.get_traced_memory()
        return most, now
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_bytes_of_a_training_step(loops, optimizer):
    """A step makes each gradient and each layer's result once, and no weights beside them."""
    features, units, classes, batch = 400, 400, 10, 16
    model = gl.Sequential([L.Input((features,)), L.Dense(units, "relu"), L.Dense(units, "relu")])
    model.add(L.Dense(classes))
    model.compile(optimizer, gl.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = RNG.normal(size=(batch, features)).astype("float32")
    y = RNG.integers(0, classes, batch)
    for _ in range(2):  # Moments are made, and loops compiled.
        model.train_on_batch(x, y)
    weights = sum(4 * w.size for w in model.trainable_variables)
    small = sum(4 * w.size for w in model.trainable_variables if w.size <= SMALL)
    results = 4 * batch * (2 * units + classes)
    pieces = 0 if loops else 6 * 4 * PIECE  # Temporaries of passes.
    most, left = traced(lambda: model.train_on_batch(x, y))
    # Small weights stand end to end; on the way back there are gradients of two results at most.
    assert weights < most < weights + 3 * small + 2 * results + pieces + 60_000
    assert left < 2 * weights + 60_000  # New weights, in the place of others from before.


def test_gradients_are_added_up_in_place():
    features, batch = 800, 16
    model = gl.Sequential([L.Input((features,)), L.Dense(features, use_bias=False)])
    model.compile(gl.optimizers.SGD(1.0, gradient_accumulation_steps=3), "mse")
    x, y = (RNG.normal(size=(batch, features)).astype("float32") for _ in range(2))
    before, weights = model.get_weights()[0], 4 * features**2
    model.train_on_batch(x, y)  # The first of three.
    most, left = traced(lambda: model.train_on_batch(x, y))
    assert weights < most < weights + 4 * 4 * x.size + 60_000
    assert left < 60_000
    np.testing.assert_array_equal(model.get_weights()[0], before)
    model.train_on_batch(x, y)
    g = 2 * x.T @ (x @ before - y) / y.size
    np.testing.assert_allclose(model.get_weights()[0], before - g, rtol=1e-4, atol=1e-6)
