"""Interpolation on NumPy arrays: products with those blocks of the weights that are not zero."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..ops.resize import interpolation_weights, nearest_places, resampled, resampled_nearest
from . import threads

BLOCK = 32  # Results at a time: few zeros in a block, and enough work for BLAS.
MOVED = 20  # About how many additions take as long as a number that is moved.
FEW = 4  # Numbers behind the axis, up to which they join the axis in one product.


@resampled.on("numpy")
def _(x, *, axis, size, interpolation, antialias=False, needs=None):
    # Against the product with the whole matrix, for both axes of an image of 512 x 512 x 3 pixels
    # made twice as large: 6 ms for 199 (bilinear), one core.
    how = (x.shape[axis], size, interpolation, antialias, x.dtype.name)
    out = _along(x, axis, size, how, turned=False)
    if needs is None:
        return out
    return out, lambda g: (_along(g, axis, how[0], how, turned=True),)


@resampled_nearest.on("numpy")
def _(x, *, axis, size, needs=None):
    old, n = x.shape[axis], len(x)
    if needs is not None or n < 2 or axis == 0 or (old and size % old == 0):
        return NotImplemented
    y = np.empty((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    places = nearest_places(old, size)

    def some(indices):
        for i in indices:
            x[i].take(places, axis=axis - 1, out=y[i], mode="clip")

    threads.share(some, range(n), MOVED * y.size)
    return y


def _along(x, axis, size, how, turned):
    """The weight matrix that `how` names, or its transpose, applied along an axis."""
    shape = x.shape
    before, old, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    width = after if after <= FEW else 0
    blocks = _blocks(how, turned, width)
    if width:
        x, y = x.reshape(before, old * after), np.empty((before, size * after), x.dtype)
        for to, of, matrix in blocks:
            np.matmul(x[:, of], matrix, out=y[:, to])
    else:
        x, y = x.reshape(before, old, after), np.empty((before, size, after), x.dtype)
        for to, of, matrix in blocks:
            np.matmul(matrix, x[:, of], out=y[:, to])
    return y.reshape(*shape[:axis], size, *shape[axis + 1 :])


@lru_cache(maxsize=64)
def _blocks(how, turned, width):
    """(where in the result, where in the input, matrix) of each block of the weight matrix.

    With a width, the axis is one with the `width` numbers behind it, and the matrices, turned for
    a product from the right, leave these apart.
    """
    weights = interpolation_weights(*how)
    weights = weights.T if turned else weights
    blocks = []
    for start in range(0, weights.shape[0], BLOCK):
        rows = weights[start : start + BLOCK]
        used = np.flatnonzero(rows.any(axis=0))
        first, stop = (used[0], used[-1] + 1) if used.size else (0, 1)
        matrix, end = rows[:, first:stop], start + len(rows)
        if width:
            matrix = np.kron(matrix.T, np.eye(width, dtype=matrix.dtype))
            start, end, first, stop = (n * width for n in (start, end, first, stop))
        blocks.append((slice(start, end), slice(first, stop), np.ascontiguousarray(matrix)))
    return blocks
