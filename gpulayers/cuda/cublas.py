"""Matrix products by cuBLAS, through CuPy's bindings.

CuPy's own `matmul` copies transposed views and, where there is a batch, computes float16 in float32
and fails for bfloat16; so the library is called here as it wants to be.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .matrices import Matrices
from .module import recorders

LARGEST = 2**31 - 1  # Of sizes and distances of lines.
KEEP_SUMS = 16  # CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: sums never become 16 bits.


class _Library:
    """The bindings, and what their arguments are called."""

    def __init__(self, cublas):
        import cupy

        runtime = cupy.cuda.runtime
        self.handle, self.bindings = cupy.cuda.get_cublas_handle, cublas
        self.types = {
            "float16": runtime.CUDA_R_16F,
            "bfloat16": runtime.CUDA_R_16BF,
            "float32": runtime.CUDA_R_32F,
            "float64": runtime.CUDA_R_64F,
        }
        self.numbers = {  # Zero and one, on the host: kept here, as cuBLAS gets their addresses.
            name: np.array([0, 1], np.float64 if name == "float64" else np.float32)
            for name in self.types
        }
        self.addresses = {name: pair.ctypes.data for name, pair in self.numbers.items()}


@cache
def library() -> _Library | None:
    """cuBLAS, or None if it is not installed."""
    import cupy

    try:
        return _Library(cupy.cuda.cublas)
    except ImportError:
        return None


def gemm(
    a: Matrices, b: Matrices, y: Matrices, *, batch: int, accumulate: bool, tf32: bool
) -> None:
    """y = a b (+ y), on CuPy's current stream.

    Args:
        a, b, y: `Matrices` of one dtype; y is not transposed.
        batch: how many of each.
        accumulate: whether y is added.
        tf32: whether float32 may be rounded to TF32 before products.
    """
    for recorder in recorders():
        options = {"batch": batch, "accumulate": accumulate, "tf32": tf32}
        recorder.multiplied((a, b, y), options)
    found, dtype = library(), y.array.dtype
    bindings, name = found.bindings, dtype.name
    kind, zero = found.types[name], found.addresses[name]
    one = zero + found.numbers[name].itemsize
    if name == "float64":
        computed = bindings.CUBLAS_COMPUTE_64F
    elif tf32 and name == "float32":
        computed = bindings.CUBLAS_COMPUTE_32F_FAST_TF32
    else:
        computed = bindings.CUBLAS_COMPUTE_32F
    handle = found.handle()
    short = dtype.itemsize == 2
    mode = bindings.getMathMode(handle) if short else 0
    if short:
        bindings.setMathMode(handle, mode | KEEP_SUMS)
    # cuBLAS counts down columns, we along rows: what it is given are the transposes for it, and it
    # is asked for y.T = b.T a.T.
    start = (handle, int(b.transposed), int(a.transposed), y.columns, y.rows, a.columns, one)
    right, left, result = ((_address(m), kind, m.ld) for m in (b, a, y))
    first, end = one if accumulate else zero, (computed, bindings.CUBLAS_GEMM_DEFAULT)
    try:
        if batch == 1:
            bindings.gemmEx(*start, *right, *left, first, *result, *end)
        else:
            bindings.gemmStridedBatchedEx(
                *start, *right, b.stride, *left, a.stride, first, *result, y.stride, batch, *end
            )
    finally:
        if short:
            bindings.setMathMode(handle, mode)


def _address(m: Matrices) -> int:
    return m.array.data.ptr + m.offset * m.array.itemsize
