"""Several arrays made one, and one made several."""

from __future__ import annotations

from functools import wraps
from inspect import signature
from itertools import accumulate, pairwise

import numpy as np

from ..arrays import is_array, namespace, primitive
from ..arrays.primitive import is_symbolic
from ..arrays.symbolic import connect
from .calling import array_function, as_arrays, together
from .shaping import reshape

__all__ = [
    "append",
    "array_split",
    "broadcast_arrays",
    "concat",
    "concatenate",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "meshgrid",
    "select",
    "split",
    "stack",
    "unstack",
    "vsplit",
    "vstack",
]


def of_list(function):
    """Decorate a function of a list of arrays: within it they have one dtype."""

    name = next(iter(signature(function).parameters))

    @wraps(function)
    def call(*args, **options):
        xs, args = (args[0], args[1:]) if args else (options.pop(name), ())
        if type(xs) is list and _uniform(xs):
            return function(xs, *args, **options)
        if is_symbolic(xs):
            return connect(call, xs, *args, **options)
        xs = unstack(xs) if is_array(xs) else list(xs)
        if not xs:
            raise ValueError(f"{function.__name__}: needs at least one array.")
        _, xs = together(as_arrays(xs))
        return function(xs, *args, **options)

    return call


def _uniform(xs):
    """Whether these are NumPy arrays of one dtype."""
    dtype = getattr(xs[0], "dtype", None) if xs else None
    return all(type(x) is np.ndarray and x.dtype is dtype for x in xs) and bool(xs)


@of_list
def concatenate(xs, axis: int | None = 0):
    """Arrays one after the other along an axis; flat ones for None.

    Raises ValueError if their other sizes differ.
    """
    return namespace(*xs).concat(xs, axis=axis)


concat = concatenate


@of_list
def stack(x, axis: int = 0):
    """Arrays of one shape beside each other along a new axis."""
    return namespace(*x).stack(x, axis=axis)


@of_list
def hstack(xs):
    """Arrays one after the other along their second axis; along the first for vectors."""
    xs = [_at_least(x, 1) for x in xs]
    return namespace(*xs).concat(xs, axis=0 if xs[0].ndim == 1 else 1)


@of_list
def vstack(xs):
    """Arrays one after the other along their first axis; vectors are rows."""
    return namespace(*xs).concat([_at_least(x, 2) for x in xs], axis=0)


@of_list
def dstack(xs):
    """Arrays one after the other along their third axis, which vectors and matrices get first."""
    return namespace(*xs).concat([_at_least(x, 3) for x in xs], axis=2)


def _at_least(x, rank):
    """`x` with new axes of size 1, as NumPy's atleast_1d, atleast_2d and atleast_3d place them."""
    if x.ndim >= rank:
        return x
    shape = {2: (1, -1), 1: (1,)}.get(rank) or ((1, -1, 1) if x.ndim < 2 else (*x.shape, 1))
    return namespace(x).reshape(x, shape)


@array_function("x1", "x2", computes=False)
def append(x1, x2, axis: int | None = None):
    """`x2` behind `x1` along an axis; both flat for None."""
    return concatenate([x1, x2], axis=axis)


@array_function(computes=False)
def unstack(x, num: int | None = None, axis: int = 0):
    """The slices of `x` along an axis, as a list.

    num: how many there are; it is only checked. Raises ValueError if there are others.
    """
    if num is not None and x.shape[axis] != num:
        raise ValueError(f"unstack: axis {axis} has {x.shape[axis]} slices, not {num}.")
    return list(namespace(x).unstack(x, axis=axis))


def _parts(x, bounds, axis):
    """Slices of `x` along an axis, cut at the sorted indices `bounds`."""
    before = (slice(None),) * (axis % x.ndim)
    ends = [0, *bounds, x.shape[axis]]
    return [x[(*before, slice(a, b), ...)] for a, b in pairwise(ends)]


def _bounds(indices):
    indices = indices.tolist() if hasattr(indices, "tolist") else indices
    return indices if isinstance(indices, int) else [int(i) for i in indices]


@array_function(computes=False)
def split(x, indices_or_sections, axis: int = 0):
    """Parts of `x` along an axis, as a list.

    indices_or_sections: how many equal parts, or the indices before which to cut. Raises
        ValueError if there are no such equal parts.
    """
    sections = _bounds(indices_or_sections)
    if isinstance(sections, list):
        return _parts(x, sections, axis)
    size = x.shape[axis]
    if sections < 1 or size % sections:
        raise ValueError(
            f"split: axis {axis} of the shape {tuple(x.shape)} has no {sections} equal parts."
        )
    return _parts(x, [i * (size // sections) for i in range(1, sections)], axis)


@primitive
def cut(x, *, sizes):
    """Parts of some sizes along the last axis, which add up to it: their gradients are joined once,
    and not added up as those of slices are."""
    ends = list(accumulate(sizes))
    return tuple(x[..., end - size : end] for size, end in zip(sizes, ends, strict=True))


@cut.vjp
def _(xp, out, x, *, sizes):
    return lambda gs: (xp.concat(gs, axis=-1),)


@array_function(computes=False)
def array_split(x, indices_or_sections, axis: int = 0):
    """As `split`, but the first parts may be one longer than the others."""
    sections = _bounds(indices_or_sections)
    if isinstance(sections, list):
        return _parts(x, sections, axis)
    each, longer = divmod(x.shape[axis], sections)
    return _parts(x, [i * each + min(i, longer) for i in range(1, sections)], axis)


@array_function(computes=False)
def hsplit(x, indices_or_sections):
    """`split` along the second axis; along the first of a vector."""
    return split(x, indices_or_sections, axis=0 if x.ndim == 1 else 1)


@array_function(computes=False)
def vsplit(x, indices_or_sections):
    """`split` along the first axis."""
    return split(x, indices_or_sections, axis=0)


@array_function(computes=False)
def dsplit(x, indices_or_sections):
    """`split` along the third axis."""
    return split(x, indices_or_sections, axis=2)


def broadcast_arrays(*arrays):
    """The arrays in the shape to which they broadcast together, as a list."""
    if is_symbolic(*arrays):
        return connect(broadcast_arrays, *arrays)
    arrays = as_arrays(arrays)
    return list(namespace(*arrays).broadcast_arrays(*arrays))


def meshgrid(*x, indexing: str = "xy"):
    """The coordinates of the points of a grid, one array for each of its axes, as a list.

    Args:
        x: the places along each axis, vectors.
        indexing: "xy" has the second array's places along the first axis, "ij" along the second.

    Raises ValueError for another `indexing`.
    """
    if is_symbolic(*x):
        return connect(meshgrid, *x, indexing=indexing)
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}.")
    _, x = together(as_arrays(x))
    rank = len(x)
    order = [1, 0, *range(2, rank)] if indexing == "xy" and rank > 1 else range(rank)
    shaped = [
        reshape(a, [-1 if i == place else 1 for i in range(rank)])
        for a, place in zip(x, order, strict=True)
    ]
    return broadcast_arrays(*shaped)


def select(condlist, choicelist, default=0):
    """Elements of the first choice whose condition holds, `default` where none holds.

    Raises ValueError unless there are as many conditions as choices.
    """
    from .arithmetic import where

    if len(condlist) != len(choicelist):
        raise ValueError(
            f"select: {len(condlist)} conditions need as many choices, got {len(choicelist)}."
        )
    out = default
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        out = where(condition, choice, out)
    return out
