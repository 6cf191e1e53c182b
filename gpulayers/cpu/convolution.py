"""Convolution of NumPy arrays and its gradients: for each geometry the formulation that suits it.

| formulation | for | in |
| --- | --- | --- |
| minimal filtering | windows 3 x 3 that move by 1, many channels, float32 | `winograd` |
| sums along rows | a group for each channel | `depthwise` |
| products with lowered rows | few channels | `lowering` |
| products with panels | all others | `panels` |

Each has a function `convolve`; its gradient by x is `convolve` with the kernel turned round, for
windows that move by s once for each of the s places that elements of x have between them.  None
needs memory that grows with the batch.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from .. import config
from ..ops import convolution as ops
from ..ops.sliding import span
from . import depthwise, lowering, panels, winograd
from .activation import ONE, ZERO, sigmoid_of
from .normalization import repeats, same_dtype
from .sliding import AXES, Geometry, geometry, with_axes


@ops.convolution.on("numpy")
def _(x, kernel, bias=None, *, strides, padding, dilations, groups=1, activation=None, needs=None):
    if not same_dtype(x, kernel, bias):
        return NotImplemented
    windows, filters = kernel.shape[:-2], kernel.shape[-1]
    geo = geometry(x.shape, windows, filters, strides, padding, dilations, groups)
    y = np.empty((geo.batch, *geo.counts, filters), x.dtype)
    if y.size:
        finish = None if bias is None and activation is None else Finish(bias, activation)
        chosen(geo, x.dtype.char).convolve(with_axes(x), kernel, geo, y, finish)
    out = y.reshape(geo.batch, *geo.counts[AXES - len(windows) :], filters)
    if needs is None:
        return out

    def pullback(g):
        if activation is not None:
            g = through(g, out, activation)
        return (
            input_gradient(g, kernel, geo).reshape(x.shape) if needs[0] else None,
            kernel_gradient(x, g, geo).reshape(kernel.shape) if needs[1] else None,
            channel_sums(g) if bias is not None and needs[2] else None,
        )

    return out, pullback


@ops.convolution_input_gradient.on("numpy")
def _(g, kernel, *, sizes, strides, padding, dilations, groups=1, needs=None):
    if needs is not None or not same_dtype(g, kernel):
        return NotImplemented
    geo = matching(g, kernel, sizes, strides, padding, dilations, groups)
    return input_gradient(g, kernel, geo).reshape(geo.batch, *sizes, geo.channels)


@ops.convolution_kernel_gradient.on("numpy")
def _(x, g, *, windows, strides, padding, dilations, groups=1, needs=None):
    if needs is not None or not same_dtype(x, g):
        return NotImplemented
    geo = geometry(x.shape, windows, g.shape[-1], strides, padding, dilations, groups)
    return kernel_gradient(x, g, geo).reshape(*windows, geo.channels // groups, geo.filters)
