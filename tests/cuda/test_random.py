"""Random numbers made on the GPU: NumPy's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS

import gpulayers as gl
from gpulayers.arrays import random

SEED = (2**64 - 3, 2**33 + 5)


@pytest.fixture
def like(cupy):
    return cupy.asarray(np.zeros(1, "f4"))


@pytest.fixture(autouse=True)
def _nothing_comes_from_the_cpu(monkeypatch, like):
    monkeypatch.setattr(random.devices, "put", None)


def same(function, like, shape, *parameters, dtype=None):
    given = {"seed": SEED} if dtype is None else {"seed": SEED, "dtype": dtype}
    found = function(shape, *parameters, like=like, **given)
    assert type(found) is type(like)
    found, expected = found.get(), function(shape, *parameters, **given)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-0.3, 0.7), (5, 5), (1000.0, 1001.0)])
def test_uniform_numbers(like, bounds, dtype):
    same(random.uniform, like, (3, 701), *bounds, dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", [random.normal, random.truncated_normal])
def test_normal_numbers(like, function, dtype):
    same(function, like, (20_000,), 0.0, 1.0, dtype=dtype)
    same(function, like, (5, 7), -3.0, 0.01, dtype=dtype)


def test_normal_numbers_of_the_far_tail(like):
    """One number in 10**11 lies there: the part is such that the extreme one of these does."""
    from gpulayers.cuda import random as kernels

    q = random.philox.centred(*SEED, 1000, "float64")
    part = (0.5 - 1e-12) / np.abs(q).max()
    found = kernels.normal(SEED, (1000,), "float64", 0.0, 1.0, part).get()
    assert np.abs(found).max() > 7
    assert np.array_equal(found, random.normal_quantile(q * part))


@pytest.mark.parametrize("shape", [(), 0, 1, 3, 4, 5, 8, 9, (2047,), (2049,)])
def test_sizes(like, shape):
    same(random.uniform, like, shape)
    same(random.uniform, like, shape, dtype="float64")
    same(random.normal, like, shape)
    same(random.dropout_mask, like, shape, 0.3)


def test_other_draws_come_from_the_cpu(cupy, like, monkeypatch):
    monkeypatch.undo()
    same(random.uniform, like, (4, 2), np.zeros(2, "f4"), 1.0)
    same(random.randint, like, (4, 2), 0, 10)


def test_numbers_lie_beside_their_array(cupy):
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two GPUs")
    with cupy.cuda.Device(1):
        there = cupy.asarray(np.zeros(1, "f4"))
    assert random.normal((3,), seed=1, like=there).device.id == 1


def test_a_seed_moves_on_once(like):
    made = [random.SeedGenerator(5) for _ in range(2)]
    for _ in range(2):
        a = random.normal((3,), seed=made[0], like=like).get()
        assert np.array_equal(a, random.normal((3,), seed=made[1]))


def test_public_functions_draw_on_the_device_of_new_weights(cupy, like, monkeypatch):
    """As a Keras layer that adds `random.normal(shape)` to its inputs expects."""
    monkeypatch.undo()
    draws = {"uniform": (), "normal": (), "truncated_normal": (), "randint": (0, 1 << 20)}
    for name, parameters in draws.items():
        function = getattr(gl.random, name)
        with gl.device("gpu"):
            found = function((2, 3), *parameters, seed=SEED)
        assert type(found) is type(like)
        with gl.device("cpu"):
            expected = function((2, 3), *parameters, seed=SEED)
            beside = function((2, 3), *parameters, seed=SEED, like=like)
        assert type(expected) is np.ndarray
        assert type(beside) is type(like)
        assert np.array_equal(found.get(), expected)


def test_a_sampling_layer_of_keras_scripts(cupy):
    class Sampling(gl.layers.Layer):
        def call(self, inputs):
            mean, log_variance = inputs
            noise = gl.random.normal(mean.shape, seed=SEED)
            return mean + gl.ops.exp(0.5 * log_variance) * noise

    with gl.device("gpu"):
        given = [gl.ops.zeros((2, 3)), gl.ops.zeros((2, 3))]
        found = Sampling()(given)
    assert np.array_equal(found.get(), random.normal((2, 3), seed=SEED))
