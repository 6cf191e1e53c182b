"""Convolution of few channels as products with lowered rows.

For each column of the results, what windows see of each row lies in a piece; the windows of rows
that follow each other are then matrices of one array that overlap, and products read them without
copies (Cho and Brand, MEC: Memory-efficient Convolution, 2017, arXiv:1706.06873).
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .products import multiply
from .sliding import Geometry, boxes, extents, region, room_for
from .threads import available, scratch, share

BLOCK = 1 << 19  # Elements of the lowered rows that are worked on together.
PRODUCTS = 1 << 18  # Elements of the products, one for each row, that are added up at a time.
MOST = 32  # Channels, and columns and rows of windows.  With more, panels are faster.


def suits(geo: Geometry) -> bool:
    """Whether it can do this, and well."""
    flat = geo.groups == geo.windows[0] == geo.counts[0] == geo.dilations[1] == 1
    return flat and max(geo.channels, *geo.windows) <= MOST and geo.counts[2] * MOST <= BLOCK


def convolve(x, kernel, geo: Geometry, out, finish) -> None:
    """See `panels.convolve`."""
    todo = _boxes(geo, BLOCK)
    matrix = kernel.reshape(geo.depth, geo.filters)

    def work(some):
        rows = Rows(x, geo, todo)
        for box in some:
            block = out[box][:, 0]
            multiply(rows.of(box), matrix, block)
            if finish is not None:
                finish(block)

    share(work, todo, geo.operations)


def kernel_gradient(x, g, geo: Geometry):
    """See `panels.kernel_gradient`."""
    todo = _boxes(geo, BLOCK, PRODUCTS // (geo.depth * geo.filters))

    def work(some):
        rows, total = Rows(x, geo, todo), np.zeros((geo.depth, geo.filters), x.dtype)
        for box in some:
            seen = rows.of(box).transpose(0, 1, 3, 2)
            total += np.matmul(seen, g[box][:, 0]).sum(axis=(0, 1))
        return total

    total = sum(share(work, todo, geo.operations, sums=True))
    return total.reshape(*geo.windows, geo.channels, geo.filters)


def _boxes(geo: Geometry, most: int, rows: int | None = None):
    """Boxes of places with all columns: of at most so many rows, and elements when lowered."""
    each = geo.counts[2] * geo.windows[2] * geo.channels * geo.strides[1]
    number = max(most // each, 1)
    if rows is not None:
        number = max(min(number, rows), 1)
    if geo.operations > 4e7:  # A piece for each thread.
        number = min(number, -(-geo.batch * geo.counts[1] // available()))
    return [(*box, slice(0, geo.counts[2])) for box in boxes((geo.batch, *geo.counts[:2]), number)]


class Rows:
    """The lowered rows of a thread, one piece after another in the same memory."""

    def __init__(self, x, geo: Geometry, todo):
        self.x, self.geo = x, geo
        self.room = scratch("seen", room_for(todo, geo), x.dtype)
        images, _, rows, _ = (part.stop - part.start for part in todo[0])
        high = (rows - 1) * geo.strides[1] + geo.windows[1]
        size = images * high * geo.counts[2] * geo.windows[2] * geo.channels
        self.memory = scratch("given", size, x.dtype)

    def of(self, box):
        """What windows of a box see, (images, rows, columns, depth)."""
        geo = self.geo
        seen = region(self.x, box[0], extents(box, geo), self.room)
        apart, _, down, right, size = seen.strides
        n, _, rows, _, channels = seen.shape
        (_, high, wide), across = geo.windows, geo.counts[2]
        shape = (n, across, rows, wide, channels)
        steps = (apart, right * geo.strides[2], down, right * geo.dilations[2], size)
        lowered = self.memory[: prod(shape)].reshape(shape)
        np.copyto(lowered, as_strided(seen, shape, steps))
        run = wide * channels * size
        return as_strided(
            lowered,
            (n, box[2].stop - box[2].start, across, high * wide * channels),
            (across * rows * run, geo.strides[1] * run, rows * run, size),
        )
