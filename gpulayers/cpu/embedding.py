"""Rows of NumPy tables by number, and rows of zeros and ones."""

from __future__ import annotations

from math import prod

import numpy as np

from ..arrays import dtypes
from ..ops import embedding as ops
from .scattering import add_rows


@ops.gather.on("numpy")
def _(table, indices, *, needs=None):
    if type(table) is not np.ndarray or type(indices) is not np.ndarray:
        return NotImplemented
    try:
        out = table.take(indices, axis=0)
    except IndexError:
        raise IndexError(
            f"gather: indices must be in 0..{len(table) - 1} for a table of {len(table)} rows, "
            f"got {indices.min()}..{indices.max()}."
        ) from None
    if needs is None:
        return out

    def pullback(g):
        if not needs[0]:
            return None, None
        places = indices.reshape(-1)
        rows = g.reshape(places.size, prod(table.shape[1:]))
        return add_rows(rows, places, len(table)).reshape(table.shape), None

    return out, pullback


@ops.hot.on("numpy")
def _(x, *, size, axis, dtype, needs=None):
    if needs is not None:
        return NotImplemented
    flat = x.reshape(-1)
    rows = np.flatnonzero((flat >= 0) & (flat < size))
    out = np.zeros((flat.size, size), dtypes.numpy_dtype(dtype))
    out[rows, flat[rows]] = 1
    out = out.reshape(*x.shape, size)
    return out if axis == x.ndim else np.moveaxis(out, -1, axis)
