"""Elements by their places: taken, found, replaced."""

from __future__ import annotations

from math import prod

import numpy as np

from ..arrays import Abstract, dtypes, is_array, namespace, plain
from ..arrays.index_arrays import counted_from_front
from ..arrays.primitive import is_symbolic
from ..arrays.shapes import counted
from ..arrays.symbolic import connect
from .calling import array_function, as_arrays

__all__ = [
    "get_item",
    "nonzero",
    "slice",
    "slice_update",
    "take",
    "take_along_axis",
    "unravel_index",
]

moves = array_function("x", "indices", computes=False)
_slice = slice


@moves
def take(x, indices, axis: int | None = None):
    """The elements of an axis at `indices`, whose axes stand in the place of that axis.

    axis: of the flat array for None. Negative indices count from the end; a wrong index raises
        IndexError on the CPU, elsewhere nobody looks.
    """
    if type(x) is type(indices) is np.ndarray and indices.dtype.kind in "iu":
        return np.take(x, indices, axis)
    xp = namespace(x, indices)
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    axis = counted(axis, x.ndim, "take")
    flat = xp.reshape(counted_from_front(xp, indices, x.shape[axis]), (-1,))
    taken = xp.take(x, flat, axis=axis)
    return xp.reshape(taken, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@moves
def take_along_axis(x, indices, axis: int | None = None):
    """For each place of `indices`, the element of `x` at that index of an axis.

    axis: of the flat array for None. The other axes of both broadcast. Negative indices count from
        the end.
    """
    xp = namespace(x, indices)
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
        indices = xp.reshape(indices, (-1,))
    if x.ndim != indices.ndim:
        raise ValueError(
            f"take_along_axis: x and indices need as many axes, got the shapes {tuple(x.shape)} "
            f"and {tuple(indices.shape)}."
        )
    if type(x) is type(indices) is np.ndarray and indices.dtype.kind in "iu":
        return np.take_along_axis(x, indices, axis)
    axis = counted(axis, x.ndim, "take_along_axis")
    size = x.shape[axis]
    sizes = [max(n, m) if min(n, m) else 0 for n, m in zip(x.shape, indices.shape, strict=True)]
    x = xp.broadcast_to(x, (*sizes[:axis], size, *sizes[axis + 1 :]))
    sizes[axis] = indices.shape[axis]
    indices = xp.broadcast_to(counted_from_front(xp, indices, size), tuple(sizes))
    return xp.take_along_axis(x, indices, axis=axis)


@array_function(computes=False)
def get_item(x, key):
    """x[key]: integers, slices, Ellipsis and None, or an array of integers or of booleans.

    An array of integers takes along the first axis; one of booleans gives a result whose size
    depends on its values.
    """
    if isinstance(key, list):
        key = tuple(key) if any(isinstance(k, (_slice, type(...))) for k in key) else key
    if isinstance(key, list) or (is_array(key) and dtypes.is_integer(key)):
        return take(x, key, axis=0)
    return x[key]


@array_function(computes=False)
def nonzero(x):
    """The indices (int32) of the elements that are not 0: one row for each axis of `x`.

    `x[tuple(nonzero(x))]` are these elements. The size depends on the values of `x`.
    """
    xp = namespace(x)
    places = xp.nonzero(x if x.ndim else xp.reshape(x, (1,)))
    return xp.stack([xp.astype(p, xp.int32) for p in places], axis=0)


@array_function(computes=False)
def unravel_index(indices, shape):
    """The indices into an array of `shape` that are meant by indices into its flat elements.

    Gives a tuple: one array for each axis, of the shape and dtype of `indices`.
    """
    xp, out = namespace(indices), []
    rest = counted_from_front(xp, indices, prod(shape))
    for size in reversed(tuple(shape)):
        out.append(xp.astype(xp.remainder(rest, size), indices.dtype))
        rest = xp.floor_divide(rest, size)
    return tuple(out[::-1])


# Rectangular parts.


def _starts(start_indices):
    """Where a part begins, as integers, or as arrays if they are known later only."""
    if isinstance(start_indices, (list, tuple)):
        return [s if isinstance(s, int) else _integer(s) for s in start_indices]
    return [int(s) for s in plain(start_indices).tolist()]


def _integer(x):
    return x if type(x) is Abstract else int(plain(x))


@array_function(computes=False)
def slice(inputs, start_indices, shape):
    """The part of `inputs` that begins at `start_indices` and has the sizes `shape`."""
    sizes = shape.tolist() if hasattr(shape, "tolist") else shape
    pairs = zip(_starts(start_indices), sizes, strict=True)
    return inputs[tuple(_slice(start, start + size) for start, size in pairs)]


def slice_update(inputs, start_indices, updates):
    """`inputs` with `updates` in the place of the part that begins at `start_indices`."""
    if is_symbolic(inputs, updates):
        return connect(slice_update, inputs, start_indices, updates)
    inputs, updates = as_arrays([inputs, updates])
    xp = namespace(inputs, updates)
    updates = xp.astype(updates, inputs.dtype)
    starts = _starts(start_indices)
    # Axis by axis, from the last: the slices of the updates get what is around them.
    part = updates
    for axis in reversed(range(inputs.ndim)):
        sizes = zip(starts[:axis], updates.shape[:axis], strict=True)
        around = inputs[(*(_slice(s, s + n) for s, n in sizes), ...)]
        before = (_slice(None),) * axis
        start, stop = starts[axis], starts[axis] + updates.shape[axis]
        part = xp.concat(
            [
                around[(*before, _slice(None, start), ...)],
                part,
                around[(*before, _slice(stop, None), ...)],
            ],
            axis=axis,
        )
    return part
