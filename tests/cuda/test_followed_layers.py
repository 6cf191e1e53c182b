"""Batch normalizations that an activation follows in graphs: both in the pass of the first."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_plan_checks import model_of, numbers

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.arrays import Tape


def residual(x):
    """A block of a ResNet: one of its normalizations is followed by a sum."""
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False)(x)))
    y = L.BatchNormalization()(L.Conv2D(4, 1, use_bias=False)(y))
    return L.Activation("relu")(L.Add()([x, y]))


def others(x):
    x = L.Activation("tanh")(L.BatchNormalization(center=False)(x))
    return L.Activation("sigmoid")(L.BatchNormalization(axis=1, scale=False)(x))


def shared(x):
    """A layer that is called twice, once followed by an activation."""
    layer = L.BatchNormalization()
    return L.Add()([L.ReLU()(layer(x)), layer(x)])


def trained(cupy, model, x, training):
    """Outputs, gradients of all weights and of the input, and moving statistics."""
    start = [cupy.array(w.value) for w in model.non_trainable_variables]
    with Tape() as tape:
        given = tape.watch(x)
        y = model(given, training=training)
    weight = cupy.asarray(np.cos(np.arange(y.value.size)).reshape(y.shape))
    grads = tape.gradient(y, [given, *model.trainable_variables], weight)
    moving = [w.value for w in model.non_trainable_variables]
    for w, before in zip(model.non_trainable_variables, start, strict=True):
        w.assign(before)
    return [y.value, *grads, *moving]


def both_ways(cupy, model, launched, pairs, rtol=1e-5, training=True):
    """So many pairs of layers save a launch each, and change nothing else."""
    x = cupy.asarray(numbers(3, 6, 5, 4)).astype(model.compute_dtype)
    model(x)
    launched.clear()
    found = trained(cupy, model, x, training)
    fewer = len(launched)
    launched.clear()
    model._graph._joined = {}
    expected = trained(cupy, model, x, training)
    assert len(launched) == fewer + pairs
    largest = max(np.abs(g.get().astype("f4")).max() for g in expected if g is not None)
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            a, b = (g.get().astype("f4") for g in (a, b))
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * largest)


MODELS = {"residual": (residual, 1), "others": (others, 2), "shared": (shared, 1)}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_same_with_fewer_launches(cupy, launched, name, training):
    build, pairs = MODELS[name]
    both_ways(cupy, model_of(build, (6, 5, 4)), launched, pairs, training=training)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_in_16_bits(cupy, launched, policy):
    rtol = {"mixed_float16": 4e-3, "mixed_bfloat16": 4e-2}[policy]
    both_ways(cupy, model_of(residual, (6, 5, 4), policy), launched, 1, rtol)


def normalized(x, **options):
    return L.BatchNormalization(**options)(x)


APART = {
    "read by others": lambda x: (lambda y: L.Add()([L.ReLU()(y), y]))(normalized(x)),
    "its own activation": lambda x: L.ReLU()(normalized(x, activation="relu")),
    "regularized": lambda x: L.ReLU()(normalized(x, activity_regularizer="l2")),
    "renormalized": lambda x: L.ReLU()(normalized(x, renorm=True)),
    "a bend": lambda x: L.ReLU(negative_slope=0.1)(normalized(x)),
    "another function": lambda x: L.Activation("gelu")(normalized(x)),
    "another dtype": lambda x: L.ReLU(dtype="float64")(normalized(x)),
    "told to train": lambda x: L.ReLU()(L.BatchNormalization()(x, training=True)),
}


@pytest.mark.parametrize("name", APART)
def test_what_needs_calls_of_layers(cupy, launched, name):
    both_ways(cupy, model_of(APART[name], (6, 5, 4)), launched, 0)


def test_what_is_an_output(cupy):
    def build(x):
        y = normalized(x)
        return [y, L.ReLU()(y)]

    model = model_of(build, (6, 5, 4))
    below, above = model(cupy.asarray(numbers(3, 6, 5, 4)), training=True)
    np.testing.assert_array_equal(above.get(), np.maximum(below.get(), 0))
    assert (below.get() < 0).any()


def test_a_fit_as_on_the_cpu(cupy):
    x, y = numbers(32, 6, 5, 4), numbers(32, 6, 5, 4)

    def losses(device):
        gl.config.set_device(device)
        gl.utils.set_random_seed(3)
        inputs = gl.Input((6, 5, 4))
        model = gl.Model(inputs, residual(inputs))
        model.compile("adam", "mse")
        return model.fit(x, y, epochs=4, batch_size=8, shuffle=False, verbose=0).history["loss"]

    expected = losses("cpu")
    np.testing.assert_allclose(losses("gpu"), expected, rtol=1e-4)
