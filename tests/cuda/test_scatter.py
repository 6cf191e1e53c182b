"""Kernels that add, compare or put rows where indices say: in a fixed order, however often."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import TOLERANCE, check_version, kind

from gpulayers.arrays.scatter import scatter_add, scatter_add_along_axis
from gpulayers.cuda import scatter as kernels
from gpulayers.ops.scattering import combine

HOWS = ("add", "maximum", "minimum", "multiply", "set")


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def like_words(count, size, seed=1):
    """Indices of which few are very frequent."""
    return np.random.default_rng(seed).zipf(1.3, count) % size


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 200])
@pytest.mark.parametrize("width", [1, 4, 9, 32])
def test_sums_of_rows(cupy, count, width, dtype):
    places = like_words(count, 7)
    x = numbers(count, width)
    tolerance = 20 * TOLERANCE[dtype]  # Sums of up to a hundred numbers.
    check_version(cupy, scatter_add, x, places, axis=0, size=7, dtype=dtype, atol=tolerance)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_sums_of_whole_numbers_are_exact(cupy, dtype):
    x = np.full((300, 2), 2**24 + 1).astype(dtype)
    out = scatter_add(cupy.asarray(x // 3), cupy.asarray(np.arange(300) % 3), axis=0, size=4)
    assert out.dtype == dtype
    assert out.get().tolist() == [[int(x[0, 0] // 3) * 100] * 2] * 3 + [[0, 0]]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("ids", [(6,), (2, 3)])
def test_any_axis(cupy, axis, ids):
    shape = [3, 4, 5]
    shape[axis : axis + 1] = ids
    places = np.array([4, 0, 4, 1, 0, 4]).reshape(ids)
    check_version(cupy, scatter_add, numbers(*shape), places, axis=axis, size=6, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64"])
def test_indices_of_any_dtype_count_modulo_the_size(cupy, dtype):
    low = 0 if dtype[0] == "u" else -5
    places = np.array([low, 4, 5, 12, 3]).astype(dtype)
    x = numbers(5, 3).astype("f4")
    out = scatter_add(cupy.asarray(x), cupy.asarray(places), axis=0, size=5)
    expected = np.zeros((5, 3), "f4")
    np.add.at(expected, places.astype(int) % 5, x)
    np.testing.assert_allclose(out.get(), expected, rtol=1e-6)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("count", [1, 40, 700])
def test_runs_that_are_cut(cupy, order, how, count):
    """Long runs, over several launches, give what one loop over the rows gives."""
    places = np.sort(like_words(count, 5))[np.random.default_rng(3).permutation(count)]
    new, rows = numbers(count, 3), numbers(6, 3, seed=2)
    if how == "multiply":
        new = 1 + new / 50
    new, rows = new.astype("f4"), rows.astype("f4")
    found = [
        combine.version("cupy")(*map(cupy.asarray, (rows, places, new)), how=how).get()
        for _ in range(2)
    ]
    assert found[0].tobytes() == found[1].tobytes()
    expected = combine(rows.astype("f8"), places, new.astype("f8"), how=how)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "dtype"),
    [*((how, "float32") for how in HOWS), ("add", "float16"), ("maximum", "bfloat16")]
    + [("multiply", "float64")],
)
def test_combinations_are_their_references(cupy, how, dtype):
    rows, places, new = numbers(4, 5), np.array([0, 2, 2, 0, 2]), numbers(5, 5, seed=1)
    atol = 4 * TOLERANCE[dtype]
    check_version(cupy, combine, rows, places, new, how=how, dtype=dtype, atol=atol)


@pytest.mark.parametrize("how", ["maximum", "minimum"])
def test_nan_wins(cupy, how):
    rows, places = np.array([[0.0, np.nan]]), np.array([0, 0, 0])
    new = np.array([[1.0, 2.0], [np.nan, 1.0], [0.5, 0.5]])
    out = combine(*map(cupy.asarray, (rows, places, new)), how=how)
    assert np.isnan(out.get()).all()


@pytest.mark.parametrize("how", ["set", "maximum"])
def test_places_outside_are_left_out(cupy, how):
    rows, places, new = np.zeros((3, 2), "f4"), np.array([-1, 3, 1, 7]), np.ones((4, 2), "f4")
    out = combine(*map(cupy.asarray, (rows, places, new)), how=how)
    assert out.get().tolist() == [[0, 0], [1, 1], [0, 0]]


def test_the_same_bits_in_any_width_of_threads(cupy):
    """The order of additions depends on the number of rows only."""
    places, x = like_words(900, 4), numbers(900, 40).astype("f4")
    put = lambda a: scatter_add(cupy.asarray(a), cupy.asarray(places), axis=0, size=4).get()
    assert np.array_equal(put(x)[:, :1], put(np.ascontiguousarray(x[:, :1])))


def test_one_place_for_all(cupy, monkeypatch):
    """A row that all indices name is added by many groups of threads, in three launches."""
    launches = []
    kernel = kernels._kernel

    def counted(name, *rest):
        made = kernel(name, *rest)
        return lambda grid, *args: (launches.append((name, grid)), made(grid, *args))

    monkeypatch.setattr(kernels, "_kernel", counted)
    x = np.ones((3000, 4), "f4")
    out = scatter_add(cupy.asarray(x), cupy.asarray(np.ones(3000, "i4")), axis=0, size=2)
    assert out.get().tolist() == [[0] * 4, [3000] * 4]
    assert [name for name, _ in launches] == ["scatter_keys"] + 3 * ["scatter_runs"]


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 5, 3), (2, 0, 3)])
def test_along_an_axis(cupy, shape):
    axis = len(shape) // 2
    ids = np.random.default_rng(5).integers(-4, 4, shape)
    x = numbers(*shape)
    out = scatter_add_along_axis.version("cupy")(
        cupy.asarray(x.astype("f4")), cupy.asarray(ids), axis=axis, size=4
    )
    expected = scatter_add_along_axis.reference(x, ids, axis=axis, size=4)
    np.testing.assert_allclose(out.get(), expected, rtol=1e-6, atol=1e-6)


def test_arrays_that_no_vector_fits(cupy):
    x = numbers(201).astype("f4")
    rows, places = cupy.asarray(x)[1:].reshape(50, 4), like_words(50, 3)
    out = scatter_add(rows, cupy.asarray(places), axis=0, size=3).get()
    np.testing.assert_allclose(
        out, scatter_add(x[1:].reshape(50, 4), places, axis=0, size=3), rtol=1e-5, atol=1e-5
    )


def test_other_dtypes_are_left_to_the_reference(cupy):
    x, places = cupy.asarray(np.ones((2, 2), "c8")), cupy.asarray([0, 0])
    assert scatter_add.version("cupy")(x, places, axis=0, size=1) is NotImplemented
    assert kind("float32") == "float32"
