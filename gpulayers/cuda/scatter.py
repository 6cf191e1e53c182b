"""Rows of CuPy arrays put where indices say, those of one place combined in a fixed order.

Sorting the indices brings the rows of a place together; then each place is written once, by no
atomic operation: the same bits each time, and no waiting for a row that all want.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..arrays.scatter import scatter_add, scatter_add_along_axis
from .module import Module, blocks, c_type, contiguous, empty
from .order import stable_order

_source = Module("scatter")

THREADS = 256  # As in the source.
PIECES = ((1 << 16, 16), (1 << 63, 32))  # Rows of a piece, up to so many rows in all.
LATER_PIECE = 64  # Of runs that were cut.  Pieces are even: two rows come of each.
MOST = 65535  # Blocks along y and z.
SUMS = {"half": "float32", "bfloat16": "float32", "float": "float32", "double": "float64"}
SUMS |= {"int": "int32", "long long": "int64"}  # What each C type is added in.

INSTANCES = [
    {"T": "bfloat16", "V": "bfloat16", "S": "float32", "K": "int32", "I": "int32", "HOW": "ADD"},
    {"T": "bfloat16", "V": "float32", "S": "float32", "K": "int32", "I": "int32", "HOW": "ADD"},
    {"T": "float32", "V": "float32", "S": "float32", "K": "int64", "I": "int32", "HOW": "ADD"},
    {"T": "float32", "V": "float32", "S": "float32", "K": "int64", "I": "int64", "HOW": "SET"},
    {"T": "float64", "V": "float64", "S": "float64", "K": "int64", "I": "int32", "HOW": "MAXIMUM"},
    {"T": "int32", "V": "int32", "S": "int32", "K": "int64", "I": "int32", "HOW": "MULTIPLY"},
]


def can_combine(rows, places) -> bool:
    """Whether there are kernels for these dtypes."""
    return c_type(rows.dtype) in SUMS and places.dtype.kind in "iu"


def combined_rows(rows, places, y, how="ADD", start=None, wrap=True):
    """Combine rows into the places of y, which it changes and gives back.

    Args:
        rows: (outer, count, width), C-contiguous.
        places: (count,) integers, from 0 to size - 1; others count modulo size, or with
            `wrap=False` are left out.
        y: (outer, size, width), C-contiguous.  What no row goes to stays as it is.
        how: "ADD", "MAXIMUM", "MINIMUM", "MULTIPLY" or "SET" (the last row counts).
        start: as y, what there is before the first row; by default, nothing.
    """
    size = y.shape[1]
    keys = empty(places.shape, _key_dtype(size))
    kernel = _kernel("scatter_keys", rows.dtype, rows.dtype, places.dtype, keys.dtype, how)
    kernel(blocks(keys.size, THREADS), THREADS, places, keys, keys.size, size, wrap)
    return _by_keys(rows, keys, y, how, start, places.dtype)


def _key_dtype(places: int) -> np.dtype:
    return np.dtype(np.int32 if places < 2**31 - 2 else np.int64)


def _kernel(name, dtype, values, ids, keys, how):
    total = SUMS[c_type(dtype)]
    return _source.kernel(name, T=dtype, V=values, S=total, K=ids, I=keys, HOW=how)


def _by_keys(rows, keys, y, how, start, ids):
    outer, count, width = rows.shape
    if 0 in rows.shape:
        return y
    order = stable_order(keys)
    keys, total = keys.take(order), np.dtype(SUMS[c_type(y.dtype)])
    piece = next(piece for most, piece in PIECES if count <= most)
    while True:
        pieces, last = blocks(count, piece), count <= piece
        vectors = blocks(width, 16 // rows.itemsize)
        lanes = min(32, 1 << (vectors - 1).bit_length())
        partial = None if last else empty((outer, 2 * pieces, width), total)
        partial_keys = None if last else empty((2 * pieces,), keys.dtype)
        kernel = _kernel("scatter_runs", y.dtype, rows.dtype, ids, keys.dtype, how)
        grid = blocks(pieces, THREADS // lanes), min(blocks(vectors, lanes), MOST), min(outer, MOST)
        kernel(
            grid, THREADS, rows, order, keys, start, y, partial, partial_keys,
            outer, count, width, y.shape[1], lanes, piece,
        )  # fmt: skip
        if last:
            return y
        rows, keys, order, count, piece = partial, partial_keys, None, 2 * pieces, LATER_PIECE


def zeros(shape, dtype):
    """An array of zeros on the current device."""
    y = empty(shape, dtype)
    y.fill(0)
    return y


@scatter_add.on("cupy")
def _(x, indices, *, axis, size, needs=None):
    lead, tail = x.shape[:axis], x.shape[axis + indices.ndim :]
    if needs is not None or not can_combine(x, indices) or prod(tail) >= 2**31:
        return NotImplemented  # The general rule calls this one again.
    if size == 0 and indices.size:
        return NotImplemented
    outer, count, width = prod(lead), indices.size, prod(tail)
    rows = contiguous(x).reshape(outer, count, width)
    places = contiguous(indices).reshape(count)
    y = combined_rows(rows, places, zeros((outer, size, width), x.dtype))
    return y.reshape(*lead, size, *tail)


@scatter_add_along_axis.on("cupy")
def _(x, indices, *, axis, size, needs=None):
    if needs is not None or not can_combine(x, indices) or (size == 0 and indices.size):
        return NotImplemented
    axis %= x.ndim
    n, inner = x.shape[axis], prod(x.shape[axis + 1 :])
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    y = zeros(shape, x.dtype)
    ids, keys = contiguous(indices).reshape(-1), empty((x.size,), _key_dtype(y.size))
    kernel = _kernel("scatter_keys_along", x.dtype, x.dtype, ids.dtype, keys.dtype, "ADD")
    kernel(blocks(x.size, THREADS), THREADS, ids, keys, x.size, n, size, inner)
    _by_keys(contiguous(x).reshape(1, -1, 1), keys, y.reshape(1, -1, 1), "ADD", None, ids.dtype)
    return y
