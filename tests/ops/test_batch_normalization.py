"""Channels scaled by the moments of a batch, or by given ones."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive
from function_checks import real

from gpulayers.arrays import Tape
from gpulayers.cpu.batch_normalization import SAMPLED, LoopedChannels
from gpulayers.ops.batch_normalization import (
    batch_moments,
    followed,
    normalized_by,
    normalized_in_batch,
)

pytestmark = pytest.mark.usefixtures("loops")

SHAPES = [((3, 4), 1), ((2, 3, 2, 4), -1), ((3, 4, 5), 1), ((4, 3), 0), ((2, 1, 3), 1)]
CASES = pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)


def positive(n):
    return np.linspace(0.5, 1.5, n)


def others(x, axis):
    return tuple(i for i in range(x.ndim) if i != axis % x.ndim)


@CASES
def test_moments(shape, axis, xp):
    x = real(*shape)
    mean, variance = (xp.to_numpy(m) for m in batch_moments(xp.asarray(x), axis=axis))
    np.testing.assert_allclose(mean, x.mean(others(x, axis)), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(variance, x.var(others(x, axis)), rtol=1e-12)
    check_primitive(batch_moments, x, axis=axis)
    check_gradient(lambda x: batch_moments(x, axis=axis), x, xp=xp)


@CASES
@pytest.mark.parametrize("weights", [(), ("offset",), ("offset", "scale")], ids=len)
def test_given_moments(shape, axis, weights, xp):
    n = shape[axis]
    own = [real(n) if name in weights else None for name in ("offset", "scale")]
    given = (real(*shape), real(n), positive(n), *own)
    check_primitive(normalized_by, *given, axis=axis, epsilon=0.1)
    there = [a for a in given if a is not None]
    check_gradient(lambda *a: normalized_by(*a, axis=axis, epsilon=0.1), *there, xp=xp)


@CASES
@pytest.mark.parametrize("weights", [0, 2])
def test_own_moments(shape, axis, weights, xp):
    n, x = shape[axis], real(*shape)
    own = (positive(n), real(n))[:weights]
    out, mean, variance = normalized_in_batch(x, *own, axis=axis, epsilon=0.1)
    known = batch_moments(x, axis=axis)
    np.testing.assert_allclose((mean, variance), known, rtol=1e-12, atol=1e-14)
    expected = normalized_by.reference(x, *known, *own[::-1], axis=axis, epsilon=0.1)
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-12)
    check_primitive(normalized_in_batch, x, *own, axis=axis, epsilon=0.1)
    check_gradient(lambda *a: normalized_in_batch(*a, axis=axis, epsilon=0.1), x, *own, xp=xp)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_what_follows(activation, xp):
    x, gamma, beta = real(2, 5, 3), positive(3), real(3)
    options = {"axis": -1, "epsilon": 0.1, "activation": activation}
    check_primitive(normalized_in_batch, x, gamma, beta, **options)
    check_primitive(normalized_by, x, beta, gamma, **options)
    check_gradient(lambda *a: normalized_in_batch(*a, **options)[0], x, gamma, beta, xp=xp)
    check_gradient(lambda *a: normalized_by(*a, **options), x, beta, gamma, xp=xp)


@pytest.mark.parametrize("axis", [1, -1])
def test_weights_that_are_views(axis):
    x, (mean, variance) = real(2, 4, 4), positive(16).reshape(8, 2).T
    own = (mean[::2], variance[::2])
    options = {"axis": axis, "epsilon": 0.1}
    check_primitive(normalized_by, np.asfortranarray(x), *own, **options)
    check_primitive(normalized_in_batch, np.asfortranarray(x), *own, **options)


def test_masks(xp):
    x, mask = real(2, 4, 3), np.array([[True, True, False, True], [False] * 3 + [True]])
    own = (positive(3), real(3), mask)
    mean, variance = batch_moments(x, mask, axis=-1)
    np.testing.assert_allclose(mean, x[mask].mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, x[mask].var(0), rtol=1e-6)
    check_primitive(batch_moments, x, mask, axis=-1)
    check_primitive(normalized_in_batch, x, *own, axis=-1, epsilon=0.1)
    for function in (
        lambda a: batch_moments(a, xp.asarray(mask), axis=-1),
        lambda a: normalized_in_batch(a, None, None, xp.asarray(mask), axis=-1, epsilon=0.1),
    ):
        check_gradient(function, x, xp=xp)


def test_nothing_counts():
    mean, variance = batch_moments(real(2, 3), np.array([False, False]), axis=-1)
    assert np.array_equal(mean, [0, 0, 0])
    assert np.array_equal(variance, [0, 0, 0])


@pytest.mark.parametrize("shape", [(5000, 3), (40000, 5), (3, 5, 40000), (70000, 1), (3, 90000)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_many_blocks_in_float32(shape, axis):
    """As exact as two passes in float64, far from 0 too."""
    x = np.random.default_rng(0).normal(1000, 1, size=shape).astype("f4")
    x += np.linspace(0, 5, x.size, dtype="f4").reshape(shape)
    mean, variance = batch_moments(x, axis=axis)
    wide = x.astype("f8")
    np.testing.assert_allclose(mean, wide.mean(others(x, axis)), rtol=1e-7)
    np.testing.assert_allclose(variance, wide.var(others(x, axis)), rtol=1e-4, atol=1e-6)
    n = mean.size
    weights = [a.astype("f4") for a in (positive(n), real(n) / n)]
    arrays = (x - 1000, *weights)
    g = np.random.default_rng(1).normal(0.1, 1, size=shape).astype("f4")

    def run(call, arrays):
        with Tape() as tape:
            given = [tape.watch(a) for a in arrays]
            out, *_ = call(*given, axis=axis, epsilon=1e-3)
        return [out.value, *tape.gradient(out, given, g.astype(out.dtype))]

    found = run(normalized_in_batch, arrays)
    expected = run(normalized_in_batch.reference, [a.astype("f8") for a in arrays])
    for a, b in zip(found, expected, strict=True):
        scale = np.abs(b).max()
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=3e-5 * scale)


def test_short_floats_have_statistics_in_float32():
    x = real(4, 3).astype(np.float16)
    weights = (np.ones(3, "f4"), np.zeros(3, "f4"))
    out, mean, variance = normalized_in_batch(x, *weights, axis=-1, epsilon=1e-3)
    assert (out.dtype, mean.dtype, variance.dtype) == (np.float32,) * 3


@pytest.mark.parametrize("axis", [-1, 1])
def test_a_sample_that_misleads(axis):
    """Rows that are looked at first are zeros, all others far away."""
    x = np.random.default_rng(0).normal(1000, 1, size=(5000, 3)).astype("f4")
    x[:: -(-5000 // SAMPLED)] = 0
    x = x if axis == -1 else np.ascontiguousarray(x.reshape(5000, 1, 3).transpose(0, 2, 1))
    mean, variance = batch_moments(x, axis=axis)
    wide = x.astype("f8")
    np.testing.assert_allclose(mean, wide.mean(others(x, axis)), rtol=1e-6)
    np.testing.assert_allclose(variance, wide.var(others(x, axis)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (64, 32), (1001, 1), (3, 300)])
@pytest.mark.parametrize("options", [{}, {"activation": "relu"}, {"activation": "tanh"}])
def test_small_arrays_at_once(shape, options, monkeypatch):
    """What is done by one loop for small arrays is what several that threads share do."""
    x, g = real(*shape), real(*shape)[::-1].copy()
    x[..., 0] += 100  # Far from 0 beside its deviation.
    weights, found = (positive(shape[-1]), real(shape[-1])), []
    version = normalized_in_batch.version("numpy")
    options = {**options, "axis": -1, "epsilon": 1e-3}
    for small in (True, False):
        monkeypatch.setattr(LoopedChannels, "small", small)
        arrays = [a.astype("float32") for a in (x, *weights)]
        results, back = version(*arrays, None, needs=(True, True, True, False), **options)
        moments = [np.linspace(-1, 1, shape[-1], dtype="float32") for _ in range(2)]
        found.append([*results, *back((g.astype("float32"), *moments))[:3]])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5 * np.abs(other).max())


def test_moving_statistics(xp):
    arrays = [np.random.default_rng(i).normal(size=4) for i in range(4)]
    mean, variance = followed(*map(xp.asarray, arrays), momentum=0.9)
    np.testing.assert_allclose(xp.to_numpy(mean), arrays[0] * 0.9 + arrays[2] * 0.1)
    np.testing.assert_allclose(xp.to_numpy(variance), arrays[1] * 0.9 + arrays[3] * 0.1)
    check_primitive(followed, *arrays, momentum=0.9)
