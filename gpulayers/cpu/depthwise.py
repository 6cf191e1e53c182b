"""Convolution of each channel by itself, as sums along rows of all columns and channels.

`einsum` adds products of long rows in one pass for each place of the window, where a product and a
sum would be two; the weights of a place stand beside each other as often as there are columns.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .sliding import Geometry, boxes, extents, region, room_for
from .threads import available, scratch, share

BLOCK = 1 << 19  # Elements of the results that are worked on together.
WIDEST = 4  # Filters for each channel; with more, products with panels do better.
COST = 8  # A sum here takes as long as so many in a product of matrices.


def suits(geo: Geometry) -> bool:
    """Whether it can do this, and well."""
    return geo.channels == geo.groups > 1 and geo.filters <= WIDEST * geo.channels


def convolve(x, kernel, geo: Geometry, out, finish) -> None:
    """See `panels.convolve`."""
    todo, across = _boxes(geo)
    weights = np.tile(kernel.reshape(*geo.windows, geo.filters), across)

    def work(some):
        rows = Rows(x, geo, todo)
        for box in some:
            seen, wide = rows.of(box)
            block = out[box]
            n, deep, high = block.shape[:3]
            there = block.flags.c_contiguous
            y = block if there else np.empty(block.shape, out.dtype)
            np.einsum(
                "nabijkl,ijkl->nabl", seen, weights[..., :wide], out=y.reshape(n, deep, high, wide)
            )
            if finish is not None:
                finish(y.reshape(-1, geo.filters))
            if not there:
                block[...] = y

    share(work, todo, COST * geo.operations)


def kernel_gradient(x, g, geo: Geometry):
    """See `panels.kernel_gradient`."""
    todo, across = _boxes(geo)
    shape = (*geo.windows, across * geo.filters)

    def work(some):
        rows, total = Rows(x, geo, todo), np.zeros(shape, x.dtype)
        for box in some:
            seen, wide = rows.of(box)
            given = g[box].reshape(*seen.shape[:3], wide)
            total[..., :wide] += np.einsum("nabijkl,nabl->ijkl", seen, given)
        return total

    total = sum(share(work, todo, COST * geo.operations, sums=True))
    return total.reshape(*geo.windows, 1, across, geo.filters).sum(axis=4)


def _boxes(geo: Geometry):
    """Boxes of places, and how many columns the widest have."""
    most = max(BLOCK // geo.filters, 1)
    if COST * geo.operations > 4e7:
        most = min(most, -(-geo.outputs // available()))
    todo = boxes((geo.batch, *geo.counts), most)
    return todo, todo[0][3].stop - todo[0][3].start


class Rows:
    """What places of the window see, as rows of columns and channels."""

    def __init__(self, x, geo: Geometry, todo):
        self.x, self.geo, self.repeat = x, geo, geo.filters // geo.channels
        self.room = scratch("seen", room_for(todo, geo) * self.repeat, x.dtype)

    def of(self, box):
        """(images, deep, high, *windows, columns * filters), and the length of its rows."""
        geo = self.geo
        seen = region(self.x, box[0], extents(box, geo), self.room, repeat=self.repeat)
        columns = box[3].stop - box[3].start
        if geo.strides[2] > 1:
            seen = self._lowered(seen, columns)
            apart, deep, down, place, _, size = seen.strides
        else:
            apart, deep, down, right, size = seen.strides
            place = right * geo.dilations[2]
        (a, b, _), (i, j, _) = geo.strides, geo.dilations
        wide = columns * geo.filters
        count = [part.stop - part.start for part in box[1:3]]
        shape = (seen.shape[0], *count, *geo.windows, wide)
        steps = (apart, deep * a, down * b, deep * i, down * j, place, size)
        return as_strided(seen, shape, steps), wide

    def _lowered(self, seen, columns):
        """A copy in which what each column of the window sees is contiguous."""
        geo = self.geo
        apart, deep, down, right, size = seen.strides
        shape = (*seen.shape[:3], geo.windows[2], columns, geo.filters)
        steps = (
            apart, deep, down, right * geo.dilations[2], right * geo.strides[2], size
        )  # fmt: skip
        return np.ascontiguousarray(as_strided(seen, shape, steps))
