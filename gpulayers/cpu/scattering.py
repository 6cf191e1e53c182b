"""Values combined into NumPy arrays, at the places that indices name.

NumPy's `add.at` is fast for indices of one axis only: into others, it takes five times as long.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .. import jit
from ..arrays.scatter import scatter_add, scatter_add_along_axis
from ..jit import scattering as loops
from ..ops.scattering import combine


def add_rows(x, places, size: int):
    """Zeros (size, W) with the rows of `x` (N, W) added at `places` (N,), one after the other.

    Negative places count from the end. Raises IndexError for others that do not exist.
    """
    x, width = np.ascontiguousarray(x), x.shape[1]
    out = np.zeros((size, width), x.dtype)
    if x.size:
        places = _from_the_front(places, size)
        if jit.takes(x):
            loops.add_rows(x, places.view(np.uint64), out)
        else:
            _at(np.add, out, places, x)
    return out


def _from_the_front(places, size):
    places = np.ascontiguousarray(places, np.int64)
    least, most = places.min(), places.max()
    if least < -size or most >= size:
        raise IndexError(f"the indices {least}..{most} are out of range for {size} elements.")
    return np.where(places < 0, places + size, places) if least < 0 else places


def _at(ufunc, out, places, rows):
    """`ufunc.at(out, places, rows)` for rows of contiguous arrays, by indices of one axis."""
    width = out.shape[1]
    if width > 1:
        places = (np.reshape(places, (-1, 1)) * width + np.arange(width)).reshape(-1)
    ufunc.at(out.reshape(-1), places, rows.reshape(-1))


@scatter_add.on("numpy")
def _(x, indices, *, axis, size, needs=None):
    if needs is not None or type(x) is not np.ndarray or type(indices) is not np.ndarray:
        return NotImplemented  # The general rule calls this one again.
    lead, tail = x.shape[:axis], x.shape[axis + indices.ndim :]
    count, width, places = prod(lead), prod(tail), indices.reshape(-1)
    if count != 1:
        places = _from_the_front(places, size) if places.size else places
        places = (np.arange(count)[:, None] * size + places).reshape(-1)
    rows = x.reshape(places.size, width)
    return add_rows(rows, places, count * size).reshape(*lead, size, *tail)


@scatter_add_along_axis.on("numpy")
def _(x, indices, *, axis, size, needs=None):
    if needs is not None or type(x) is not np.ndarray or type(indices) is not np.ndarray:
        return NotImplemented
    lead, tail = x.shape[:axis], x.shape[axis + 1 :]
    out = np.zeros((*lead, size, *tail), x.dtype)
    if x.size:
        count, width = prod(lead), prod(tail)
        places = _from_the_front(indices, size).reshape(count, -1, width)
        places = (np.arange(count)[:, None, None] * size + places) * width + np.arange(width)
        np.add.at(out.reshape(-1), places.reshape(-1), x.reshape(-1))
    return out


@combine.on("numpy")
def _(rows, places, new, *, how, needs=None):
    if needs is not None:
        return NotImplemented
    if how == "add":
        return rows + add_rows(new, places, len(rows))
    out = np.array(rows, order="C")
    if how == "set":
        out[places] = new
    elif new.size:
        _at(getattr(np, how), out, _from_the_front(places, len(rows)), np.ascontiguousarray(new))
    return out
