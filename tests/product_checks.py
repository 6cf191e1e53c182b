"""What tests of matrix products need."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
from kernel_checks import kind

from gpulayers import config

# Of a sum of products, as a part of the sum of their sizes: half a unit in the last place, and what
# adding up costs; for TF32 half a unit of each factor, or a unit if their last bits are cut.
ROUNDING = {
    "float64": 1e-15, "float32": 5e-7, "float16": 5e-4, "bfloat16": 4e-3, "tf32": 2**-10 + 1e-6,
    "cut to tf32": 2**-9 + 1e-6,
}  # fmt: skip
TRANSPOSED = [(a, b) for a in (False, True) for b in (False, True)]


def numbers(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(kind(dtype))


def factors(rows, columns, depth, dtype="float32", transposed=(False, False)):
    """Two matrices, held as their transposes or not."""
    shapes = (rows, depth), (depth, columns)
    return [
        numbers(*(shape[::-1] if turned else shape), dtype=dtype, seed=i).T
        if turned
        else numbers(*shape, dtype=dtype, seed=i)
        for i, (shape, turned) in enumerate(zip(shapes, transposed, strict=True))
    ]


def on_device(cupy, x):
    """An array there, with the layout that it has here if that is C or Fortran order."""
    if x.ndim == 2 and x.flags.f_contiguous and not x.flags.c_contiguous:
        return cupy.asarray(np.ascontiguousarray(x.T)).T
    return cupy.asarray(x)


def check(found, a, b, precision=None, more=0.0):
    """`found` is a @ b + more, up to the rounding of its dtype."""
    wide_a, wide_b = a.astype("f8"), b.astype("f8")
    expected = wide_a @ wide_b + more
    scale = np.abs(wide_a) @ np.abs(wide_b) + np.abs(more) + 1e-30
    assert found.dtype == a.dtype
    assert found.shape == expected.shape
    error = np.abs(found.get().astype("f8") - expected) / scale
    assert error.max(initial=0) <= ROUNDING[precision or found.dtype.name]


@contextmanager
def high_precision():
    config.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        config.set_float32_matmul_precision("highest")
