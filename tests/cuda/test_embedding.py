"""Kernels of embeddings: rows of a table, their gradient, one-hot and multi-hot."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, TOLERANCE, check_version, kind

from gpulayers.arrays import Tape
from gpulayers.ops import multi_hot, one_hot
from gpulayers.ops.embedding import gather, hot, several_hot

IDS = np.array([[0, 1, 5, 5], [5, -1, 2, 5]])


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(("dtype", "ids"), [*zip(FLOATS, ["int64", "int32"] * 2)])
@pytest.mark.parametrize("width", [1, 3, 4, 8, 33])
def test_rows_and_their_gradients(cupy, width, dtype, ids):
    table = numbers(6, width)
    atol = 6 * TOLERANCE[dtype]
    check_version(cupy, gather, table, IDS.astype(ids), dtype=dtype, atol=atol)


@pytest.mark.parametrize("shape", [(6,), (6, 2, 3)])
@pytest.mark.parametrize("ids", [np.array(3), np.zeros((2, 0), int), IDS.astype("i1"), IDS])
def test_tables_and_indices_of_any_shape(cupy, shape, ids):
    check_version(cupy, gather, numbers(*shape), ids, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bool", "int16"])
def test_tables_of_other_dtypes(cupy, dtype):
    table = (numbers(6, 21) > 0).astype(dtype)
    assert np.array_equal(gather(cupy.asarray(table), cupy.asarray(IDS)).get(), table[IDS])


@pytest.mark.parametrize("count", [1023, 1024, 1025, 4096])
def test_sizes_around_a_block(cupy, count):
    """With rows of one vector, and with odd ones."""
    for width in (4, 3):
        table, ids = numbers(5, width).astype("f4"), np.arange(count) * 7 % 5
        assert np.array_equal(gather(cupy.asarray(table), cupy.asarray(ids)).get(), table[ids])


def test_views(cupy):
    table, ids = cupy.asarray(numbers(12, 8).astype("f4")), cupy.asarray(np.arange(10))
    part = table[::2, 1::2]
    assert np.array_equal(gather(part, ids[::2]).get(), part.get()[[0, 2, 4, 0, 2]])


def test_no_index_reads_beyond_the_table(cupy):
    table, ids = cupy.asarray(numbers(5, 3).astype("f4")), np.array([5, -6, 2**31 + 2, -(2**40)])
    assert np.array_equal(gather(table, cupy.asarray(ids)).get(), table.get()[ids % 5])


def test_gradients_have_the_same_bits_each_time(cupy, order):
    ids = np.random.default_rng(0).zipf(1.2, (20, 30)) % 50
    table, g = numbers(50, 12).astype("f4"), numbers(20, 30, 12, seed=1).astype("f4")

    def gradient():
        with Tape() as tape:
            given = cupy.asarray(table)
            out = gather(tape.watch(given), cupy.asarray(ids))
        return tape.gradient(out, [given], cupy.asarray(g))[0].get()

    expected = np.zeros((50, 12))
    np.add.at(expected, ids, g)
    first = gradient()
    np.testing.assert_allclose(first, expected, rtol=1e-5, atol=1e-4)
    assert first.tobytes() == gradient().tobytes()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "bool"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("size", [0, 1, 7])
def test_one_hot(cupy, axis, size, dtype):
    x = np.array([[0, 6, 7], [-1, 3, 1]])
    out = hot.version("cupy")(cupy.asarray(x), size=size, axis=axis, dtype=dtype).get()
    expected = hot.reference(x, size=size, axis=axis, dtype="float32")
    assert out.dtype == kind(dtype)
    assert np.array_equal(out.astype("f4"), expected)


@pytest.mark.parametrize("ids", ["int8", "uint64"])
@pytest.mark.parametrize("count", [0, 1, 4096 // 3, 4097])
def test_one_hot_of_any_size(cupy, ids, count):
    x = (np.arange(count) % 5).astype(ids)
    out = one_hot(cupy.asarray(x), 3).get()
    assert np.array_equal(out, (x[:, None] == np.arange(3)).astype("f4"))


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 5), (3, 0)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool"])
def test_multi_hot(cupy, shape, dtype):
    x = np.random.default_rng(0).integers(-1, 8, shape)
    options = {"size": 7, "axis": x.ndim, "over": min(1, x.ndim - 1), "dtype": dtype}
    out = several_hot.version("cupy")(cupy.asarray(x), **options).get()
    expected = several_hot.reference(x, **{**options, "dtype": "float32"})
    assert out.dtype == kind(dtype)
    assert np.array_equal(out.astype("f4"), expected)
    assert np.array_equal(multi_hot(cupy.asarray(x), 7).get(), multi_hot(x, 7))


@pytest.mark.parametrize("axis", [0, 1])
def test_other_places_of_the_classes(cupy, axis):
    x = np.random.default_rng(0).integers(0, 4, (3, 4))
    assert np.array_equal(multi_hot(cupy.asarray(x), 4, axis).get(), multi_hot(x, 4, axis))


def test_what_the_kernels_leave(cupy):
    version = gather.version("cupy")
    table, ids = cupy.asarray(np.ones((2, 2), "c8")), cupy.asarray([0, 1])
    assert version(table, ids) is NotImplemented
    assert version(cupy.asarray(np.ones((0, 2))), ids) is NotImplemented
