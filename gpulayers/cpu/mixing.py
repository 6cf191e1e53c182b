"""NumPy images put together from two, one at a time, so that they stay in cache."""

from __future__ import annotations

import numpy as np

from ..ops.mixing import mixed, pasted
from . import threads


@mixed.on("numpy")
def _(x, order, weight, *, needs=None):
    if needs is not None or not x.size or x.dtype != weight.dtype:
        return NotImplemented
    out = np.empty_like(x)
    rest = 1 - weight

    def some(indices):
        part = threads.scratch("partner", x[:1].size, x.dtype).reshape(x.shape[1:])
        for i in indices:
            np.multiply(x[i], weight[i], out=out[i, ...])
            out[i, ...] += np.multiply(x[order[i]], rest[i], out=part)

    threads.share(some, range(len(x)), 5 * x.size)
    return out


@pasted.on("numpy")
def _(images, other, boxes, *, first=False, needs=None):
    if needs is not None or images.dtype != other.dtype:
        return NotImplemented
    out, other = np.empty_like(images), np.broadcast_to(other, images.shape)
    sides = np.ceil(boxes).clip(0).astype(np.int64)

    def some(indices):
        for i in indices:
            x0, x1, y0, y1 = sides[i]
            box = (..., slice(y0, y1), slice(x0, x1)) if first else (slice(y0, y1), slice(x0, x1))
            out[i] = images[i]
            out[i][box] = other[i][box]

    threads.share(some, range(len(images)), images.size)
    return out
