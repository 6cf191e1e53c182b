"""Convolution of NumPy arrays and its gradients: for each geometry the formulation that suits it.

| formulation | for | in |
| --- | --- | --- |
| sums along rows | a group for each channel | `depthwise` |
| minimal filtering | windows 3 x 3 or 5 x 5 that move by 1, many channels, float32 | `winograd` |
| tiles in registers | all but large kernels, where loops can be compiled | `direct` |
| products with lowered rows | few channels | `lowering` |
| products with panels | all others | `panels` |

Each has a function `convolve`; its gradient by x is `convolve` with the kernel turned round, for
windows that move by s once for each of the s places that elements of x have between them.  None
needs memory that grows with the batch.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

from .. import config, jit
from ..ops import convolution as ops
from ..ops.sliding import span
from . import depthwise, direct, lowering, memory, panels, winograd
from .dense import before, finish
from .normalization import same_dtype
from .rows import repeats
from .sliding import AXES, Geometry, geometry, with_axes
from .threads import one_blas_thread

MINIMAL = {"medium": (winograd.FOUR, winograd.FIVE), "high": (winograd.TWO,), "highest": ()}
LOOPED = 1e6  # Operations from which on Numba is worth loading.
LOOPS = (direct, depthwise.Looped, *winograd.LOOPED.values())  # Compiled forms.


@ops.convolution.on("numpy")
def _(
    x, kernel, bias=None, *, strides, padding, dilations, groups=1, activation=None, factor=None,
    needs=None,
):  # fmt: skip
    if not same_dtype(x, kernel, bias):
        return NotImplemented
    windows, filters = kernel.shape[:-2], kernel.shape[-1]
    geo = geometry(x.shape, windows, filters, strides, padding, dilations, groups)
    y = memory.empty((geo.batch, *geo.counts, filters), x.dtype)
    if y.size:
        form = chosen_now(geo, x, kept=needs is None)
        if form in LOOPS and factor is not None:  # They copy kernels in any case.
            kernel, factor = kernel * factor, None
        end = None
        if bias is not None or activation is not None or factor is not None:
            end = Finish(bias, activation, factor)
        with one_blas_thread:
            form.convolve(with_axes(x), kernel, geo, y, end)
    out = y.reshape(geo.batch, *geo.counts[AXES - len(windows) :], filters)
    if needs is None:
        return out
    kept = None if activation is None else out  # Else it is let go when nobody else needs it.

    def pullback(g):
        with one_blas_thread:
            g, sums = before(g, kept, activation, bias is not None and needs[2])
            return (
                input_gradient(g, kernel, geo).reshape(x.shape) if needs[0] else None,
                kernel_gradient(x, g, geo).reshape(kernel.shape) if needs[1] else None,
                sums,
            )

    return out, pullback


@ops.convolution_input_gradient.on("numpy")
def _(g, kernel, *, sizes, strides, padding, dilations, groups=1, needs=None):
    if needs is not None or not same_dtype(g, kernel):
        return NotImplemented
    geo = matching(g, kernel, sizes, strides, padding, dilations, groups)
    with one_blas_thread:
        return input_gradient(g, kernel, geo).reshape(geo.batch, *sizes, geo.channels)


@ops.convolution_kernel_gradient.on("numpy")
def _(x, g, *, windows, strides, padding, dilations, groups=1, needs=None):
    if needs is not None or not same_dtype(x, g):
        return NotImplemented
    geo = geometry(x.shape, windows, g.shape[-1], strides, padding, dilations, groups)
    with one_blas_thread:
        found = kernel_gradient(x, g, geo)
    return found.reshape(*windows, geo.channels // groups, geo.filters)


@lru_cache(4096)
def chosen(geo: Geometry, kind: str, precision: str, kept=False, looped=False, backwards=False):
    """The formulation for a geometry, a kind of floats and a precision (see `config`).

    `kept` says that the kernel stays the same from call to call, as far as is known, `looped` that
    loops are compiled, and `backwards` that it is for the gradient by the kernel.
    """
    if looped and depthwise.Looped.suits(geo):
        return depthwise.Looped
    if depthwise.suits(geo):
        return depthwise
    for form in MINIMAL[precision] if kind == "f" else ():
        form = winograd.LOOPED[form] if looped else form
        if form.suits(geo) and form.pays(geo, kept):
            return form
    if looped and direct.suits(geo, backwards):
        return direct
    return lowering if lowering.suits(geo) else panels


def input_gradient(g, kernel, geo: Geometry):
    """The gradient by x, (batch, *sizes, channels), for g of (batch, *counts, filters)."""
    g, windows = with_axes(g), kernel.reshape(*geo.windows, -1, geo.filters)
    dx = np.empty((geo.batch, *geo.sizes, geo.channels), g.dtype)
    if not g.size:
        dx[...] = 0
        return dx
    axes = map(shares, geo.sizes, geo.windows, geo.strides, geo.padding, geo.dilations, geo.counts)
    for parts in product(*axes):
        to, of, padding, dilations = zip(*parts, strict=True)
        out = dx[(slice(None), *to)]
        if None in of:
            out[...] = 0
            continue
        turned = turned_round(windows[of], geo.groups)
        part = geometry(
            g.shape, turned.shape[:AXES], geo.channels, (1,) * AXES, padding, dilations, geo.groups
        )
        chosen_now(part, g).convolve(g, turned, part, out, None)
    return dx


def shares(size, window, stride, padding, dilation, count):
    """The convolutions of g, moving by 1, that make up the gradient along an axis.

    For each of the places that the stride passes over: the elements of x it is for, the kernel's
    elements that meet them (None if there are none) as a slice that turns them round, the margins
    of g, and the dilation.
    """
    for first in range(min(stride, size)):
        number = -(-(size - first) // stride)
        start = first + padding[0]
        met = [p for p in range(window) if (start - dilation * p) % stride == 0]
        to = slice(first, size, stride)
        if not met:
            yield to, None, (0, 0), 1
            continue
        step = met[1] - met[0] if len(met) > 1 else window
        apart = dilation * step // stride if len(met) > 1 else 1
        of = slice(met[-1], met[0] - 1 if met[0] else None, -step)
        low = span(len(met), apart) - 1 - (start - dilation * met[0]) // stride
        yield to, of, (low, number - 1 + span(len(met), apart) - count - low), apart


def turned_round(kernel, groups: int):
    """The kernel (*windows, F / groups, C) that leads back; its windows are turned already."""
    *windows, channels, filters = kernel.shape
    apart = kernel.reshape(*windows, channels, groups, filters // groups)
    return apart.transpose(0, 1, 2, 5, 4, 3).reshape(*windows, filters // groups, -1)


def kernel_gradient(x, g, geo: Geometry):
    """The gradient by the kernel, (*windows, channels / groups, filters)."""
    if not g.size or not x.size:
        return np.zeros((*geo.windows, geo.channels // geo.groups, geo.filters), g.dtype)
    return chosen_now(geo, g, backwards=True).kernel_gradient(with_axes(x), with_axes(g), geo)


def chosen_now(geo: Geometry, x, kept: bool = False, backwards: bool = False):
    looped = jit.takes(x, least=0 if geo.operations >= LOOPED else x.size + 1)
    precision = config.float32_convolution_precision()
    return chosen(geo, x.dtype.char, precision, kept, looped, backwards)


def matching(g, kernel, sizes, strides, padding, dilations, groups) -> Geometry:
    """The geometry of the convolution that gives as many places as g has."""
    windows, channels = kernel.shape[:-2], kernel.shape[-2] * groups
    around = tuple(
        (low, (n - 1) * s + span(k, d) - size - low)
        for n, k, s, d, size, (low, _) in zip(
            g.shape[1:-1], windows, strides, dilations, sizes, padding, strict=True
        )
    )
    shape = (g.shape[0], *sizes, channels)
    return geometry(shape, windows, kernel.shape[-1], strides, around, dilations, groups)


class Finish:
    """Factors, bias and activation, applied to rows of filters while these are in the cache.

    An activation is a name that products take in or, in a plan of inference, any function of an
    array that it may overwrite; only such a plan has factors, one for each filter.
    """

    def __init__(self, bias, activation, factor=None):
        self.bias, self.activation, self.factor, self.wide = bias, activation, factor, {}

    def __call__(self, rows) -> None:
        if self.bias is not None or self.factor is not None:
            width = len(self.factor if self.bias is None else self.bias)
            times = repeats(rows.size // width, width)
            if times not in self.wide:
                given = self.factor, self.bias
                self.wide[times] = [None if a is None else np.tile(a, times) for a in given]
            factor, bias = self.wide[times]
            view = rows.reshape(-1, times * width)
            if factor is not None:
                view *= factor
            if bias is not None:
                view += bias
        if self.activation is not None:
            self.activate(rows)

    def activate(self, rows) -> None:
        finish(rows, self.activation)
