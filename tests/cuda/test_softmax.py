"""Kernels of softmax and log-softmax: rows held, rows read twice, and columns."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest
from kernel_checks import FLOATS, check_version, kind

from gpulayers.cuda import softmax as kernels
from gpulayers.ops.softmax import log_softmax, softmax

OPS = [softmax, log_softmax]


def numbers(*shape, seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape)


def check(cupy, op, x, axis=-1, dtype="float32", **options):
    """Tolerances are those of numbers around log(width)."""
    given = {"float16": 4e-3, "bfloat16": 3e-2}.get(dtype)
    return check_version(cupy, op, x, axis, dtype=dtype, rtol=given, **options)


@pytest.fixture
def small(monkeypatch):
    """Rows are long, and worth several blocks, from small sizes on."""

    def limits(most=32, part=2**40):
        monkeypatch.setattr(kernels, "MOST", most)
        monkeypatch.setattr(kernels, "PART", part)
        kernels.launch.cache_clear()

    yield limits
    kernels.launch.cache_clear()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("width", [10, 64])
def test_rows_of_a_warp(cupy, op, width, dtype):
    check(cupy, op, numbers(37, width), dtype=dtype)


@pytest.mark.parametrize("width", [1, 2, 5, 8, 128, 129, 130, 131])
def test_widths(cupy, width):
    check(cupy, softmax, numbers(9, width))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("op", OPS)
def test_rows_of_a_block(cupy, order, op, dtype):
    check(cupy, op, numbers(3, 2051), dtype=dtype)


@pytest.mark.parametrize("width", [4096, 4097])
def test_aligned_and_other_rows_of_a_block(cupy, width):
    check(cupy, log_softmax, numbers(2, width))
    check(cupy, log_softmax, numbers(2, width), dtype="float64")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("part", [2**40, 8192])
def test_long_rows(cupy, order, small, op, dtype, part):
    small(part=part)
    how = kernels.launch((2, 9001), -1, kind(dtype).itemsize, 1)
    assert how.prefix == "long_"
    # Sums of 9001 products: compared with the size of their terms.
    check(cupy, op, numbers(2, 9001), dtype=dtype, atol={"float32": 1e-5}.get(dtype))


@pytest.mark.parametrize(("shape", "axis"), [
    ((3, 5, 7), 1), ((3, 5, 8), 1), ((4, 21, 16), -2), ((70, 6), 0), ((2, 80, 3), 1),
    ((5, 3, 4, 2), (1, 2)), ((5, 3, 4), (1, 2)), ((5, 3, 4), None), ((2, 1, 6, 1), (1, 2, 3)),
    ((3, 1, 4), 1), ((40, 300), 0), ((3, 4), [0, 1]), ((0, 5), -1), ((0, 5, 3), 1), ((4, 0), 0),
])  # fmt: skip
@pytest.mark.parametrize("op", OPS)
def test_axes(cupy, op, shape, axis):
    check(cupy, op, numbers(*shape), axis)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 20, 16), (2, 20, 5)])
def test_columns(cupy, dtype, shape):
    check(cupy, softmax, numbers(*shape), 1, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(2, 601, 16), (1, 601, 33)])
@pytest.mark.parametrize("op", OPS)
def test_long_columns(cupy, order, op, shape, dtype):
    assert kernels.launch(shape, 1, kind(dtype).itemsize, 1).constants["PER"] == 0
    check(cupy, op, numbers(*shape), 1, dtype=dtype, atol={"float32": 1e-5}.get(dtype))


@pytest.mark.parametrize("axis", [(0, 2), (0, 0)])
def test_other_axes_are_left_to_the_reference(cupy, axis):
    x = cupy.asarray(numbers(2, 3, 4).astype("f4"))
    assert softmax.version("cupy")(x, axis) is NotImplemented


def test_what_is_refused(cupy):
    assert np.allclose(softmax(cupy.asarray([1, 1])).get(), 0.5)
    with pytest.raises(ValueError, match="axis must be in -2..1"):
        softmax(cupy.asarray(numbers(2, 2)), axis=2)
    with pytest.raises(ValueError, match="zero-size"):
        softmax(cupy.asarray(numbers(2, 0)))


def test_views_and_arrays_that_no_vector_fits(cupy):
    check(cupy, softmax, numbers(5, 40), order="view")
    x = cupy.asarray(numbers(401).astype("f4"))
    for start, end in ((1, 401), (3, 303)):
        part = x[start:end].reshape(2, -1)
        expected = softmax(part.get().astype("f8"))
        assert np.allclose(softmax(part).get(), expected, rtol=2e-6)
        columns = part.reshape(25, -1, 4)
        assert np.allclose(softmax(columns, 1).get(), softmax(columns.get(), 1), rtol=2e-6)


EXTREMES = np.array(
    [
        [1, -np.inf, 2, -np.inf, 0, 3],
        [-np.inf] * 6,
        [1, np.nan, 2, 0, 5, -1],
        [1, np.inf, 2, -np.inf, 0, 3],
        [np.nan, -np.inf, -np.inf, -np.inf, -np.inf, np.inf],
        [6e4, -6e4, 6e4, 0, 1, 2],
        [-6e4, -6e4, -6e4, -6e4, -6e4, -6e4],
        [-np.inf, -np.inf, -np.inf, -np.inf, -np.inf, 7],
    ]
)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("form", ["short", "long", "parts", "columns", "long columns"])
def test_masked_and_undefined_rows(cupy, small, op, form, dtype):
    repeats = {"short": 1, "columns": 1, "long columns": 60}.get(form, 1500)
    if repeats == 1500:
        small(part=16000 if form == "parts" else 2**40)
    x = np.repeat(EXTREMES, repeats, axis=1)
    x = (x.T if "columns" in form else x).astype(kind(dtype))
    axis = 0 if "columns" in form else -1
    with np.errstate(all="ignore"):
        expected = np.asarray(op.reference(strict.asarray(x.astype("f8")), axis)._array)
    found = op(cupy.asarray(x), axis).get().astype("f8")
    tolerance = {"float32": 2e-6, "float16": 2e-3}[dtype]
    with np.errstate(over="ignore"):
        expected = expected.astype(kind(dtype)).astype("f8")
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_each_size_has_its_kernel():
    for itemsize in (2, 4, 8):
        for arrays in (1, 2):
            for width in (*range(1, 70), *(2**n + d for n in range(6, 19) for d in (-1, 0, 1))):
                how = kernels.launch((5, width), -1, itemsize, arrays)
                if how.prefix == "long_":
                    assert width > 8192
                    continue
                size = 16 // itemsize if how.constants["WHOLE"] else 1
                threads = how.constants["LANES"] or how.block
                needed = width if width % size == 0 else width + size - 1
                assert threads * how.constants["PER"] * size >= needed
                assert how.constants["PER"] <= 8
                assert how.block <= 1024 // (arrays if how.constants["LANES"] == 0 else 1)
