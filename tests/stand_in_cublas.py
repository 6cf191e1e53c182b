"""A stand-in for `cupy.cuda.cublas`: products by NumPy, of what lies at the addresses given.

As cuBLAS does, it counts elements down columns: element (i, j) of a matrix is the (i + j * ld)-th.
So a wrong flag, distance or order of arguments gives a wrong product.  It refuses what cuBLAS
refuses, and notes the calls.
"""

from __future__ import annotations

import ctypes

import numpy as np

CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_32F_FAST_TF32 = 68, 70, 77
CUBLAS_GEMM_DEFAULT = -1
CUBLAS_DEFAULT_MATH, DISALLOW_REDUCED_PRECISION_REDUCTION = 0, 16
DATA_TYPES = {"CUDA_R_32F": 0, "CUDA_R_64F": 1, "CUDA_R_16F": 2, "CUDA_R_16BF": 14}
COMPUTES = {0: (68, 77), 1: (70,), 2: (68,), 14: (68,)}  # For each data type.
HANDLE = 0xB1A5

calls: list[dict] = []  # What was asked for, oldest first.
stream = [None]  # Gives CuPy's current stream.
_math_mode = [CUBLAS_DEFAULT_MATH]


class CUBLASError(RuntimeError):
    """`cupy.cuda.cublas.CUBLASError`."""


def get_cublas_handle():
    return HANDLE


def getMathMode(handle):
    return _math_mode[0]


def setMathMode(handle, mode):
    _math_mode[0] = mode


def _dtype(kind: int) -> np.dtype:
    if kind == 14:
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype({0: "f4", 1: "f8", 2: "f2"}[kind])


def _matrices(address, kind, rows, columns, ld, stride, batch):
    """Memory as (batch, rows, columns)."""
    dtype = _dtype(kind)
    if ld < max(1, rows) or address % dtype.itemsize:
        raise CUBLASError("CUBLAS_STATUS_INVALID_VALUE")
    extent = max((columns - 1) * ld + rows, 0) + (batch - 1) * stride
    memory = (ctypes.c_char * (extent * dtype.itemsize)).from_address(address)
    strides = tuple(n * dtype.itemsize for n in (stride, 1, ld))
    return np.ndarray((batch, rows, columns), dtype, memory, 0, strides)


def _number(address, kind):
    return _dtype(kind).type(np.ctypeslib.as_array((_C[kind] * 1).from_address(address))[0])


_C = {0: ctypes.c_float, 1: ctypes.c_double}


def gemmStridedBatchedEx(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB,
    beta, C, Ctype, ldc, strideC, batchCount, computeType, algo,
):  # fmt: skip
    """C = alpha op(A) op(B) + beta C for each of a batch, all in column-major order."""
    for value in (m, n, k, lda, ldb, ldc, batchCount):
        if not 0 <= value < 2**31:
            raise OverflowError("value too large to convert to int")
    if handle != HANDLE or not Atype == Btype == Ctype or computeType not in COMPUTES[Atype]:
        raise CUBLASError("CUBLAS_STATUS_NOT_SUPPORTED")
    if stream[0] is not None and stream[0]().is_capturing():
        raise NotImplementedError("calling cuBLAS API during stream capture is unsupported")
    a = _matrices(A, Atype, *((k, m) if transa else (m, k)), lda, strideA, batchCount)
    b = _matrices(B, Btype, *((n, k) if transb else (k, n)), ldb, strideB, batchCount)
    c = _matrices(C, Ctype, m, n, ldc, strideC, batchCount)
    scalar = 1 if computeType == CUBLAS_COMPUTE_64F else 0
    a, b = (
        (x.swapaxes(1, 2) if transposed else x).astype(_dtype(scalar))
        for x, transposed in ((a, transa), (b, transb))
    )
    if computeType == CUBLAS_COMPUTE_32F_FAST_TF32:
        a, b = map(_rounded_to_tf32, (a, b))
    with np.errstate(all="ignore"):  # As a GPU does.
        made = _number(alpha, scalar) * np.matmul(a, b)
        if _number(beta, scalar) != 0:  # Else C may hold anything, NaN too.
            made = made + _number(beta, scalar) * c.astype(made.dtype)
        c[...] = made.astype(c.dtype)
    calls.append({
        "trans": (transa, transb), "sizes": (m, n, k), "batch": batchCount, "compute": computeType,
        "math_mode": _math_mode[0],
    })  # fmt: skip


def gemmEx(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, B, Btype, ldb, beta, C, Ctype, ldc,
    computeType, algo,
):  # fmt: skip
    """C = alpha op(A) op(B) + beta C."""
    gemmStridedBatchedEx(
        handle, transa, transb, m, n, k, alpha, A, Atype, lda, 0, B, Btype, ldb, 0,
        beta, C, Ctype, ldc, 0, 1, computeType, algo,
    )  # fmt: skip


def _rounded_to_tf32(x):
    bits = x.view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
