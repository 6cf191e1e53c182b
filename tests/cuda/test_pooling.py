"""Kernels of pooling."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, TOLERANCE, check_version, kind

from gpulayers.arrays import Tape
from gpulayers.cuda import pooling as kernels
from gpulayers.ops import pooling as ops
from gpulayers.ops.sliding import margins

BOTH = [ops.max_pooling, ops.average_pooling]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def check(cupy, op, shape, windows, strides=1, padding="same", dtype="float32", order="C"):
    rank = len(windows)
    strides = (strides,) * rank if isinstance(strides, int) else strides
    if isinstance(padding, str):
        padding = margins(padding, shape[1:-1], windows, strides, (1,) * rank)
    check_version(
        cupy, op, numbers(*shape), dtype=dtype, order=order, atol=4 * TOLERANCE[dtype],
        windows=windows, strides=strides, padding=padding,
    )  # fmt: skip


@pytest.mark.parametrize("op", BOTH)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [1, 3, 8, 17])
@pytest.mark.parametrize("strides", [1, 2, (3, 1)])
def test_strides(cupy, op, strides, channels, dtype):
    check(cupy, op, (2, 7, 6, channels), (3, 2), strides, dtype=dtype)


@pytest.mark.parametrize("op", BOTH)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, 4])
def test_windows(cupy, op, rank, padding, strides):
    sizes, windows = ((9,), (8, 9), (4, 5, 8))[rank - 1], ((3,), (2, 3), (1, 3, 2))[rank - 1]
    check(cupy, op, (2, *sizes, 4), windows, strides, padding)


@pytest.mark.parametrize("op", BOTH)
@pytest.mark.parametrize("padding", [((0, 3),), ((1, 0),), ((-1, 1),), ((2, 2),)])
def test_any_margins(cupy, op, padding):
    check(cupy, op, (2, 9, 4), (3,), 2, padding)


@pytest.mark.parametrize("op", BOTH)
def test_views(cupy, op):
    check(cupy, op, (2, 5, 6, 8), (2, 2), 2, order="view")


@pytest.mark.parametrize("op", BOTH)
@pytest.mark.parametrize("shape", [(0, 5, 4), (2, 2, 4)])
def test_nothing_to_compute(cupy, op, shape):
    check(cupy, op, shape, (3,), padding=((0, 0),))


@pytest.mark.parametrize(("windows", "kind_of"), [((16, 16), "uint8"), ((257,), "uint16")])
def test_positions_in_the_fewest_bits(cupy, windows, kind_of):
    assert kernels._positions(windows) == kind_of
    sizes = tuple(n + 2 for n in windows)
    check(cupy, ops.max_pooling, (1, *sizes, 2), windows, 1, "valid")


def test_positions_of_32_bits(cupy, monkeypatch):
    monkeypatch.setattr(kernels, "POSITIONS", ((1, "uint8"), (2, "uint16"), (2**31, "uint32")))
    for dtype in FLOATS:
        check(cupy, ops.max_pooling, (2, 9, 8), (3,), 2, dtype=dtype)


def test_means_of_all(cupy):
    check(cupy, ops.average_pooling, (4, 32, 33, 17), (32, 33), 1, "valid")
    check(cupy, ops.average_pooling, (4, 3, 3, 5), (3, 3), 1, "valid")


@pytest.mark.parametrize("dtype", FLOATS)
def test_extremes(cupy, dtype):
    """NaN wins, the first of equal values gets the gradient, infinities are ordered."""
    inf, nan = np.inf, np.nan
    x = np.array([[1, 1, -inf, -inf, 2, nan, inf, nan, -inf, inf]], kind(dtype)).reshape(1, 10, 1)
    x = cupy.asarray(x)
    options = {"windows": (2,), "strides": (2,), "padding": ((0, 0),)}
    with Tape() as tape:
        y = ops.max_pooling(tape.watch(x), **options)
    expected = [1, -inf, nan, nan, inf]
    np.testing.assert_array_equal(y.value.get().astype("f8").ravel(), expected)
    g = cupy.asarray(np.arange(1, 6).reshape(1, 5, 1).astype(kind(dtype)))
    (dx,) = tape.gradient([y], [x], [g])
    np.testing.assert_array_equal(dx.get().astype("f8").ravel(), [1, 0, 2, 0, 0, 3, 0, 4, 0, 5])


def test_other_dtypes_are_left_to_the_reference(cupy):
    x = cupy.asarray(np.arange(12, dtype="i4").reshape(1, 6, 2))
    options = {"windows": (2,), "strides": (2,), "padding": ((0, 0),)}
    assert ops.max_pooling.version("cupy")(x, **options) is NotImplemented
    assert ops.max_pooling(x, **options).get().ravel().tolist() == [2, 3, 6, 7, 10, 11]
