"""Modules of Flax as layers."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from flax import linen

import gpulayers as gl
from gpulayers import layers

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


class Module(linen.Module):
    """Weights, statistics and random numbers."""

    @linen.compact
    def __call__(self, inputs, training):
        x = linen.Dense(5)(inputs)
        x = linen.BatchNorm(use_running_average=not training)(x)
        x = linen.Dropout(0.2, deterministic=not training)(linen.tanh(x))
        return linen.Dense(2)(x)

    def doubled(self, inputs):
        return 2 * self(inputs, False)


class Plain(linen.Module):
    @linen.compact
    def __call__(self, inputs):
        return linen.Dense(3)(inputs)


def test_values():
    module = Module()
    variables = module.init(jax.random.PRNGKey(0), X, False)
    layer = layers.FlaxLayer(module, variables=variables)
    np.testing.assert_allclose(layer(X), module.apply(variables, X, False), rtol=1e-5, atol=1e-6)
    assert layer(gl.Input((4,))).shape == (None, 2)


def test_another_method():
    module = Module()
    variables = module.init(jax.random.PRNGKey(0), X, False)
    layer = layers.FlaxLayer(module, method="doubled", variables=variables)
    expected = 2 * module.apply(variables, X, False)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-5, atol=1e-6)


def test_training_in_a_model(tmp_path):
    model = gl.Sequential([gl.Input((4,)), layers.FlaxLayer(Module(), seed=1)])
    statistics = [v.numpy() for v in model.non_trainable_weights]
    model.compile(gl.optimizers.Adam(0.02), "mse")
    losses = model.fit(X, X[:, :2], epochs=60, verbose=0).history["loss"]
    assert np.mean(losses[-5:]) < losses[0] / 2
    assert len(model.trainable_weights) == 6
    for before, after in zip(statistics, model.non_trainable_weights, strict=True):
        assert (before != after.numpy()).any()
    model.save_weights(tmp_path / "w.weights.h5")
    expected = model.predict(X, verbose=0)
    model.fit(X, X[:, :2], verbose=0)
    model.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(model.predict(X, verbose=0), expected)


def test_a_module_without_state():
    layer = layers.FlaxLayer(Plain())
    assert layer(X).shape == (16, 3)
    assert [v.name for v in layer.weights] == ["Dense_0_bias", "Dense_0_kernel"]


def test_what_is_no_module():
    with pytest.raises(TypeError, match=r"expected a flax\.linen\.Module, got str"):
        layers.FlaxLayer("dense")
    with pytest.raises(NotImplementedError, match="save_weights"):
        layers.FlaxLayer(Plain()).get_config()
