"""Convolution of each channel by itself, by compiled loops or as sums along rows.

Loops keep sums in registers, see `jit.depthwise`.  Without them, rows are of columns and channels:
`einsum` adds products of long rows in one pass for each place of the window, where a product and a
sum would be two; the weights of a place stand beside each other as often as there are columns.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..jit import depthwise as loops
from ..jit import tiles
from .direct import Plan, flat, full, scaled, tables, whole_channels
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


class Looped:
    """The same by loops, also for groups with several channels and one filter."""

    @staticmethod
    def suits(geo: Geometry) -> bool:
        """Whether it can do this, and well."""
        one = geo.groups in (geo.channels, geo.filters) and geo.groups > 1
        return one and max(geo.channels, geo.filters) <= WIDEST * geo.groups

    @staticmethod
    def convolve(x, kernel, geo: Geometry, out, finish) -> None:
        """See `panels.convolve`."""
        plan, dtype = planned(geo, x.itemsize), x.dtype
        strips = plan.strips_of(scaled(kernel, finish).reshape(geo.depth, geo.filters))
        bias = np.zeros((1, geo.filters), dtype)
        if finish is not None and finish.bias is not None:
            bias[0] = finish.bias
        bias = plan.strips_of(bias)[:, 0]
        source, at, steps, row_steps, columns = plan.reading(x)
        target, out_at, out_steps = flat(out)
        rows, places = tables(plan, row_steps), tables(plan, out_steps[:4])

        def work(some):
            room, edge = plan.room_for(dtype), plan.edge_for(dtype)
            for sort, first, last in some:
                loops.convolve(
                    source, strips, bias, target, room, edge, plan.edges, plan.same, rows[sort],
                    places[sort], columns, plan.begins, plan.boxes, at, steps, row_steps, out_at,
                    out_steps[:4], geo.sizes, geo.strides, plan.lows, plan.spans, geo.filters,
                    plan.counts[sort], *plan.bounds(finish), first, last,
                )  # fmt: skip

        share(work, plan.parts, COST * geo.operations)
        plan.activate(finish, out)

    @staticmethod
    def kernel_gradient(x, g, geo: Geometry):
        """See `panels.kernel_gradient`."""
        plan, dtype = planned(geo, x.itemsize), x.dtype
        source, at, steps, row_steps, columns = plan.reading(x)
        columns = full(columns[: geo.depth], TAPS)
        given, g_at, g_steps = flat(whole_channels(g))
        rows, places = tables(plan, row_steps), tables(plan, g_steps[:4])

        def work(some):
            room = plan.room_for(dtype)
            strip = scratch("given", max(plan.counts) * plan.lanes, dtype)
            total = np.zeros((len(plan.begins), geo.depth, plan.lanes), dtype)
            for sort, first, last in some:
                loops.differentiate(
                    source, given, total, room, strip, rows[sort], places[sort], columns,
                    plan.spots, plan.begins, plan.boxes, at, steps, row_steps, g_at, g_steps[:4],
                    geo.sizes, geo.strides, plan.lows, plan.spans, geo.filters, plan.counts[sort],
                    first, last,
                )  # fmt: skip
            return total

        total = sum(share(work, plan.parts, COST * geo.operations, sums=True))
        found = np.empty((geo.depth, geo.filters), dtype)
        for begin, own in zip(plan.begins, total, strict=True):
            found[:, begin : begin + plan.lanes] = own[:, : geo.filters - begin]
        return found.reshape(*geo.windows, -1, geo.filters)


TAPS = 9  # Of a window that loops for the gradient take at a time.


class Strips(Plan):
    """What convolutions of a geometry by channels have in common.

    The last strip ends with the last filter.
    """

    cost = COST

    def __init__(self, geo: Geometry, itemsize: int):
        lanes = tiles.shape(itemsize)[1]
        # With which filter each begins.
        self.begins = np.minimum(np.arange(0, geo.filters, lanes), max(geo.filters - lanes, 0))
        self.repeat, self.apart = geo.filters // geo.groups, geo.channels // geo.groups
        super().__init__(geo, itemsize)
        self.spots = full(np.arange(geo.depth), TAPS) * self.lanes
        if self.repeat * self.apart > 1 or geo.filters < self.lanes:
            self.roomy = True
            self.room += self.lanes  # Behind the last channel.

    def units(self) -> int:
        return len(self.begins)

    def strips_of(self, weights):
        """(depth, filters) in strips (number, depth, lanes), zeros behind the last filter."""
        short = self.lanes - self.geo.filters
        if short > 0:
            weights = np.pad(weights, ((0, 0), (0, short)))
        own = self.begins[:, None] + np.arange(self.lanes)
        return np.ascontiguousarray(weights[:, own].transpose(1, 0, 2))


def planned(geo: Geometry, itemsize: int) -> Strips:
    return _planned(geo, itemsize, available())


@lru_cache(1024)
def _planned(geo: Geometry, itemsize: int, threads: int) -> Strips:
    return Strips(geo, itemsize)


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
