"""SpectralNormalization: kernels divided by their largest singular value."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers
from gpulayers.arrays import Tape

X = np.random.default_rng(0).normal(size=(6, 5)).astype("f4")


def largest(kernel):
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


def test_the_largest_singular_value_becomes_one():
    layer = layers.SpectralNormalization(layers.Dense(3), power_iterations=50)
    before = layer(X)
    kernel = layer.layer.kernel.numpy()
    np.testing.assert_array_equal(layer(X, training=False), before)
    y = layer(X, training=True)
    np.testing.assert_allclose(layer.layer.kernel.numpy(), kernel / largest(kernel), rtol=1e-4)
    np.testing.assert_allclose(y, X @ layer.layer.kernel.numpy(), rtol=1e-5, atol=1e-6)
    assert [w.name for w in layer.weights] == ["kernel", "vector_u", "bias"]


def test_one_iteration_goes_on_where_the_last_ended():
    layer = layers.SpectralNormalization(layers.Dense(3))
    layer(X)
    kernel, u = layer.layer.kernel.numpy(), layer.vector_u.numpy()
    for _ in range(2):
        v = u @ kernel.T
        v /= np.linalg.norm(v)
        u = v @ kernel
        u /= np.linalg.norm(u)
        kernel = kernel / (v @ kernel @ u.T)
        layer(X, training=True)
        np.testing.assert_allclose(layer.vector_u.numpy(), u, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(layer.layer.kernel.numpy(), kernel, rtol=1e-4, atol=1e-6)


def test_the_singular_value_is_a_constant_for_gradients():
    layer = layers.SpectralNormalization(layers.Dense(3, use_bias=False))
    layer(X)
    with Tape() as tape:
        y = layer(X, training=True)
    grad = tape.gradient(y, layer.layer.kernel)
    np.testing.assert_allclose(grad, np.repeat(X.sum(0)[:, None], 3, 1), rtol=1e-5)


def test_zeros_are_left_as_they_are():
    layer = layers.SpectralNormalization(layers.Dense(3, kernel_initializer="zeros"))
    layer(X)
    u = layer.vector_u.numpy()
    assert np.array_equal(layer(X, training=True), np.zeros((6, 3)))
    assert np.array_equal(layer.vector_u.numpy(), u)


def test_tables_of_embeddings():
    layer = layers.SpectralNormalization(layers.Embedding(4, 3), power_iterations=50)
    layer(np.array([[0, 3]]), training=True)
    np.testing.assert_allclose(largest(layer.layer.embeddings.numpy()), 1, rtol=1e-4)


def test_a_step_that_raises_leaves_the_kernel_as_it_was():
    layer = layers.SpectralNormalization(layers.Dense(1))
    model = gl.Sequential([gl.Input((5,)), layer])
    model.compile("sgd", lambda y, p: 1 / 0)
    before = model.get_weights()
    with pytest.raises(ZeroDivisionError):
        model.fit(X, X[:, :1], verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_learns_and_is_saved(tmp_path):
    model = gl.Sequential([gl.Input((5,)), layers.SpectralNormalization(layers.Dense(1))])
    model.compile(gl.optimizers.Adam(0.01), "mse")
    losses = model.fit(X, X[:, :1] * 0.5, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    same = gl.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(same.predict(X, verbose=0), model.predict(X, verbose=0))


def test_errors():
    with pytest.raises(TypeError, match="SpectralNormalization: expected a Layer"):
        layers.SpectralNormalization("dense")
    with pytest.raises(ValueError, match="power_iterations must be a positive integer, got 0"):
        layers.SpectralNormalization(layers.Dense(1), power_iterations=0)
    with pytest.raises(ValueError, match="has no weight `kernel` or `embeddings`"):
        layers.SpectralNormalization(layers.ReLU())(X)
