"""Batches of NumPy arrays taken apart, so that what a function makes in between stays in cache."""

from __future__ import annotations

from math import ceil

import numpy as np

from ..arrays import dtypes
from ..ops.each_image import each_image
from . import threads

PORTION = 1 << 18  # Numbers at a time: with less, threads wait for each other more than for memory.
OPERATIONS = 20  # About how many a number takes.


@each_image.on("numpy")
def _(images, *drawn, function, dtype, rows=None, needs=None):
    if needs is not None or images.size < 2 * PORTION:
        return NotImplemented
    out = np.empty(images.shape, dtypes.numpy_dtype(dtype))

    def some(portions):
        for first, last, part in portions:
            where = (slice(first, last), *part)
            out[where] = function(images[where], *(d[first:last] for d in drawn))

    threads.share(some, list(_portions(images.shape, rows)), OPERATIONS * images.size)
    return out


def _portions(shape, rows):
    """(first image, last image, where in each of them) of portions of a batch."""
    size = shape[1] * shape[2] * shape[3]
    if rows is None or size <= PORTION:
        step = max(PORTION // size, 1)
        yield from ((i, min(i + step, shape[0]), ()) for i in range(0, shape[0], step))
        return
    step = ceil(shape[rows] * PORTION / size)
    for i in range(shape[0]):
        for start in range(0, shape[rows], step):
            yield i, i + 1, (slice(None),) * (rows - 1) + (slice(start, start + step),)
