"""Reductions and running totals against NumPy's."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, holes, positive, real, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor

x = real(2, 3, 4)
AXES = [None, 1, -1, (0, 2)]


def log_sum_exp(a, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(a), axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize(
    "name", ["amax", "amin", "logsumexp", "max", "mean", "min", "prod", "ptp", "std", "sum", "var"]
)
def test_of_floats(name, axis):
    reference = log_sum_exp if name == "logsumexp" else getattr(np, name)
    function = getattr(ops, name)
    check_function(lambda a: function(a, axis=axis), [x], reference(x, axis=axis))
    kept = function(x, list(axis) if isinstance(axis, tuple) else axis, True)
    same(kept, reference(x, axis=axis, keepdims=True))


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["all", "any", "count_nonzero"])
def test_of_truth_values(name, axis):
    a = (x > 0).astype(np.float32)
    a[0, 0] = 0
    function, reference = getattr(ops, name), getattr(np, name)
    check_function(lambda a: function(a, axis=axis), [a], reference(a, axis=axis))


@pytest.mark.parametrize("axis", [None, 1, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions(name, axis):
    function, reference = getattr(ops, name), getattr(np, name)
    expected = reference(x, axis=axis)
    check_function(lambda a: function(a, axis=axis), [x], expected)
    assert function(x, axis).dtype == np.int32
    same(function(x, axis, True), reference(x, axis=axis, keepdims=True))
    assert function([False, True, False]) == reference([False, True, False])


@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
@pytest.mark.parametrize(
    "name", ["nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar"]
)
def test_nan_is_left_out(name, axis):
    a = holes(2, 3, 4)
    function, reference = getattr(ops, name), getattr(np, name)
    same(function(a, axis=axis), reference(a, axis=axis), 1e-12)
    same(function(a, axis=axis, keepdims=True), reference(a, axis=axis, keepdims=True), 1e-12)
    check_gradient(lambda a: function(a, axis=axis), x)
    whole = np.array([[1, 5, 2], [0, 3, 3]])
    kind = "i" if name in ("nanmax", "nanmin", "nansum", "nanprod") else "f"
    same(function(whole, axis=0), reference(whole, axis=0).astype(kind))
    assert function(KerasTensor((None, 3)), axis=1).shape == (None,)


def test_nothing_but_nan():
    a = np.array([[np.nan, np.nan], [1.0, np.nan]])
    for name in ("nanmax", "nanmin", "nanmean", "nanvar", "nanstd"):
        assert np.isnan(getattr(ops, name)(a, axis=1)).tolist() == [True, False]
    np.testing.assert_array_equal(ops.nansum(a, axis=1), [0, 1])
    np.testing.assert_array_equal(ops.nanprod(a, axis=1), [1, 1])
    np.testing.assert_array_equal(ops.nanargmax(a, axis=1), [-1, 0])
    np.testing.assert_array_equal(ops.nanargmin(a, axis=0), [1, -1])


def test_nan_positions():
    a = holes(3, 4)
    for name in ("nanargmax", "nanargmin"):
        for axis in (None, 0, 1):
            same(getattr(ops, name)(a, axis), getattr(np, name)(a, axis).astype("i4"))


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
def test_running_totals(name, axis):
    function, reference = getattr(ops, name), getattr(np, name)
    check_function(lambda a: function(a, axis=axis), [x], reference(x, axis=axis))
    a = holes(3, 4)
    same(function(a, axis), reference(a, axis=axis))
    whole = np.array([[1, 2], [3, 4]], np.int16)
    assert function(whole, axis).dtype == np.int16
    assert function(whole, axis, dtype="float32").dtype == np.float32
    assert function(whole > 2, axis).dtype == np.int32
    half = ops.cast(x, "bfloat16")
    assert ops.dtype(function(half, axis)) == "bfloat16"
    assert function(half, axis, dtype="float32").dtype == np.float32


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("axis", [1, -1])
def test_differences(n, axis):
    check_function(lambda a: ops.diff(a, n, axis), [x], np.diff(x, n, axis))
    same(ops.diff(x > 0, n, axis), np.diff(x > 0, n, axis))
    with pytest.raises(ValueError, match="n must be 0 or more"):
        ops.diff(x, -1)


def test_areas():
    places = np.array([0.0, 1, 1.5, 3])
    check_function(lambda a: ops.trapezoid(a, dx=0.5), [x], np.trapezoid(x, dx=0.5))
    check_function(lambda a: ops.trapezoid(a, axis=1), [x], np.trapezoid(x, axis=1))
    check_function(ops.trapezoid, [x, places], np.trapezoid(x, places))
    steps = positive(2, 3, 4)
    check_function(ops.trapezoid, [x, steps], np.trapezoid(x, steps))


def test_moments():
    check_function(lambda a: ops.moments(a, [0, 1]), [x], (x.mean((0, 1)), x.var((0, 1))))
    large = np.array([0, 60000, -60000], np.float16)
    assert ops.moments(large, 0)[1] == 65504
    with pytest.raises(ValueError, match="synchronized"):
        ops.moments(x, 0, synchronized=True)


def test_dtypes():
    for dtype in ("bool", "int8", "uint8", "int16", "uint16", "int32"):
        ones = ops.ones(3, dtype)
        assert ops.sum(ones).dtype == ops.prod(ones).dtype == np.int32
        assert ops.mean(ones).dtype == ops.var(ones).dtype == np.float32
        assert ops.max(ones).dtype == ones.dtype
    assert ops.sum(np.ones(3, np.int64)).dtype == np.int64
    assert ops.prod(np.ones(3), dtype="int32").dtype == np.int32
    assert ops.dtype(ops.mean(ops.ones(3, "bfloat16"))) == "bfloat16"
    assert ops.prod(ops.ones(3, "bfloat16"), dtype="float32").dtype == np.float32


def test_no_axes():
    for function in (ops.sum, ops.mean, ops.max):
        np.testing.assert_array_equal(function(x, axis=()), x)


def test_initial_elements():
    assert ops.max(x, initial=99.0) == 99
    assert ops.min(x, initial=-99.0) == -99
    assert ops.max([True, False], initial=False)
    assert ops.max(np.zeros((2, 0)), axis=1, initial=1.0).tolist() == [1, 1]
    with pytest.raises(ValueError, match="zero-size"):
        ops.max(np.zeros((2, 0)))


def test_logarithms_of_nothing():
    with np.errstate(divide="ignore"):
        assert ops.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf
    assert ops.logsumexp(np.array([1000.0, 1000.0])) == 1000 + np.log(2)
    assert ops.logsumexp([1, 2]).dtype == np.float32


def test_initial_leaves_the_dtype():
    """Of empty arrays too (Keras gives that of `initial` on PyTorch)."""
    out = ops.max(np.zeros((1, 0), np.float32), initial=1, keepdims=True)
    assert (out.dtype, out.tolist()) == (np.float32, [[1.0]])
