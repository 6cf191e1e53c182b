"""Cross-entropies of CuPy arrays: one pass each way, which keeps a number or two for each row.

Labels are used in their own dtype, and nothing looks at them on the host: the loss of a label that
is no class is NaN.  Gradients of targets are left to the reference.
"""

from __future__ import annotations

import math

from .. import config
from ..ops import cross_entropy as ops
from ..ops.cross_entropy import require_axis, require_equal_shapes
from .module import Module, blocks, c_type, contiguous, empty, empty_like, is_float
from .partial_sums import accumulator
from .softmax import BLOCK, VECTOR, WARP, row_lanes, row_vectors

_source = Module("cross_entropy")

MOST = {2: 512, 4: 512, 8: 256}  # Threads that share a row, by itemsize: as in the source.
ELEMENTWISE = {"L": "int32", "WHOLE": True, "LANES": 0}  # Unused constants of `binary_...`.


def _instances():
    for dtype, logits, whole, lanes, labels in (
        ("float32", True, True, 0, "int32"),
        ("float32", True, True, 32, "int64"),
        ("float32", True, False, 4, "int64"),
        ("float32", False, True, 0, "int32"),
        ("float32", False, False, 1, "uint8"),
        ("float16", True, True, 0, "float32"),
        ("bfloat16", True, True, 0, "int64"),
        ("bfloat16", False, True, 32, "int32"),
        ("float64", True, True, 0, "int32"),
    ):
        yield {"T": dtype, "L": labels, "LOGITS": logits, "WHOLE": whole, "LANES": lanes}


INSTANCES = list(_instances())


def _bounds() -> tuple[float, float]:
    epsilon = config.epsilon()
    return epsilon, 1 - epsilon


def _one_or_each(g) -> tuple:
    """A gradient as kernels take it: an array, and its step: 0 for one number that is for all."""
    if g.size > 1 and not any(g.strides):
        return g[(0,) * g.ndim], 0
    return contiguous(g), 1


def _by_rows(name, labels, x, axis, from_logits, numbers, needs):
    """A cross-entropy of rows along `axis`; its pullback needs so many numbers of each."""
    width, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    rows = math.prod(x.shape[:axis]) * inner
    whole, vectors = row_vectors(width, x.itemsize) if inner == 1 else (False, width)
    if inner > 1:  # Neighbouring threads have neighbouring rows.
        lanes, block = 1, BLOCK
    elif vectors <= 8 * WARP:
        lanes, block = row_lanes(vectors, whole), BLOCK
    else:
        lanes, block = 0, min(blocks(blocks(vectors, 4), WARP) * WARP, MOST[x.itemsize])
    constants = {"T": x.dtype, "L": labels.dtype, "LOGITS": bool(from_logits)}
    constants |= {"WHOLE": whole, "LANES": lanes}
    grid = blocks(rows, block // lanes) if lanes else rows
    x, labels = contiguous(x), contiguous(labels)
    sizes = (rows, width, inner)
    loss = empty((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype)
    kept = None if needs is None else empty((rows, numbers), accumulator(x.dtype))
    forward = _source.kernel(f"{name}_forward", **constants)
    forward(grid, block, labels, x, loss, kept, *sizes, *_bounds())
    if needs is None:
        return loss

    def pullback(g):
        g, step = _one_or_each(g)
        dx = empty_like(x)
        backward = _source.kernel(f"{name}_backward", **constants)
        backward(grid, block, g, labels, x, kept, dx, *sizes, step, *_bounds())
        return None, dx

    return loss, pullback


def _fits(target, output, needs) -> bool:
    array = type(output)
    if type(target) is not array or not hasattr(output, "strides") or not is_float(output):
        return False
    return c_type(target.dtype) is not None and not (needs and needs[0])


@ops.sparse_categorical_crossentropy.on("cupy")
def _(target, output, from_logits=False, axis=-1, *, needs=None):
    if not _fits(target, output, needs) or not output.ndim:
        return NotImplemented
    axis = require_axis("sparse_categorical_crossentropy", output, axis)
    expected = (*output.shape[:axis], *output.shape[axis + 1 :])
    padded = (*output.shape[:axis], 1, *output.shape[axis + 1 :])
    if target.shape not in (expected, padded) or not output.shape[axis]:
        return NotImplemented  # The reference says what is wrong.
    return _by_rows("sparse", target, output, axis, from_logits, 1, needs)


@ops.categorical_crossentropy.on("cupy")
def _(target, output, from_logits=False, axis=-1, *, needs=None):
    if not _fits(target, output, needs) or not output.ndim:
        return NotImplemented
    require_equal_shapes("categorical_crossentropy", target, output)
    axis = require_axis("categorical_crossentropy", output, axis)
    if not output.shape[axis]:
        return NotImplemented
    target = target.astype(output.dtype, copy=False)
    return _by_rows("categorical", target, output, axis, from_logits, 2, needs)


@ops.binary_crossentropy.on("cupy")
def _(target, output, from_logits=False, *, needs=None):
    if not _fits(target, output, needs):
        return NotImplemented
    require_equal_shapes("binary_crossentropy", target, output)
    x = contiguous(output)
    target = contiguous(target.astype(x.dtype, copy=False))
    constants = {"T": x.dtype, "LOGITS": bool(from_logits), **ELEMENTWISE}
    vectors = blocks(x.size, VECTOR // x.itemsize)
    loss = empty_like(x)
    forward = _source.kernel("binary_forward", **constants)
    forward(blocks(vectors, 2 * BLOCK), BLOCK, target, x, loss, x.size, *_bounds())
    if needs is None:
        return loss

    def pullback(g):
        g, step = _one_or_each(g)
        dx = empty_like(x)
        backward = _source.kernel("binary_backward", **constants)
        backward(blocks(vectors, BLOCK), BLOCK, g, target, x, dx, x.size, step, *_bounds())
        return None, dx

    return loss, pullback
