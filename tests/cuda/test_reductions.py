"""Kernels of sums, means and extremes of large arrays."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import TOLERANCE, kind

from gpulayers import ops
from gpulayers.arrays import Tape, namespace
from gpulayers.arrays.gaps import MADE_ON_CUPY
from gpulayers.cuda import reductions as kernels

NAMES = ("sum", "mean", "max", "min")
# All in float32, one of each kind in the other dtypes: each is a compilation.
CASES = [*((name, "float32") for name in NAMES)]
CASES += [("mean", "float16"), ("sum", "bfloat16"), ("max", "bfloat16"), ("min", "float64")]


@pytest.fixture(autouse=True)
def _small_sizes(monkeypatch):
    """Sizes at which the rig takes several launches."""
    monkeypatch.setattr(kernels, "LARGE", 1)
    monkeypatch.setattr(kernels, "SHORT", 64)
    monkeypatch.setattr(kernels, "SLAB", 512)
    monkeypatch.setattr(kernels, "BLOCKS", 4)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def check(cupy, name, x, dtype="float32", **options):
    x = x.astype(kind(dtype))
    out = MADE_ON_CUPY[name](cupy.asarray(x), **options)
    expected = getattr(np, name)(x.astype("f8"), **options)
    assert out.shape == expected.shape
    assert out.dtype == kind(dtype)
    atol = TOLERANCE[dtype] * max(1.0, x.size**0.5)
    np.testing.assert_allclose(
        out.get().astype("f8"), expected, rtol=2 * TOLERANCE[dtype], atol=atol
    )


@pytest.mark.parametrize(("name", "dtype"), CASES)
@pytest.mark.parametrize("shape", [(1,), (63,), (65,), (3000,), (40, 9), (5, 700)])
def test_rows(cupy, name, shape, dtype):
    check(cupy, name, numbers(*shape), dtype, axis=-1)
    check(cupy, name, numbers(*shape), dtype)


@pytest.mark.parametrize(("name", "dtype"), CASES)
@pytest.mark.parametrize("shape", [(1, 5), (70, 3), (70, 8), (700, 33), (3, 90, 4)])
def test_columns(cupy, name, shape, dtype):
    check(cupy, name, numbers(*shape), dtype, axis=-2)


@pytest.mark.parametrize("axis", [0, 1, 2, (0, 1), (1, 2), (2, 1, 0), (-1,), -3, (1, 3), 3])
@pytest.mark.parametrize("keepdims", [False, True])
def test_any_neighbours(cupy, axis, keepdims):
    check(cupy, "sum", numbers(6, 7, 5, 1), axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("shape", [(2500,), (900, 6)])
@pytest.mark.parametrize("name", ["mean", "max"])
def test_in_any_order(cupy, order, name, shape):
    x = numbers(*shape)
    check(cupy, name, x, axis=0)
    there = cupy.asarray(x.astype("f4"))
    first, second = (MADE_ON_CUPY[name](there, axis=0).get() for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_nan_wins(cupy, name):
    x = numbers(700)
    x[13] = np.nan
    assert np.isnan(MADE_ON_CUPY[name](cupy.asarray(x.astype("f4"))).get())
    assert np.isnan(MADE_ON_CUPY[name](cupy.asarray(x.reshape(350, 2)), axis=0).get()).any()


def test_infinities(cupy):
    x = cupy.asarray(np.full((300,), -np.inf, "f4"))
    assert MADE_ON_CUPY["max"](x).get() == -np.inf
    assert MADE_ON_CUPY["sum"](x).get() == -np.inf


def test_16_bit_floats_are_added_in_float32(cupy):
    x = cupy.asarray(np.ones(6000, "f2"))
    assert MADE_ON_CUPY["sum"](x).get() == 6000
    assert MADE_ON_CUPY["mean"](cupy.asarray(np.full(6000, 30000, "f2"))).get() == 30000


def test_arrays_that_no_vector_fits(cupy):
    x = numbers(2001).astype("f4")
    there = cupy.asarray(x)[1:]
    np.testing.assert_allclose(MADE_ON_CUPY["sum"](there).get(), x[1:].sum(dtype="f8"), atol=1e-4)
    there = there.reshape(250, 8)
    np.testing.assert_allclose(
        MADE_ON_CUPY["sum"](there, axis=0).get(),
        x[1:].reshape(250, 8).sum(0, dtype="f8"),
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (np.ones((4, 4), "i4"), {}),
        (np.ones((4, 4, 4), "f4"), {"axis": (0, 2)}),
        (np.ones((4, 4), "f4").T[::2], {}),
        (np.ones((4, 4), "f4"), {"dtype": np.float64}),
        (np.ones((4, 0), "f4"), {}),
        (np.ones((4, 4), "f4"), {"axis": 2}),
        (np.ones((4, 4), "f4"), {"axis": ()}),
    ],
)
def test_what_is_left_to_cupy(cupy, x, options):
    there = cupy.asarray(x) if x.flags.c_contiguous else cupy.asarray(np.ones((4, 4), "f4")).T[::2]
    assert MADE_ON_CUPY["sum"](there, **options) is NotImplemented


def test_the_namespace_of_arrays_uses_them(cupy, monkeypatch):
    seen = []
    inner = kernels._in_steps
    monkeypatch.setattr(kernels, "_in_steps", lambda *a: seen.append(a[2]) or inner(*a))
    x = cupy.asarray(numbers(30, 20).astype("f4"))
    xp = namespace(x)
    assert np.allclose(xp.mean(x, axis=0).get(), x.get().mean(0), atol=1e-6)
    assert np.allclose(xp.max(x, axis=1, keepdims=True).get(), x.get().max(1, keepdims=True))
    assert np.allclose(ops.sum(x, axis=-1).get(), x.get().sum(-1), atol=1e-5)
    assert seen == ["Sum", "Max", "Sum"]
    with Tape() as tape:
        y = namespace(watched := tape.watch(x)).mean(watched)
    assert np.allclose(tape.gradient(y, [x])[0].get(), 1 / 600)
    assert len(seen) == 4
