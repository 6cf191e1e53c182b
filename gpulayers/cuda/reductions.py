"""Sums, means and extremes of large CuPy arrays: one pass over memory, in a fixed order.

Small arrays, axes that are not neighbours and other dtypes are left to CuPy.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..arrays.gaps import made_on_cupy
from .module import Module, blocks, empty, is_float
from .partial_sums import accumulator

_source = Module("reductions")

THREADS, VECTOR = 256, 16  # As in the source; VECTOR in bytes.
LARGE = 1 << 16  # Elements: below, CuPy's own reductions are as fast as a launch can be.
SHORT = 2048  # Elements of a row that one warp reduces.
SLAB = 1 << 15  # Elements that one block reduces, at most.
BLOCKS = 1024  # How many of them there should be, if slabs do not get too small.
MOST = 65535  # Blocks along y and z.

INSTANCES = [
    {"T": "bfloat16", "R": "float32", "REDUCTION": "Sum", "WIDE": True},
    {"T": "float32", "R": "bfloat16", "REDUCTION": "Sum", "WIDE": False},
    {"T": "float16", "R": "float16", "REDUCTION": "Max", "WIDE": False},
    {"T": "float32", "R": "float32", "REDUCTION": "Min", "WIDE": True},
    {"T": "float64", "R": "float64", "REDUCTION": "Sum", "WIDE": True},
]


def _reduce(x, reduction, axis, keepdims, mean=False):
    if x.size < LARGE or not is_float(x) or not x.flags.c_contiguous:
        return NotImplemented
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if not axes or not all(isinstance(a, int) and -x.ndim <= a < x.ndim for a in axes):
        return NotImplemented
    axes = {a % x.ndim for a in axes}
    wide = [i for i, n in enumerate(x.shape) if n > 1 and i in axes]
    first, last = (wide[0], wide[-1] + 1) if wide else (min(axes), min(axes) + 1)
    if any(n > 1 and i not in axes for i, n in enumerate(x.shape[first:last], first)):
        return NotImplemented
    sizes = prod(x.shape[:first]), prod(x.shape[first:last]), prod(x.shape[last:])
    if sizes[2] >= 2**31:
        return NotImplemented
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    shape = [n for i, n in enumerate(shape) if keepdims or i not in axes]
    y = empty(tuple(shape), x.dtype)
    _in_steps(x, y, reduction, sizes, float(sizes[1]) if mean else 1.0)
    return y


def _in_steps(x, y, reduction, sizes, divisor):
    """Reduce x of sizes (outer, count, inner) to y, cutting `count` as long as it is long."""
    outer, count, inner = sizes
    total = accumulator(x.dtype)
    while True:
        each, launch = (_by_rows if inner == 1 else _by_columns)(outer, count, inner, x.dtype)
        slabs = blocks(count, each)
        if slabs == 1:
            launch(x, y, reduction, divisor)
            return
        partial = empty((outer, slabs, inner), total)
        launch(x, partial, reduction, 1.0)
        x, count = partial, slabs


def _cut(whole: int, smallest: int) -> int:
    """The elements of a slab: a multiple of `smallest`."""
    wanted = min(max(blocks(whole, BLOCKS), SHORT), SLAB)
    return blocks(wanted, smallest) * smallest


def _by_rows(rows, width, _, dtype):
    wide = width > SHORT
    each = _cut(rows * width, THREADS * (VECTOR // dtype.itemsize)) if wide else SHORT
    slabs = blocks(width, each)

    def launch(x, y, reduction, divisor):
        kernel = _source.kernel("reduce_rows", T=x.dtype, R=y.dtype, REDUCTION=reduction, WIDE=wide)
        grid = blocks(rows * slabs, 1 if wide else THREADS // 32)
        kernel(grid, THREADS, x, y, rows, width, each, slabs, divisor)

    return each, launch


def _by_columns(outer, count, inner, dtype):
    columns = VECTOR // dtype.itemsize
    vectors = blocks(inner, columns)
    lanes = min(32, 1 << (vectors - 1).bit_length())
    at_once = THREADS // lanes
    each = _cut(outer * count * inner, THREADS * columns) // (lanes * columns)
    each = blocks(max(each, blocks(count, MOST)), at_once) * at_once

    def launch(x, y, reduction, divisor):
        kernel = _source.kernel(
            "reduce_columns", T=x.dtype, R=y.dtype, REDUCTION=reduction, WIDE=True
        )
        grid = blocks(vectors, lanes), blocks(count, each), min(outer, MOST)
        kernel(grid, THREADS, x, y, outer, count, inner, each, lanes, divisor)

    return each, launch


@made_on_cupy("sum")
def _sum(x, /, *, axis=None, dtype=None, keepdims=False):
    if dtype is not None and np.dtype(dtype) != x.dtype:
        return NotImplemented
    return _reduce(x, "Sum", axis, keepdims)


@made_on_cupy("mean")
def _mean(x, /, *, axis=None, keepdims=False):
    return _reduce(x, "Sum", axis, keepdims, mean=True)


@made_on_cupy("max")
def _max(x, /, *, axis=None, keepdims=False):
    return _reduce(x, "Max", axis, keepdims)


@made_on_cupy("min")
def _min(x, /, *, axis=None, keepdims=False):
    return _reduce(x, "Min", axis, keepdims)
