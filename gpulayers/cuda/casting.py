"""CuPy arrays scaled on their way to another dtype, and whether all their elements are finite."""

from __future__ import annotations

import numpy as np

from ..arrays import dtypes
from ..ops.casting import all_finite, cast_all, scaled
from .module import FLOATS, Module, blocks, c_type, contiguous, empty, multiprocessors

_source = Module("casting")

THREADS, PACK, UNROLL = 256, 16, 2  # As in the source; PACK in bytes.
CASTS = 120  # Arrays that one launch casts, as in the source.
_CASTS = np.dtype(
    [("x", "u8", CASTS), ("y", "u8", CASTS), ("counts", "i8", CASTS), ("first", "i4", CASTS + 1)],
    align=True,
)
INSTANCES = [
    {"T": "float32", "R": "bfloat16", "C": "float32"},
    {"T": "float16", "R": "float32", "C": "float32"},
    {"T": "uint8", "R": "float32", "C": "float32"},
    {"T": "int64", "R": "float64", "C": "float64"},
]


@scaled.on("cupy")
def _(x, factor, *, dtype, needs=None):
    y_dtype = dtypes.numpy_dtype(dtype)
    if needs is not None or c_type(x.dtype) is None or c_type(y_dtype) not in FLOATS:
        return NotImplemented  # The general rule calls this one again.
    wide = np.dtype("float64" if np.float64 in (x.dtype, y_dtype) else "float32")
    pointer = None
    if not isinstance(factor, (int, float)):
        if not hasattr(factor, "shape") or factor.shape != ():
            return NotImplemented
        pointer, factor = factor.astype(wide, copy=False), 0.0
    x, y = contiguous(x), empty(x.shape, y_dtype)
    kernel = _source.kernel("scaled", T=x.dtype, R=y_dtype, C=wide)
    packs = blocks(x.size, PACK // max(x.itemsize, y.itemsize))
    kernel(blocks(packs, THREADS * UNROLL), THREADS, x, y, x.size, pointer, factor)
    return y


@cast_all.on("cupy")
def _(*arrays, dtype, needs=None):
    """One launch for the arrays of each dtype."""
    y_dtype = dtypes.numpy_dtype(dtype)
    known = all(c_type(x.dtype) in FLOATS for x in arrays) and c_type(y_dtype) in FLOATS
    if needs is not None or not known:
        return NotImplemented
    made = [x if x.dtype == y_dtype else empty(x.shape, y_dtype) for x in arrays]
    groups: dict[np.dtype, list] = {}
    for x, y in zip(arrays, made, strict=True):
        if x is not y and x.size:
            groups.setdefault(x.dtype, []).append((contiguous(x), y))
    for x_dtype, pairs in groups.items():
        for start in range(0, len(pairs), CASTS):
            _cast(x_dtype, y_dtype, pairs[start : start + CASTS])
    return tuple(made)


def _cast(x_dtype, y_dtype, pairs):
    count, table, first = len(pairs), np.zeros((), _CASTS), [0]
    per_block = THREADS * UNROLL * (PACK // max(x_dtype.itemsize, y_dtype.itemsize))
    for x, _ in pairs:
        first.append(first[-1] + blocks(x.size, per_block))
    table["x"][:count] = [x.data.ptr for x, _ in pairs]
    table["y"][:count] = [y.data.ptr for _, y in pairs]
    table["counts"][:count] = [x.size for x, _ in pairs]
    table["first"][: count + 1] = first
    wide = "float64" if np.float64 in (x_dtype, y_dtype) else "float32"
    kernel = _source.kernel("cast_arrays", T=x_dtype, R=y_dtype, C=wide)
    kernel(first[-1], THREADS, table, count)


@all_finite.on("cupy")
def _(*arrays, needs=None):
    if needs is not None or not all(c_type(x.dtype) in FLOATS for x in arrays):
        return NotImplemented
    finite = empty((), np.dtype(bool))
    finite.fill(True)
    for x in map(contiguous, arrays):
        vectors = blocks(x.size, PACK // x.itemsize)
        grid = min(blocks(vectors, THREADS), 16 * multiprocessors())
        wide = "float64" if x.dtype == np.float64 else "float32"
        kernel = _source.kernel("find_infinite", T=x.dtype, R=wide, C=wide)
        kernel(grid, THREADS, x, finite, x.size)
    return finite
