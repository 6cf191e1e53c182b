"""Rows of CuPy tables by number, and rows of zeros and ones."""

from __future__ import annotations

from math import prod

from ..arrays import dtypes
from ..ops import embedding as ops
from .module import Module, blocks, c_type, contiguous, empty
from .scatter import can_combine, combined_rows, zeros

_source = Module("embedding")

THREADS, VECTOR, UNROLL = 256, 16, 4  # As in the source; VECTOR in bytes.
INSTANCES = [
    {"T": "bfloat16", "I": "int32", "WHOLE": True},
    {"T": "float32", "I": "int64", "WHOLE": True},
    {"T": "float64", "I": "int32", "WHOLE": True},
    {"T": "uint8", "I": "int16", "WHOLE": False},
    {"T": "bool", "I": "int64", "WHOLE": False},
    {"T": "float16", "I": "int32", "WHOLE": False},
]


def _kernel(name, dtype, numbers, whole=True):
    return _source.kernel(name, T=dtype, I=numbers, WHOLE=whole)


@ops.gather.on("cupy")
def _(table, indices, *, needs=None):
    if indices.dtype.kind not in "iu" or c_type(table.dtype) is None:
        return NotImplemented
    rows, tail = table.shape[0], table.shape[1:]
    width = prod(tail)
    if rows == 0 or width >= 2**31 or (needs is not None and not can_combine(table, indices)):
        return NotImplemented
    indices, table = contiguous(indices), contiguous(table)
    y = empty((*indices.shape, *tail), table.dtype)
    whole = width * y.itemsize % VECTOR == 0 and table.data.ptr % VECTOR == 0
    kernel = _kernel("gather_rows", table.dtype, indices.dtype, whole)
    vectors = blocks(y.size, VECTOR // y.itemsize)
    grid = blocks(vectors, THREADS * (UNROLL if whole else 1))
    kernel(grid, THREADS, table, indices, y, y.size, rows, width)
    if needs is None:
        return y

    def pullback(g):
        if not needs[0]:
            return None, None
        g = contiguous(g).reshape(1, indices.size, width)
        d = combined_rows(g, indices.reshape(-1), zeros((1, rows, width), g.dtype))
        return d.reshape(rows, *tail), None

    return y, pullback


@ops.hot.on("cupy")
def _(x, *, size, axis, dtype, needs=None):
    dtype = dtypes.numpy_dtype(dtype)
    if x.dtype.kind not in "iu" or c_type(dtype) is None:
        return NotImplemented
    x = contiguous(x)
    y = empty((*x.shape[:axis], size, *x.shape[axis:]), dtype)
    kernel = _kernel("one_hot", dtype, x.dtype)
    grid = blocks(y.size, THREADS * (VECTOR // y.itemsize))
    kernel(grid, THREADS, x, y, y.size, size, prod(x.shape[axis:]))
    return y if needs is None else (y, lambda g: (None,))


@ops.several_hot.on("cupy")
def _(x, *, size, axis, over, dtype, needs=None):
    dtype = dtypes.numpy_dtype(dtype)
    if x.dtype.kind not in "iu" or c_type(dtype) is None or axis != x.ndim or over == axis:
        return NotImplemented
    x = contiguous(x)
    y = zeros((*x.shape[:over], *x.shape[over + 1 :], size), dtype)
    kernel = _kernel("marks", dtype, x.dtype)
    inner = prod(x.shape[over + 1 :])
    kernel(blocks(x.size, THREADS), THREADS, x, y, x.size, x.shape[over], inner, size)
    return y if needs is None else (y, lambda g: (None,))
