"""Changes of shape, joining and splitting, selection."""

from __future__ import annotations

import math

from .. import shapes
from .table import TABLE, Function, define


def _transposed(axes):
    return tuple(sorted(range(len(axes)), key=[a % len(axes) for a in axes].__getitem__))


def _negated(shift):
    return tuple(-s for s in shift) if isinstance(shift, tuple) else -shift


def _getitem(xp, out, x, key):
    from ..scatter import put

    shape = x.shape
    return (lambda g: put(g, key=key, shape=shape), None)


# All of these are views of one NumPy array, which `shapes.view` makes use of.
define(
    shapes.view,
    reshape=lambda xp, out, x, shape, **k: (lambda g, old=x.shape: xp.reshape(g, old), None),
    expand_dims=lambda xp, out, x, **k: (lambda g, old=x.shape: xp.reshape(g, old),),
    squeeze=lambda xp, out, x, *a, **k: (lambda g, old=x.shape: xp.reshape(g, old),),
    broadcast_to=lambda xp, out, x, shape: (lambda g: g, None),  # The tape sums it back.
    permute_dims=lambda xp, out, x, axes: (
        lambda g, back=_transposed(axes): xp.permute_dims(g, back),
        None,
    ),
    matrix_transpose=lambda xp, out, x: (lambda g: xp.matrix_transpose(g),),
    moveaxis=lambda xp, out, x, source, destination: (
        lambda g: xp.moveaxis(g, destination, source),
        None,
        None,
    ),
    flip=lambda xp, out, x, *, axis=None: (lambda g: xp.flip(g, axis=axis),),
    getitem=_getitem,
)
define(
    shapes.same,
    roll=lambda xp, out, x, shift, *, axis=None: (
        lambda g: xp.roll(g, _negated(shift), axis=axis),
        None,
    ),
    tril=lambda xp, out, x, *, k=0: (lambda g: xp.tril(g, k=k),),
    triu=lambda xp, out, x, *, k=0: (lambda g: xp.triu(g, k=k),),
)
# The tape casts the gradient back.
define(shapes.astype, astype=lambda xp, out, x, dtype, **k: (lambda g: g, None))


def _concat(xp, out, *arrays, axis=0):
    if axis is None:
        sizes = [math.prod(a.shape) for a in arrays]
        parts = zip(arrays, sizes, _starts(sizes), strict=True)
        return tuple(
            (lambda g, a=a.shape, i=i, n=n: xp.reshape(g[i : i + n], a)) for a, n, i in parts
        )
    sizes = [a.shape[axis] for a in arrays]
    before = (slice(None),) * (axis % out.ndim)
    return tuple(
        (lambda g, i=i, n=n: g[(*before, slice(i, i + n), ...)])
        for i, n in zip(_starts(sizes), sizes, strict=True)
    )


def _starts(sizes):
    return [sum(sizes[:i]) for i in range(len(sizes))]


def _stack(xp, out, *arrays, axis=0):
    before = (slice(None),) * (axis % out.ndim)
    return tuple((lambda g, i=i: g[(*before, i, ...)]) for i in range(len(arrays)))


TABLE["concat"] = Function(shapes.concat, _concat, variadic=True)
TABLE["stack"] = Function(shapes.stack, _stack, variadic=True)
TABLE["unstack"] = Function(
    shapes.unstack,
    lambda xp, outs, x, *, axis=0: (lambda gs: xp.stack(gs, axis=axis),),
    many=True,
)
TABLE["broadcast_arrays"] = Function(shapes.views, lambda xp, outs, *xs: lambda gs: gs, many=True)
TABLE["meshgrid"] = Function(shapes.views, many=True)


def _repeat(xp, out, x, repeats, *, axis=None):
    if shapes.is_array(repeats):
        raise NotImplementedError("repeat: an array of repeats has no gradient rule.")

    def dx(g):
        if axis is None:
            return xp.reshape(xp.sum(xp.reshape(g, (-1, repeats)), axis=1), x.shape)
        at = axis % x.ndim
        shape = (*x.shape[: at + 1], repeats, *x.shape[at + 1 :])
        return xp.sum(xp.reshape(g, shape), axis=at + 1)

    return dx, None


def _tile(xp, out, x, repetitions):
    rank = len(out.shape)
    times = (1,) * (rank - len(repetitions)) + tuple(repetitions)
    shape = (1,) * (rank - x.ndim) + tuple(x.shape)

    def dx(g):
        pairs = [n for pair in zip(times, shape, strict=True) for n in pair]
        g = xp.sum(xp.reshape(g, tuple(pairs)), axis=tuple(range(0, 2 * rank, 2)))
        return xp.reshape(g, x.shape)

    return dx, None


define(shapes.repeat, repeat=_repeat)
define(shapes.tile, tile=_tile)


def _take(xp, out, x, indices, /, *, axis=None):
    from ..scatter import scatter_add

    axis = 0 if axis is None else axis % x.ndim
    size = x.shape[axis]
    return lambda g: scatter_add(g, indices, axis=axis, size=size), None


def _take_along_axis(xp, out, x, indices, /, *, axis=-1):
    from ..scatter import scatter_add_along_axis

    axis = axis % x.ndim
    size = x.shape[axis]

    def dx(g):
        full = xp.broadcast_to(indices, g.shape)
        return scatter_add_along_axis(g, full, axis=axis, size=size)

    return dx, None


define(shapes.take, take=_take)
define(shapes.take_along_axis, take_along_axis=_take_along_axis)
