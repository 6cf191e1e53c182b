"""Pooling of CuPy arrays: each element is read once, and gradients are gathered.

The gradient of the maximum keeps the positions of the largest elements, in 8 bits for windows of up
to 256 elements, and not x.
"""

from __future__ import annotations

from math import prod

from ..arrays import namespace
from ..ops import pooling as ops
from ..ops.sliding import counts as counts_of
from .geometry import geometry, struct
from .module import Module, blocks, contiguous, empty, is_float
from .reductions import LARGE

_source = Module("pooling")

THREADS, VECTOR = 256, 16  # As in the source; VECTOR in bytes.
POSITIONS = ((2**8, "uint8"), (2**16, "uint16"), (2**31, "uint32"))  # Of so many elements.

INSTANCES = [
    {"T": "float16", "P": "uint8"},
    {"T": "bfloat16", "P": "uint8"},
    {"T": "float32", "P": "uint8"},
    {"T": "float32", "P": "uint16"},
    {"T": "float64", "P": "uint32"},
]


@ops.max_pooling.on("cupy")
def _(x, *, windows, strides, padding, needs=None):
    geo = _geometry(x, windows, strides, padding)
    if geo is None:
        return NotImplemented
    x, y, kind = contiguous(x), _results(x, geo, windows), _positions(windows)
    positions = None if needs is None else empty(y.shape, kind)
    kernel = _source.kernel("max_pooling_forward", T=x.dtype, P=kind)
    kernel(_grid(y), THREADS, x, y, positions, struct(geo))
    if needs is None:
        return y
    return y, lambda g: (_backward(g, positions, geo, kind, x.shape),)


@ops.average_pooling.on("cupy")
def _(x, *, windows, strides, padding, needs=None):
    geo = _geometry(x, windows, strides, padding)
    if geo is None:
        return NotImplemented
    x = contiguous(x)
    if geo.sizes == geo.windows and not any(map(any, padding)) and x.size >= LARGE:
        y = namespace(x).mean(x, axis=tuple(range(1, x.ndim - 1)), keepdims=True)
    else:
        y = _results(x, geo, windows)
        kernel = _source.kernel("average_pooling_forward", T=x.dtype, P="uint8")
        kernel(_grid(y), THREADS, x, y, struct(geo))
    if needs is None:
        return y
    return y, lambda g: (_backward(g, None, geo, "uint8", x.shape),)


def _backward(g, positions, geo, kind, shape):
    dx = empty(shape, g.dtype)
    kernel = _source.kernel("pooling_backward", T=g.dtype, P=kind)
    kernel(_grid(dx), THREADS, contiguous(g), positions, dx, struct(geo))
    return dx


def _geometry(x, windows, strides, padding):
    """What the kernels are told; None for arrays that they do not take."""
    if x.ndim > 5 or not is_float(x) or prod(windows) > POSITIONS[-1][0]:
        return None
    sizes, channels, once = x.shape[1:-1], x.shape[-1], (1,) * len(windows)
    count = counts_of(sizes, windows, strides, padding, once)
    geo = geometry(
        len(x), channels, channels, sizes, count, tuple(windows), tuple(strides), tuple(padding),
        once, 1,
    )  # fmt: skip
    return geo if geo.is_small else None


def _results(x, geo, windows):
    return empty((len(x), *geo.counts[3 - len(windows) :], x.shape[-1]), x.dtype)


def _positions(windows) -> str:
    return next(name for most, name in POSITIONS if prod(windows) <= most)


def _grid(x) -> int:
    if x.size == 0:
        return 0
    vectors = blocks(x.shape[-1], VECTOR // x.itemsize)
    return blocks(x.size // x.shape[-1] * vectors, THREADS)
