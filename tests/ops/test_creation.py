"""New arrays."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, real, same

from gpulayers import config, ops
from gpulayers.arrays import KerasTensor


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_filled_arrays(name):
    function = getattr(ops, name)
    for shape in (3, (2, 3), [2, 3], np.array([2, 3]), ()):
        out = function(shape)
        assert out.dtype == np.float32
        assert out.shape == np.zeros(shape).shape
        if name != "empty":
            same(out, getattr(np, name)(shape))
    assert function(2, dtype="int8").dtype == np.int8
    assert ops.dtype(function(2, "bfloat16")) == "bfloat16"
    config.set_floatx("float16")
    assert function(2).dtype == np.float16


def test_full():
    same(ops.full((2, 3), 0.5), np.full((2, 3), 0.5))
    same(ops.full((2, 3), [1, 2, 3]), np.full((2, 3), [1.0, 2, 3]))
    assert ops.full(2, 3, "int16").dtype == np.int16


@pytest.mark.parametrize("name", ["zeros_like", "ones_like", "empty_like", "full_like"])
def test_alike(name):
    function, more = getattr(ops, name), (3,) if name == "full_like" else ()
    for dtype in ("float32", "bfloat16", "int8", "bool"):
        x = ops.ones((2, 3), dtype)
        assert function(x, *more).dtype == x.dtype
        assert function(x, *more, dtype="int32").dtype == np.int32
        assert function(x, *more).shape == (2, 3)
    assert function(KerasTensor((None, 3)), *more).shape == (None, 3)
    assert ops.full_like([1, 2], 7).tolist() == [7, 7]


def test_matrices():
    same(ops.eye(3), np.eye(3))
    same(ops.eye(3, 4, 1), np.eye(3, 4, 1))
    same(ops.eye(4, 3, k=-2, dtype="int32"), np.eye(4, 3, -2, dtype="int32"))
    same(ops.identity(2), np.identity(2))
    same(ops.tri(3, 4, -1), np.tri(3, 4, -1))
    same(ops.tri(3), np.tri(3))


@pytest.mark.parametrize(
    ("args", "dtype"),
    [((5,), "int32"), ((1, 7, 2), "int32"), ((4.0,), "float32"), ((0, 1, 0.25), "float32"),
     ((5, 0, -2), "int32")],
)  # fmt: skip
def test_ranges(args, dtype):
    same(ops.arange(*args), np.arange(*args))
    assert ops.arange(*args).dtype == dtype
    assert ops.dtype(ops.arange(*args, dtype="bfloat16")) == "bfloat16"
    assert ops.arange(np.int64(5)).dtype == np.int64


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("num", [0, 1, 5])
def test_spaced_numbers(endpoint, num):
    for start, stop in ((0.5, 10.5), (np.array([1.0, 2.0]), np.array([3.0, 8.0]))):
        options = {"num": num, "endpoint": endpoint}
        for name in ("linspace", "logspace", "geomspace"):
            expected = getattr(np, name)(start, stop, **options)
            same(getattr(ops, name)(start, stop, **options), expected, 1e-5)
        if np.ndim(start):
            found = ops.linspace(start, stop, num, endpoint, axis=-1)
            same(found, np.linspace(start, stop, num, endpoint, axis=-1))


def test_more_spaced_numbers():
    numbers, step = ops.linspace(1, 2, 5, retstep=True)
    assert step == 0.25
    assert numbers.dtype == np.float32
    assert ops.linspace(0, 10, 5, dtype="int32").tolist() == [0, 2, 5, 7, 10]
    same(ops.logspace(0, 3, 4, base=2), np.array([1.0, 2, 4, 8]))
    same(ops.geomspace(-1, -1000, 4), np.array([-1.0, -10, -100, -1000]), 1e-6)
    assert ops.dtype(ops.logspace(0, 1, 3, dtype="bfloat16")) == "bfloat16"
    assert ops.linspace(np.float64(0), 1, 3).dtype == np.float64
    check_gradient(lambda a, b: ops.linspace(a, b, 4), real(2), real(2) + 1)
    assert ops.linspace(KerasTensor((2,)), KerasTensor((2,)), 5).shape == (5, 2)


@pytest.mark.parametrize("name", ["bartlett", "blackman", "hamming", "hanning"])
def test_windows(name):
    for size in (1, 2, 9):
        np.testing.assert_allclose(getattr(ops, name)(size), getattr(np, name)(size), atol=1e-7)
        np.testing.assert_allclose(ops.kaiser(size, 4.0), np.kaiser(size, 4.0), atol=1e-7)
    assert getattr(ops, name)(np.array(4)).dtype == np.float32


def test_powers():
    x = real(3)
    for n in (None, 0, 1, 5):
        for increasing in (True, False):
            call = lambda a, n=n, i=increasing: ops.vander(a, n, i)
            check_function(call, [x], np.vander(x, n, increasing))


@pytest.mark.parametrize("name", ["linspace", "logspace", "geomspace"])
def test_a_single_number_is_the_start(name):
    """Of numbers and of arrays alike (Keras divides by 0 for arrays on PyTorch)."""
    start, stop = np.float32([1, 2]), np.float32([10, 20])
    first = 10**start if name == "logspace" else start
    np.testing.assert_allclose(getattr(ops, name)(start, stop, 1), [first], rtol=1e-6)
    np.testing.assert_allclose(getattr(ops, name)(1, 10, 1), first[:1], rtol=1e-6)
