"""Reductions, running totals, sorting and searching."""

from __future__ import annotations

import math

from .. import shapes
from ..namespace import NUMPY
from .table import TABLE, Function, define, without_gradient

SMALL = 4096  # Elements: below, a sum takes a quarter of the time of NumPy's broadcast_to.


def _spread(xp, g, shape, axis, keepdims):
    """Undo a reduction's change of shape: `g` broadcast to what was reduced."""
    if not keepdims and axis is not None:
        g = xp.reshape(g, shapes.reduced_shape(shape, axis, keepdims=True))
    if xp is NUMPY and math.prod(shape) < SMALL:
        return g + xp.zeros(shape, dtype=g.dtype)
    return xp.broadcast_to(g, shape)


def _sum(xp, out, x, /, *, axis=None, dtype=None, keepdims=False):
    shape = x.shape
    return (lambda g: _spread(xp, g, shape, axis, keepdims),)


def _count(x, out):
    return math.prod(x.shape) // max(1, math.prod(out.shape))


def _mean(xp, out, x, /, *, axis=None, keepdims=False):
    shape, count = x.shape, _count(x, out)
    return (lambda g: _spread(xp, g / count, shape, axis, keepdims),)


def _extremum(xp, out, x, /, *, axis=None, keepdims=False):
    def dx(g):
        chosen = xp.astype(x == _spread(xp, out, x.shape, axis, keepdims), x.dtype)
        ties = xp.sum(chosen, axis=axis, keepdims=keepdims)
        return _spread(xp, g / ties, x.shape, axis, keepdims) * chosen

    return (dx,)


def _prod(xp, out, x, /, *, axis=None, dtype=None, keepdims=False):
    """Products of all the others, by running products from both sides: right at zeros too."""

    def dx(g):
        axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = sorted(a % x.ndim for a in axes)
        kept = [i for i in range(x.ndim) if i not in axes]
        rows = xp.permute_dims(x, (*kept, *axes))
        rows = xp.reshape(rows, (*(x.shape[i] for i in kept), -1))
        before = xp.cumulative_prod(rows, axis=-1, include_initial=True)[..., :-1]
        after = xp.cumulative_prod(xp.flip(rows, axis=-1), axis=-1, include_initial=True)[..., :-1]
        others = before * xp.flip(after, axis=-1)
        others = xp.reshape(others, tuple(x.shape[i] for i in (*kept, *axes)))
        order = (*kept, *axes)
        others = xp.permute_dims(others, tuple(sorted(range(x.ndim), key=order.__getitem__)))
        return _spread(xp, g, x.shape, axis, keepdims) * others

    return (dx,)


def _var(xp, out, x, /, *, axis=None, correction=0.0, keepdims=False):
    count = _count(x, out)

    def dx(g):
        centred = x - xp.mean(x, axis=axis, keepdims=True)
        return _spread(xp, g * (2 / (count - correction)), x.shape, axis, keepdims) * centred

    return (dx,)


def _std(xp, out, x, /, *, axis=None, correction=0.0, keepdims=False):
    (dvar,) = _var(xp, out, x, axis=axis, correction=correction, keepdims=keepdims)
    return (lambda g: dvar(g / (2 * out)),)


def _reversed_total(xp, g, axis):
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


def _part(axis, start, stop):
    return (*(slice(None),) * axis, slice(start, stop), ...)


def _cumulative_sum(xp, out, x, /, *, axis=None, dtype=None, include_initial=False):
    axis = 0 if axis is None else axis % x.ndim

    def dx(g):
        return _reversed_total(xp, g[_part(axis, 1, None)] if include_initial else g, axis)

    return (dx,)


def _cumulative_prod(xp, out, x, /, *, axis=None, dtype=None, include_initial=False):
    axis = 0 if axis is None else axis % x.ndim

    def dx(g):
        g, y = (a[_part(axis, 1, None)] if include_initial else a for a in (g, out))
        steps = []
        for i in range(x.shape[axis]):  # Right at zeros too, where dividing by x is not.
            tail = x[_part(axis, i + 1, None)]
            after = xp.cumulative_prod(tail, axis=axis, include_initial=True)
            before = xp.prod(x[_part(axis, 0, i)], axis=axis, keepdims=True)
            steps.append(xp.sum(g[_part(axis, i, None)] * after, axis=axis, keepdims=True) * before)
        return xp.concat(steps, axis=axis) if steps else xp.zeros_like(y)

    return (dx,)


define(
    shapes.reduction,
    sum=_sum, mean=_mean, max=_extremum, min=_extremum, prod=_prod, var=_var, std=_std,
)  # fmt: skip
without_gradient(shapes.reduction, "all any count_nonzero")
without_gradient(shapes.position, "argmax argmin")
define(shapes.cumulative, cumulative_sum=_cumulative_sum, cumulative_prod=_cumulative_prod)


def _sort(xp, out, x, /, *, axis=-1, descending=False, stable=True):
    order = xp.argsort(x, axis=axis, descending=descending, stable=stable)
    back = xp.argsort(order, axis=axis)
    return (lambda g: xp.take_along_axis(g, back, axis=axis),)


define(shapes.same, sort=_sort, argsort=None)
define(shapes.searchsorted, searchsorted=None)


def _diff(xp, out, x, /, *, axis=-1, n=1, prepend=None, append=None):
    axis = axis % x.ndim
    before = 0 if prepend is None else prepend.shape[axis]
    size = x.shape[axis]

    def dx(g):
        for _ in range(n):
            pad = xp.zeros_like(g[_part(axis, 0, 1)])
            g = xp.concat([pad, g], axis=axis) - xp.concat([g, pad], axis=axis)
        return g[_part(axis, before, before + size)]

    return (dx,)


define(shapes.diff, diff=_diff)

# Their results' sizes depend on values, so they have no shape rule but an explanation.
without_gradient(shapes.on_values, "unique_all unique_counts unique_inverse unique_values")
TABLE["nonzero"] = Function(shapes.on_values, many=True)
