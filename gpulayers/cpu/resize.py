"""Interpolation on NumPy arrays: products with those blocks of the weights that are not zero."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..ops.resize import (
    interpolation_weights,
    nearest_places,
    resampled,
    resampled_nearest,
    resized,
)
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


@resized.on("numpy")
def _(images, *, size, first, interpolation, antialias=False, needs=None):
    shape = images.shape
    if needs is not None or len(shape) != 4 or 0 in shape or images.dtype.kind not in "uif":
        return NotImplemented
    grows = any(new > old for new, old in zip(size, shape[first:], strict=False))
    if tuple(size) == shape[first : first + 2] or (interpolation == "nearest" and grows):
        return NotImplemented
    out = np.empty((*shape[:first], *size, *shape[first + 2 :]), images.dtype)
    work = images.dtype if images.dtype.name == "float64" else np.dtype(np.float32)
    changed = [k for k in (0, 1) if size[k] != shape[first + k]]
    hows = {k: (shape[first + k], size[k], interpolation, antialias, work.name) for k in changed}

    def some(indices):
        for i in indices:
            if interpolation == "nearest":
                _picked(images[i], size, first - 1, out[i])
            else:
                _interpolated(images[i], hows, first - 1, out[i], work)

    threads.share(some, range(len(images)), MOVED * (images.size + out.size))
    return out


def _picked(image, size, first, out):
    """The nearest pixels of an image that gets smaller, in `out`."""
    rows, columns = (nearest_places(image.shape[first + k], size[k]) for k in (0, 1))
    shape = (*image.shape[:first], size[0], *image.shape[first + 1 :])
    part = threads.scratch("resized", math.prod(shape), image.dtype).reshape(shape)
    image.take(rows, axis=first, out=part, mode="wrap")
    after = math.prod(shape[first + 2 :])
    if 1 < after <= FEW:  # Single numbers are copied twice as fast as three at a time.
        columns = (columns[:, None] * after + np.arange(after)).reshape(-1)
        part, out = (x.reshape(*x.shape[: first + 1], -1) for x in (part, out))
    part.take(columns, axis=first + 1, out=out, mode="wrap")  # All are within it.


def _interpolated(x, hows, first, out, work):
    """An image in another size, in `out`: what is in between stays in cache."""
    direct = out.dtype == work
    if x.dtype != work:
        given = threads.scratch("given", x.size, work).reshape(x.shape)
        np.copyto(given, x, casting="unsafe")
        x = given
    for k, how in hows.items():
        shape = (*x.shape[: first + k], how[1], *x.shape[first + k + 1 :])
        last = direct and k == max(hows)
        y = out if last else threads.scratch(f"resized{k}", math.prod(shape), work).reshape(shape)
        x = _along(x, first + k, how[1], how, False, y)
    if x is not out:
        _rounded(x, out)


def _rounded(x, out):
    if out.dtype.kind in "iu":
        x, limits = np.rint(x, out=x), np.iinfo(out.dtype)
        if limits.bits < 32:
            np.clip(x, limits.min, limits.max, out=x)
    np.copyto(out, x, casting="unsafe")


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


def _along(x, axis, size, how, turned, out=None):
    """The weight matrix that `how` names, or its transpose, applied along an axis."""
    shape = x.shape
    before, old, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    width = after if after <= FEW else 0
    blocks = _blocks(how, turned, width)
    y = np.empty((*shape[:axis], size, *shape[axis + 1 :]), x.dtype) if out is None else out
    if width:
        x, rows = x.reshape(before, old * after), y.reshape(before, size * after)
        for to, of, matrix in blocks:
            np.matmul(x[:, of], matrix, out=rows[:, to])
    else:
        x, rows = x.reshape(before, old, after), y.reshape(before, size, after)
        for to, of, matrix in blocks:
            np.matmul(matrix, x[:, of], out=rows[:, to])
    return y


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
