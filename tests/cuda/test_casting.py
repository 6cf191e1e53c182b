"""Kernels that scale and cast, and that look for infinities."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, TOLERANCE, kind

from gpulayers.arrays import Tape
from gpulayers.ops.casting import all_finite, scaled


@pytest.mark.parametrize("to", FLOATS)
@pytest.mark.parametrize("dtype", [*FLOATS, "uint8", "bool", "int64"])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 1025, 4097])
def test_scaled(cupy, dtype, to, size):
    x = np.random.default_rng(0).integers(0, 200, size).astype(kind(dtype))
    out = scaled.version("cupy")(cupy.asarray(x), 0.3, dtype=to)
    assert out.dtype == kind(to)
    expected = x.astype("f8") * 0.3
    np.testing.assert_allclose(out.get().astype("f8"), expected, rtol=TOLERANCE[to])


def test_a_factor_on_the_device(cupy):
    x, factor = cupy.asarray(np.ones((3, 5), "f2")), cupy.asarray(np.float32(1 / 1024))
    out = scaled.version("cupy")(x, factor, dtype="float32")
    assert np.array_equal(out.get(), np.full((3, 5), 1 / 1024, "f4"))


def test_gradients(cupy):
    x, factor = cupy.asarray(np.arange(6, dtype="f4")), cupy.asarray(np.float32(3))
    with Tape() as tape:
        y = scaled(tape.watch(x), tape.watch(factor), dtype="float32")
    dx, dfactor = tape.gradient(y, [x, factor])
    assert np.array_equal(dx.get(), [3] * 6)
    assert dfactor.get() == 15


def test_views_and_arrays_that_no_vector_fits(cupy):
    x = cupy.asarray(np.arange(101, dtype="f4"))
    for part in (x[1:], x[::2], x[3:50]):
        out = scaled(part, 2, dtype="float16")
        assert np.array_equal(out.get(), part.get() * 2)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [1, 8, 9, 5000])
def test_all_finite(cupy, dtype, size):
    x = np.random.default_rng(0).normal(size=size).astype(kind(dtype))
    y = np.full(3, 3.0, kind(dtype))
    version = all_finite.version("cupy")
    assert version(cupy.asarray(x), cupy.asarray(y), cupy.asarray(x[:0])).get()
    for place in {0, size // 2, size - 1}:
        for wrong in (np.nan, np.inf, -np.inf):
            bad = x.copy()
            bad[place] = wrong
            out = version(cupy.asarray(y), cupy.asarray(bad))
            assert out.shape == ()
            assert out.dtype == bool
            assert not out.get()


def test_the_largest_numbers_are_finite(cupy):
    x = np.array([np.finfo("f4").max, np.finfo("f4").min], "f4")
    assert all_finite(cupy.asarray(x)).get()
    assert all_finite(cupy.asarray(np.array([65504.0], "f2"))).get()


def test_other_dtypes_are_left_to_the_reference(cupy):
    whole = cupy.asarray(np.array([1, 2]))
    assert all_finite.version("cupy")(whole) is NotImplemented
    assert all_finite(whole).get()
    assert scaled.version("cupy")(whole, 2, dtype="int32") is NotImplemented
