"""Convolutions with a group for each channel: launches of depthwise.cu."""

from __future__ import annotations

from math import prod

from .activation import LINEAR, Curve
from .geometry import Geometry, struct
from .module import Module, blocks, empty, multiprocessors
from .partial_sums import accumulator, partial_sums

_source = Module("depthwise")

THREADS, VECTOR, STRIP = 256, 16, 4  # As in the source; VECTOR in bytes.
LONGEST = 7  # Of a window whose inputs stay in registers.
TAPS = 4  # That a block sums for the gradient of the kernel, at most.
PLACES = 32  # That a thread sums there, at least.
MOST = 65535  # Blocks along y.

INSTANCES = [
    {"T": dtype, "ACTIVATION": activation, "SINGLE": single, "TAPS": taps, "STRIDE": stride}
    for dtype, activation, single, taps, stride in (
        ("bfloat16", "LINEAR", True, 3, 1),
        ("float16", "RELU", True, 5, 2),
        ("bfloat16", "LINEAR", True, 7, 1),
        ("float32", "LINEAR", True, 3, 1),
        ("float32", "TANH", False, 0, 1),
        ("float16", "LINEAR", False, 3, 2),
        ("float32", "LINEAR", True, 4, 1),
        ("float16", "LINEAR", True, 0, 1),
        ("float16", "TANH", False, 2, 2),
        ("float64", "LINEAR", True, 3, 1),
    )
]


def serves(geo: Geometry) -> bool:
    """Whether these kernels are for that: a group for each channel, more than one of them."""
    return geo.channels == 1 and geo.groups > 1


def forward(x, kernel, bias, geo: Geometry, curve: Curve, y, saved):
    """curve(x * kernel + bias) into y, and what the bias is added to into `saved`, unless that is
    None; C-contiguous, as all arrays here."""
    _slide(x, kernel, bias, y, saved, geo, curve, False)


def _slide(x, kernel, bias, y, saved, geo, curve, turned):
    window, stride = geo.windows[2], geo.strides[2]
    strip = window <= LONGEST and stride <= 2 and geo.dilations[2] == 1
    constants = _constants(x, geo, window if strip else 0, stride if strip else 1, curve.name)
    vectors = blocks(geo.filters * geo.groups, VECTOR // x.itemsize)
    grid = blocks(
        geo.batch * prod(geo.counts[:2]) * blocks(geo.counts[2], STRIP) * vectors, THREADS
    )
    run = _source.kernel("depthwise_forward", **constants)
    run(grid, THREADS, x, kernel, bias, y, saved, struct(geo), turned, *curve.parameters)


def _constants(x, geo, taps, stride=1, activation="LINEAR"):
    return {
        "T": x.dtype, "ACTIVATION": activation, "SINGLE": geo.filters == 1, "TAPS": taps,
        "STRIDE": stride,
    }  # fmt: skip


def input_gradient(g, kernel, geo: Geometry):
    """The gradient of y's sum with weights g by x."""
    dx = empty((geo.batch * prod(geo.sizes), geo.groups), g.dtype)
    if geo.strides == (1, 1, 1) and geo.filters == 1:
        _slide(g, kernel, None, dx, None, _turned(geo), LINEAR, True)
    else:
        grid = blocks(dx.shape[0] * blocks(geo.groups, VECTOR // g.itemsize), THREADS)
        run = _source.kernel("depthwise_input_gradient", **_constants(g, geo, 0))
        run(grid, THREADS, g, kernel, dx, struct(geo))
    return dx


def _turned(geo: Geometry) -> Geometry:
    """The convolution with the window turned round that leads from y back to x."""
    low = tuple(
        (k - 1) * d - before
        for k, d, before in zip(geo.windows, geo.dilations, geo.low, strict=True)
    )
    return geo._replace(sizes=geo.counts, counts=geo.sizes, low=low)


def kernel_gradient(x, g, geo: Geometry):
    """The gradient of y's sum with weights g by the kernel: in a fixed order."""
    filters, taps = geo.filters * geo.groups, min(geo.windows[2], TAPS)
    vectors = blocks(filters, VECTOR // x.itemsize)
    lanes = min(32, 1 << max(vectors - 1, 0).bit_length())
    across = blocks(vectors, lanes) * prod(geo.windows[:2]) * blocks(geo.windows[2], taps)
    at_once = THREADS // lanes
    slabs = max(4 * multiprocessors() // max(across, 1), 1)
    slabs = max(min(slabs, blocks(geo.places, at_once * PLACES), MOST), 1)
    each = max(blocks(geo.places, slabs), 1)
    slabs, width = max(blocks(geo.places, each), 1), prod(geo.windows) * filters
    partial = empty((slabs, width), accumulator(x.dtype))
    run = _source.kernel("depthwise_kernel_gradient", **_constants(x, geo, taps))
    run((across, slabs), THREADS, x, g, partial, struct(geo), each, lanes)
    return partial_sums(partial, x.dtype)
