"""Gradients that are given away: whose arrays become weights, and whose never do."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers, ops, optimizers
from gpulayers.arrays import Variable
from gpulayers.optimizers.following import SMALL
from gpulayers.optimizers.given import Given

pytestmark = pytest.mark.usefixtures("loops")

LARGE = (3, SMALL)


def drawn(shape=LARGE):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_only_what_nobody_else_holds_is_free():
    held = drawn()
    read_only, n = held.copy(), SMALL + 1
    read_only.flags.writeable = False
    gradients = [np.ones(n), np.ones((n, 2)).T, np.ones(2 * n).reshape(2, n), np.ones(2 * n)[:n]]
    gradients += [held, held[:], held[::2], np.broadcast_to(np.ones(n), (2, n)), None, read_only]
    gradients += [np.ones(n)[::-1], np.ones(SMALL)]  # The last is joined with others in any case.
    found = Given(gradients).free
    assert [id(g) in found for g in gradients] == [True, False, True, *[False] * 9]
    twice = [np.ones(n)] * 2
    assert not Given(twice).free


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Lion", "Lamb", "Nadam"])
@pytest.mark.parametrize("shape", [LARGE, (5, 2 * SMALL), (7,)])
def test_weights_are_the_same_wherever_they_are_written(kind, shape):
    a, b = Variable(drawn(shape)), Variable(drawn(shape))
    one, other = (getattr(optimizers, kind)(0.01) for _ in range(2))
    for step in range(3):
        before, copy = a.value, a.value.copy()
        one.apply(Given([drawn(shape) * step]), [a])
        other.apply([drawn(shape) * step], [b])
        np.testing.assert_array_equal(before, copy)
    np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_gradient_that_is_free_becomes_the_weight(loops):
    weight, gradients = Variable(drawn()), [drawn()]
    adam = optimizers.Adam()
    adam.build([weight])
    given, address = Given(gradients), gradients[0].ctypes.data
    adam.apply(given, [weight])
    assert (weight.value.ctypes.data == address) == loops
    moment = adam.variables[2].value
    adam.apply([drawn()], [weight])
    assert adam.variables[2].value is moment
    assert weight.value.ctypes.data != address


class Offset(layers.Layer):
    """Two weights, whose gradients are one array, and one whose gradient is the input."""

    def build(self, shape):
        self.weights_of_sum = [self.add_weight(shape=LARGE, name=f"w{i}") for i in range(2)]
        self.factor = self.add_weight(shape=LARGE, name="factor")

    def call(self, x):
        a, b = self.weights_of_sum
        return ops.sum(a + b, keepdims=True) + ops.sum(self.factor * x, keepdims=True)


def test_a_step_leaves_data_and_shared_gradients_alone():
    model = gl.Sequential([layers.Input(batch_shape=LARGE), Offset()])
    model.compile(optimizers.SGD(1.0), loss=lambda y, found: ops.sum(found, axis=-1))
    before = [w.numpy().copy() for w in model.trainable_variables]
    x = drawn()
    taken = [w.value for w in model.trainable_variables]
    model.train_on_batch(x, np.zeros((3, 1), "float32"))
    np.testing.assert_array_equal(x, drawn())
    for pull, old, kept, w in zip((1, 1, x), before, taken, model.trainable_variables):
        np.testing.assert_allclose(w.numpy(), old - pull, rtol=1e-6)
        np.testing.assert_array_equal(kept, old)
