"""Numbers along an axis as probabilities: softmax, its logarithm, and sparsemax."""

from __future__ import annotations

from ..arrays import primitive
from ..arrays.shapes import counted
from .floating import floating

__all__ = ["log_softmax", "softmax", "sparsemax"]


def axes_of(axis, ndim: int):
    """`axis` as the standard's reductions take it: an integer, a tuple, or None for all axes.

    Raises ValueError for an axis that an array of `ndim` axes lacks.
    """
    given = axis if isinstance(axis, (tuple, list)) else () if axis is None else (axis,)
    if not all(-ndim <= a < ndim for a in given):
        raise ValueError(f"softmax: axis must be in {-ndim}..{ndim - 1}, got {axis}.")
    return tuple(axis) if isinstance(axis, list) else axis


@primitive
def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) along an axis.

    axis: an integer, several of them (which then share one sum), or None for all axes.
    """
    xp, x = floating(x)
    axis = axes_of(axis, x.ndim)
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


@softmax.vjp
def _(xp, out, x, axis=-1):
    axis = axes_of(axis, x.ndim)
    return (lambda g: (g - xp.sum(g * out, axis=axis, keepdims=True)) * out, None)


@primitive
def log_softmax(x, axis=-1):
    """x - log(sum(exp(x))) along an axis: the logarithm of `softmax`.

    axis: an integer, several of them (which then share one sum), or None for all axes.
    """
    xp, x = floating(x)
    axis = axes_of(axis, x.ndim)
    x = x - xp.max(x, axis=axis, keepdims=True)
    return x - xp.log(xp.sum(xp.exp(x), axis=axis, keepdims=True))


@log_softmax.vjp
def _(xp, out, x, axis=-1):
    axis = axes_of(axis, x.ndim)
    return (lambda g: g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True), None)


@primitive
def sparsemax(x, axis=-1):
    """max(x - tau, 0) along an axis, with one threshold tau for all: many results are 0.

    With z the values in falling order, t their running totals, and k the number of places i where
    z[i] > (t[i] - 1) / i, the threshold is (t[1] + ... + t[k] - 1) / k, as Keras 3.15 has it, so
    that its models give the same here. In the paper (Martins and Astudillo, "From softmax to
    sparsemax", 2016) it is (t[k] - 1) / k, by which the results would sum to 1; the two agree
    where k is 1.
    """
    xp, x = floating(x)
    axis = counted(axis, x.ndim, "sparsemax")
    ordered = xp.flip(xp.sort(x, axis=axis), axis=axis)
    totals = xp.cumulative_sum(ordered, axis=axis)
    places = xp.arange(1, x.shape[axis] + 1, dtype=x.dtype)
    places = xp.reshape(places, (-1,) + (1,) * (x.ndim - axis - 1))
    support = xp.astype(ordered > (totals - 1) / places, x.dtype)
    count = xp.sum(support, axis=axis, keepdims=True)
    tau = (xp.sum(totals * support, axis=axis, keepdims=True) - 1) / count
    return xp.maximum(x - tau, 0.0)
