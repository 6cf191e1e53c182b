"""Softmax and its logarithm along rows, while these are in the cache."""

from __future__ import annotations

import numpy as np

from . import kernel, part
from .elementary import exp

SMALLEST, SIGN, REST = np.int32(-(1 << 31)), np.int32(31), np.int32(0x7FFFFFFF)


@part
def ordered(bits):
    """The bits of floats as integers in the same order, or these as those."""
    return np.int32(bits ^ np.int32(np.int32(bits >> SIGN) & REST))


@part
def largest(x, i):
    """The largest of a row; NaN or any other where one is NaN, which `exp` finds again."""
    top = SMALLEST
    for j in range(x.shape[1]):
        top = max(top, ordered(np.float32(x[i, j]).view(np.int32)))
    return np.int32(ordered(top)).view(np.float32)


@kernel("y")
def softmax(x, y, first, last):
    for i in range(first, last):
        top, total = largest(x, i), x.dtype.type(0)
        for j in range(x.shape[1]):
            y[i, j] = exp(x[i, j] - top)
            total += y[i, j]
        share = x.dtype.type(1) / total
        for j in range(x.shape[1]):
            y[i, j] *= share


@kernel("dx")
def softmax_back(y, g, dx, first, last):
    for i in range(first, last):
        along = y.dtype.type(0)
        for j in range(y.shape[1]):
            along += g[i, j] * y[i, j]
        for j in range(y.shape[1]):
            dx[i, j] = (g[i, j] - along) * y[i, j]


@kernel("y")
def log_softmax(x, y, first, last):
    for i in range(first, last):
        top, total = largest(x, i), x.dtype.type(0)
        for j in range(x.shape[1]):
            total += exp(x[i, j] - top)
        away = np.log(total)
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] - top - away


@kernel("dx")
def log_softmax_back(y, g, dx, first, last):
    for i in range(first, last):
        total = y.dtype.type(0)
        for j in range(y.shape[1]):
            total += g[i, j]
        for j in range(y.shape[1]):
            dx[i, j] = g[i, j] - exp(y[i, j]) * total
