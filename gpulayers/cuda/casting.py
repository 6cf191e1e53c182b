"""CuPy arrays scaled on their way to another dtype, and whether all their elements are finite."""

from __future__ import annotations

import numpy as np

from ..arrays import dtypes
from ..ops.casting import all_finite, scaled
from .module import FLOATS, Module, blocks, c_type, contiguous, empty, multiprocessors

_source = Module("casting")

THREADS, PACK, UNROLL = 256, 16, 2  # As in the source; PACK in bytes.
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
