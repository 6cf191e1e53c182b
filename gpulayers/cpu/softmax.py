"""Softmax of NumPy arrays, in one buffer, or row by row by loops."""

from __future__ import annotations

import numpy as np

from ..jit import softmax as loops
from ..ops.softmax import axes_of, log_softmax, softmax
from . import memory
from .activation import COST, by_loops, fits
from .threads import divided

SHORT = 16  # Elements of rows below which loops are not worth while.


def in_rows(x, axis) -> bool:
    """Whether loops over rows are to be used."""
    return x.size > 0 and axis in (-1, x.ndim - 1) and x.shape[-1] >= SHORT and by_loops(x)


def looped(there, back, x, needs):
    """A function of rows and its gradient by loops."""
    out = _made(there, x)
    return out if needs is None else (out, lambda g: (_made(back, out, g), None))


def _made(kernel, *arrays):
    out = memory.empty_like(arrays[0])
    rows = [np.ascontiguousarray(a).reshape(-1, a.shape[-1]) for a in (*arrays, out)]
    divided(kernel, len(rows[0]), COST * out.size, *rows)
    return out


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
    if in_rows(x, axis):
        return looped(loops.softmax, loops.softmax_back, x, needs)
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
    if in_rows(x, axis):
        return looped(loops.log_softmax, loops.log_softmax_back, x, needs)
    out = x - np.maximum.reduce(x, axis, None, None, True)
    out -= np.log(np.add.reduce(np.exp(out), axis, None, None, True))
    if needs is None:
        return out

    def pullback(g):
        d = np.exp(out)
        d *= np.add.reduce(g, axis, None, None, True)
        return (np.subtract(g, d, d), None)

    return out, pullback
