"""Means with weights, quantiles, counts and correlations against NumPy's."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, holes, positive, real, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor

x = real(2, 3, 4)


@pytest.mark.parametrize("axis", [None, 1, -1, (0, 2)])
def test_average(axis):
    weights = positive(2, 3, 4)
    check_function(lambda a: ops.average(a, axis), [x], np.average(x, axis))
    expected = np.average(x, axis, weights)
    check_function(lambda a, w: ops.average(a, axis, w), [x, weights], expected)
    short = positive(3)
    same(ops.average(x, 1, short), np.average(x, 1, short), 1e-12)
    assert ops.average([1, 2], weights=[True, False]).dtype == np.float32


METHODS = ["linear", "lower", "higher", "midpoint", "nearest"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("axis", [None, 1, (0, -1)])
def test_quantiles(method, axis):
    for name, a in (("quantile", x), ("nanquantile", holes(2, 4, 5))):
        function, reference = getattr(ops, name), getattr(np, name)
        for q in (0.3, np.array([0.0, 0.45, 1.0])):
            same(function(a, q, axis, method), reference(a, q, axis, method=method), 1e-12)
            options = {"axis": axis, "method": method, "keepdims": True}
            same(function(a, q, **options), reference(a, q, **options), 1e-12)
    q = np.array([[0.5], [0.75]])
    same(ops.quantile(x, q, axis, method), np.quantile(x, q, axis, method=method), 1e-12)
    check_function(
        lambda a: ops.quantile(a, 0.3, axis, method), [x], np.quantile(x, 0.3, axis, method=method)
    )


def test_percentiles_and_medians():
    q, a = np.array([10.0, 65.0]), holes(4, 5)
    same(ops.percentile(x, q, axis=1), np.percentile(x, q, axis=1), 1e-12)
    same(ops.nanpercentile(a, 30, 1, keepdims=True), np.nanpercentile(a, 30, 1, keepdims=True))
    check_function(ops.median, [x], np.median(x))
    check_function(lambda a: ops.median(a, [0, 1]), [x], np.median(x, (0, 1)))
    same(ops.nanmedian(a, 1), np.nanmedian(a, 1))
    assert np.isnan(ops.median(a))
    assert np.isnan(ops.nanmedian(np.array([np.nan, np.nan])))
    assert ops.median([1, 2, 4, 5]) == 3
    assert ops.dtype(ops.quantile(ops.cast(x, "bfloat16"), 0.5)) == "bfloat16"
    assert ops.quantile(KerasTensor((None, 3)), [0.1, 0.2], axis=0).shape == (2, 3)
    with pytest.raises(ValueError, match="method"):
        ops.quantile(x, 0.5, method="middle")


def test_counts():
    a = np.array([1, 3, 3, 0])
    weights = real(4)
    same(ops.bincount(a), np.bincount(a))
    same(ops.bincount(a, minlength=6), np.bincount(a, minlength=6))
    same(ops.bincount(a, weights), np.bincount(a, weights))
    check_gradient(lambda w: ops.bincount(a, w), weights)
    same(ops.bincount(np.stack([a, a - a])), np.array([[1, 1, 0, 2], [4, 0, 0, 0]]))
    assert ops.bincount(a).dtype == np.int32
    assert ops.bincount(a, a.astype(np.int16)).dtype == np.int64
    assert ops.bincount(np.zeros(0, np.int32)).shape == (0,)
    with pytest.raises(ValueError, match="sparse"):
        ops.bincount(a, sparse=True)


@pytest.mark.parametrize("range", [None, (-1.0, 1.5)])
def test_histograms(range):
    a = np.append(x.ravel(), [-1.0, 1.5])
    counts, edges = ops.histogram(a, 5, range)
    expected = np.histogram(a, 5, range)
    same(counts, expected[0].astype(float))
    same(edges, expected[1])


def test_odd_histograms():
    same(
        ops.histogram(np.array([2.0, 2.0]), 2), tuple(map(np.asarray, ([0.0, 2.0], [1.5, 2, 2.5])))
    )
    same(ops.histogram(np.zeros(0), 1), tuple(map(np.asarray, ([0.0], [0.0, 1.0]))))
    with pytest.raises(TypeError, match="bins"):
        ops.histogram(x, 2.5)
    with pytest.raises(ValueError, match="bins"):
        ops.histogram(x, 0)
    for wrong in ((1, 0), (1,)):
        with pytest.raises(ValueError, match="range must be two numbers that go up"):
            ops.histogram(x, range=wrong)


def test_correlations():
    rows = np.random.default_rng(0).normal(size=(3, 5))
    check_function(ops.corrcoef, [rows], np.corrcoef(rows), rtol=1e-10)
    same(ops.corrcoef(rows[0]), np.corrcoef(rows[0]), 1e-10)


def test_signal_to_noise():
    a, b = positive(3, 4), real(3, 4)
    expected = 10 * np.log10(4 / np.mean((a - b) ** 2))
    check_function(lambda a, b: ops.psnr(a, b, 2.0), [a, b], expected)
    with pytest.raises(ValueError, match="one shape"):
        ops.psnr(a, b[:2], 1.0)


# Nearly equal numbers.


def test_closeness():
    a = np.array([1.0, 1.0, np.inf, np.inf, np.nan, 0.0])
    b = np.array([1.0 + 1e-6, 1.1, np.inf, -np.inf, np.nan, 1e-9])
    with np.errstate(invalid="ignore"):
        same(ops.isclose(a, b), np.isclose(a, b))
        same(ops.isclose(a, b, equal_nan=True), np.isclose(a, b, equal_nan=True))
        same(ops.isclose(a, b, rtol=0.2), np.isclose(a, b, rtol=0.2))
    check_function(ops.isclose, [x, x + 1e-9], np.ones_like(x, bool))
    check_function(ops.allclose, [x, x + 1e-9], np.True_)
    assert not ops.allclose(x, x + 0.1)
    assert ops.isclose(2, [1, 2]).tolist() == [False, True]
