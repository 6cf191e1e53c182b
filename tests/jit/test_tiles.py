"""Tiles of sums in registers, against NumPy's products."""

from __future__ import annotations

import numpy as np
import pytest

from gpulayers import jit
from gpulayers.jit import tiles
from gpulayers.jit.tiles import address, move, tile


@jit.kernel("out")
def two(a, rows, columns, b, start, same, places, out, count, least, most, first, last):
    """A tile with two vectors to a row; the other with one, and twice as many rows."""
    x, steps = (address(a), first), (address(columns), 0, count)
    z, to = (address(start), 0, address(same), 0), (address(out), 0, address(places), 0)
    tile(0, 2, x, (address(rows), 0), steps, (b, 0), z, to, (least, most))


@jit.kernel("out")
def one(a, rows, columns, b, start, same, places, out, count, least, most, first, last):
    x, steps = (address(a), first), (address(columns), 0, count)
    z, to = (address(start), 0, address(same), 0), (address(out), 0, address(places), 0)
    tile(0, 1, x, (address(rows), 0), steps, (b, 0), z, to, (least, most))


@jit.kernel("out")
def lanes(a, rows, columns, b, start, same, places, out, count, least, most, first, last):
    """Lane by lane, with three rows."""
    x, steps = (address(a), first), (address(columns), 0, count)
    z, to = (address(start), 0, address(same), 0), (address(out), 0, address(places), 0)
    tile(3, 0, x, (address(rows), 0), steps, (b, 0), z, to, (least, most))


@jit.kernel("out")
def moved(x, out, first, last):
    move(x.dtype.type(0), (address(x), first), (address(out), last))


def drawn(dtype, height, wide, count):
    """Arguments of a kernel, and products as NumPy makes them of single numbers of `a`."""
    rng = np.random.default_rng(count)
    a, b = rng.normal(size=500).astype(dtype), rng.normal(size=(count, wide)).astype(dtype)
    rows, columns = rng.integers(0, 200, height), rng.integers(0, 200, count)
    start, places = rng.normal(size=wide).astype(dtype), rng.permutation(height) * wide
    out, same = np.full(height * wide, np.nan, dtype), np.zeros(height, np.intp)
    args = a, rows, columns, b.reshape(-1), start, same, places, out, count
    return args, a[7 + rows[:, None] + columns], b


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [0, 1, 2, 33])
@pytest.mark.parametrize(("kernel", "vectors"), [(two, 2), (one, 1)])
def test_products(dtype, count, kernel, vectors):
    height, width = tiles.shape(np.dtype(dtype).itemsize)
    height *= 2 // vectors
    args, seen, b = drawn(dtype, height, vectors * width, count)
    expected = np.clip(args[4] + seen @ b, -2, 3)
    kernel(*args, -2.0, 3.0, 7, 0)
    found = args[7].reshape(height, -1)[args[6] // (vectors * width)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_lane_by_lane(dtype, count):
    _, width = tiles.shape(np.dtype(dtype).itemsize)
    args, _, b = drawn(dtype, 3, width, count)
    a, rows, columns, *_ = args
    each = 7 + rows[:, None, None] + columns[:, None] + np.arange(width)
    lanes(*args, -np.inf, np.inf, 7, 0)
    found = args[7].reshape(3, width)[args[6] // width]
    np.testing.assert_allclose(found, args[4] + (a[each] * b).sum(1), rtol=1e-5, atol=1e-5)


def test_what_is_no_number_stays():
    _, width = tiles.shape(4)
    args, *_ = drawn("float32", 3, width, 1)
    args[0][:] = [np.nan, np.inf] * 250
    lanes(*args, 0.0, 6.0, 7, 0)
    found = args[7]
    assert np.isnan(found).any()
    assert not np.isinf(found).any()


def test_a_vector_moves():
    _, width = tiles.shape(8)
    x, out = np.arange(30.0), np.zeros(30)
    moved(x, out, 3, 5)
    np.testing.assert_array_equal(out[5 : 5 + width], x[3 : 3 + width])
    assert out.sum() == x[3 : 3 + width].sum()
