"""Whether predictions that are CuPy arrays are right: one kernel for each question."""

from __future__ import annotations

from math import prod

from ..arrays import dtypes
from ..ops import matching as ops
from .module import FLOATS, Module, blocks, c_type, contiguous, empty

_source = Module("matching")

THREADS = 256  # As in the source.
WIDE = 2048  # From so many scores on, a block takes a row.
INSTANCES = [
    {"T": "float32", "K": "int64", "R": "float32", "WIDE": False},
    {"T": "float16", "K": "float32", "R": "float32", "WIDE": False},
    {"T": "bfloat16", "K": "int32", "R": "bfloat16", "WIDE": True},
    {"T": "float32", "K": "uint8", "R": "float32", "WIDE": True},
    {"T": "float64", "K": "float64", "R": "float64", "WIDE": True},
]


def _launch(name, y_pred, y_true, shape, dtype, rows, width, *options):
    """The result of a kernel: of `rows` rows, or for `width` None of elements."""
    result = dtypes.numpy_dtype(dtype)
    known = c_type(y_true.dtype) is not None and c_type(result) is not None
    if c_type(y_pred.dtype) not in FLOATS or not known or (width or 0) >= 2**31:
        return NotImplemented
    y, wide = empty(shape, result), (width or 0) >= WIDE
    kernel = _source.kernel(name, T=y_pred.dtype, K=y_true.dtype, R=result, WIDE=wide)
    of_block = THREADS if width is None else 1 if wide else THREADS // 32
    sizes = (rows,) if width is None else (rows, width)
    y_pred, y_true = contiguous(y_pred), contiguous(y_true)
    kernel(blocks(rows, of_block), THREADS, y_pred, y_true, y, *sizes, *options)
    return y


def _by_rows(name, scores, classes, shape, dtype, *options):
    rows, width = prod(scores.shape[:-1]), scores.shape[-1]
    if width == 0 or tuple(classes.shape) != tuple(shape):
        return NotImplemented
    return _launch(name, scores, classes, scores.shape[:-1], dtype, rows, width, *options)


@ops.highest_is.on("cupy")
def _(scores, classes, *, dtype, needs=None):
    if needs is not None:  # The general rule calls this one again.
        return NotImplemented
    return _by_rows("highest_is", scores, classes, scores.shape[:-1], dtype)


@ops.highest_alike.on("cupy")
def _(scores, targets, *, dtype, needs=None):
    if needs is not None:
        return NotImplemented
    return _by_rows("highest_alike", scores, targets, scores.shape, dtype)


@ops.among_highest.on("cupy")
def _(scores, classes, *, k, dtype, needs=None):
    if needs is not None:
        return NotImplemented
    return _by_rows("among_highest", scores, classes, scores.shape[:-1], dtype, k)


@ops.equal_in_dtype.on("cupy")
def _(y_pred, y_true, *, dtype, needs=None):
    if needs is not None or y_pred.shape != y_true.shape:
        return NotImplemented
    return _launch("equal_in_dtype", y_pred, y_true, y_pred.shape, dtype, y_pred.size, None)


@ops.on_its_side.on("cupy")
def _(y_pred, y_true, *, threshold, dtype, needs=None):
    if needs is not None or y_pred.shape != y_true.shape or hasattr(threshold, "shape"):
        return NotImplemented
    count, limit = y_pred.size, float(threshold)
    return _launch("on_its_side", y_pred, y_true, y_pred.shape, dtype, count, None, limit)
