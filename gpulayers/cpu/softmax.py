"""Softmax of NumPy arrays, in one buffer."""

from __future__ import annotations

import numpy as np

from ..ops.softmax import axes_of, log_softmax, softmax
from .activation import fits


def softmax_of(x, axis):
    """exp(x) / sum(exp(x)) as a fresh array."""
    t = x - np.maximum.reduce(x, axis, None, None, True)
    np.exp(t, t)
    t /= np.add.reduce(t, axis, None, None, True)
    return t


@softmax.on("numpy")
def _(x, axis=-1, *, needs=None):
    if not fits(x):
        return NotImplemented
    if type(axis) is not int or not -x.ndim <= axis < x.ndim:
        axis = axes_of(axis, x.ndim)
    out = softmax_of(x, axis)
    if needs is None:
        return out

    def pullback(g):
        if axis == -1:
            d = g - np.vecdot(g, out)[..., None]
        else:
            d = g - (g * out).sum(axis=axis, keepdims=True)
        d *= out
        return (d, None)

    return out, pullback


@log_softmax.on("numpy")
def _(x, axis=-1, *, needs=None):
    if not fits(x):
        return NotImplemented
    if type(axis) is not int or not -x.ndim <= axis < x.ndim:
        axis = axes_of(axis, x.ndim)
    out = x - np.maximum.reduce(x, axis, None, None, True)
    out -= np.log(np.add.reduce(np.exp(out), axis, None, None, True))
    if needs is None:
        return out

    def pullback(g):
        d = np.exp(out)
        d *= np.add.reduce(g, axis, None, None, True)
        return (np.subtract(g, d, d), None)

    return out, pullback
