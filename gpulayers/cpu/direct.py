"""Convolution by compiled loops, as tiles of sums that stay in registers: see `jit.direct`.

Any number of groups, strides and dilations.  Nothing of x is copied but boxes with margins, and
these stay in the cache.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..jit import direct as loops
from ..jit import tiles
from .sliding import Geometry, boxes, extents, room_for
from .threads import available, divided, scratch, share

ROOM = 1 << 16  # Elements that a box sees: they stay in a core's cache.
COST = 8  # An element that is copied takes as long as so many operations.
FEW = 256  # Places of windows for which a kernel may be larger.
WIDE = 64  # Channels up to which places alone are seen better by tiles, wherever x is.
FAR = 1 << 22  # Elements of x that are not in a cache.
LARGEST = 1 << 19  # Elements of a group's kernel.
BOUNDS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0)}  # Of activations that only bound sums.
PARTS = 8  # Of boxes for each thread at most: whoever is free takes the next.
VECTOR = 16  # Bytes of vectors with which an operation takes as long as `share` expects.
PART = 2e7  # Operations of a part: with fewer, threads wait more for Python's lock.


def suits(geo: Geometry, backwards: bool = False) -> bool:
    """Whether it does this well, or the gradient by the kernel.

    OpenBLAS is faster with large kernels and many places.
    """
    if geo.outputs <= FEW:
        return geo.depth > 0
    one = geo.places == 1 and geo.dense
    if one and geo.channels > WIDE and far(geo) and not backwards:
        return False
    return 0 < geo.depth * geo.filters // geo.groups <= (LARGEST // 2 if one else LARGEST)


def far(geo: Geometry) -> bool:
    """Whether x is not in a cache."""
    return geo.batch * prod(geo.sizes) * geo.channels > FAR


def whole_channels(x):
    """x, or a copy of it, so that channels follow each other in memory."""
    return x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)


def flat(view):
    """The memory of a view as an array with one axis, where the view begins in it, and its steps.

    Steps are in elements.  The memory reaches from the view's first element to its last.
    """
    if view.flags.c_contiguous:
        return view.reshape(-1), 0, followed(view.shape)
    steps = [step // view.itemsize for step in view.strides]
    low = view[tuple([slice(None, None, -1 if step < 0 else 1) for step in steps])]
    ends = [(n - 1) * step for n, step in zip(view.shape, steps)]
    size = 1 + sum(map(abs, ends))
    memory = as_strided(low, (size,), (view.itemsize,))
    return memory, -sum(min(end, 0) for end in ends), tuple(steps)


@lru_cache(4096)
def followed(shape):
    """The steps of a contiguous array."""
    return tuple([prod(shape[i:]) for i in range(1, len(shape) + 1)])


def convolve(x, kernel, geo: Geometry, out, finish) -> None:
    """See `panels.convolve`."""
    plan, dtype = planned(geo, x.itemsize), x.dtype
    strips, bias = packed(scaled(kernel, finish), geo), plan.bias(finish, dtype)
    source, at, steps, row_steps, columns = plan.reading(x)
    target, out_at, out_steps = flat(out)
    out_steps = out_steps[:4]
    rows, places = tables(plan, row_steps), tables(plan, out_steps)

    def work(some):
        room, edge = plan.room_for(dtype), plan.edge_for(dtype)
        for sort, first, last in some:
            loops.convolve(
                source, strips, bias, target, room, edge, plan.edges, plan.same, rows[sort],
                places[sort], columns, plan.boxes, at, steps, row_steps, out_at,
                out_steps, geo.sizes, geo.strides, plan.lows, plan.spans, geo.groups,
                geo.filters // geo.groups, plan.counts[sort], *plan.bounds(finish), first, last,
            )  # fmt: skip

    share(work, plan.parts, plan.worth)
    plan.activate(finish, out)


def kernel_gradient(x, g, geo: Geometry):
    """See `panels.kernel_gradient`."""
    plan, dtype = planned(geo, x.itemsize), x.dtype
    source, at, steps, row_steps, columns = plan.reading(x)
    given, g_at, g_steps = flat(whole_channels(g))
    g_steps = g_steps[:4]
    rows, places = tables(plan, row_steps), tables(plan, g_steps)

    def work(some):
        room = plan.room_for(dtype)
        strips = scratch("given", max(plan.counts) * 2 * plan.lanes, dtype)
        total = np.zeros(plan.strips * geo.depth * plan.lanes, dtype)
        for sort, first, last in some:
            loops.differentiate(
                source, given, total, room, strips, rows[sort], places[sort], columns, plan.spots,
                plan.boxes, at, steps, row_steps, g_at, g_steps, geo.sizes, geo.strides,
                plan.lows, plan.spans, geo.groups, geo.filters // geo.groups, plan.counts[sort],
                plan.height, plan.lanes, first, last,
            )  # fmt: skip
        return total

    total, *others = share(work, plan.parts, plan.worth, sums=True)
    for one in others:
        total += one
    return plan.unpacked(total).reshape(*geo.windows, -1, geo.filters)


def scaled(kernel, finish):
    """The kernel times the factors that a plan of inference has for its filters."""
    return kernel if finish is None or finish.factor is None else kernel * finish.factor


def packed(kernel, geo: Geometry):
    """The kernel in strips of as many filters as a vector has numbers."""
    _, lanes = tiles.shape(kernel.itemsize)
    per = geo.filters // geo.groups
    number = -(-per // lanes)
    memory, at, steps = flat(kernel.reshape(*geo.windows, -1, geo.groups, per))
    steps = (*steps[:4], steps[5], steps[4])
    strips = np.empty((geo.groups * number, geo.depth, lanes), kernel.dtype)
    pairs, moved = geo.groups * -(-number // 2), COST * strips.size
    divided(loops.pack, pairs, moved, memory, strips, geo.windows, per, at, steps)
    return strips


class Plan:
    """What convolutions of a geometry have in common."""

    cost = 1  # Of an operation.
    repeat = apart = 1  # See `jit.direct.copied`.

    def __init__(self, geo: Geometry, itemsize: int):
        self.geo, self.itemsize = geo, itemsize
        self.height, self.lanes = tiles.shape(itemsize)
        self.edges = np.arange(2 * self.height) * 2 * self.lanes
        self.same = np.zeros_like(self.edges)
        self.spots = np.outer([1, 2], full(np.arange(geo.depth), self.edges.size) * self.lanes)
        self.strips = geo.groups * -(-(geo.filters // geo.groups) // self.lanes)
        self.lows = tuple(low for low, _ in geo.padding)
        todo = boxes((geo.batch, *geo.counts), self._most(geo))
        spans = [stop - start for start, stop in extents(todo[0], geo)]
        self.spans = (*spans, geo.channels, self.repeat, self.apart)
        self.room = room_for(todo, geo) * self.repeat
        ends = extents([slice(0, n) for n in geo.counts], geo)
        self.roomy = any(start < 0 or stop > n for (start, stop), n in zip(ends, geo.sizes))
        # What is not in a cache is read faster by one copy from its beginning to its end.
        self.roomy = self.roomy or far(geo)
        self._sort(todo)

    def _most(self, geo: Geometry) -> int:
        """How many places a box has."""
        area = prod(min(s, k) for s, k in zip(geo.strides, geo.windows))
        most = max(ROOM // (geo.channels * area), 64)
        return max(min(most, -(-geo.outputs // (4 * available()))), 32)

    def _sort(self, todo) -> None:
        """Boxes by their sizes: all of a sort have the same tables of offsets."""
        units = self.units()
        ways = min(units, -(-2 * available() // len(todo)))  # Into which units are divided.
        cuts = [units * i // ways for i in range(ways + 1)]
        sorts = {}
        for box in todo:
            size = tuple(part.stop - part.start for part in box)
            ends = [end for part in box for end in (part.start, part.stop)]
            own = sorts.setdefault(size, [])
            own += [(*ends, a, b) for a, b in pairwise(cuts)]
        self.sizes, self.counts = list(sorts), [prod(size) for size in sorts]
        self.boxes = np.array([box for own in sorts.values() for box in own], np.intp)
        parts = min(max(int(self.cost * self.geo.operations / PART), 1), PARTS * available())
        parts = -(-parts // available()) * available()
        each = -(-len(self.boxes) // parts)
        self.parts, begin = [], 0
        for sort, own in enumerate(sorts.values()):
            end = begin + len(own)
            self.parts += [(sort, i, min(i + each, end)) for i in range(begin, end, each)]
            begin = end

    @property
    def worth(self) -> float:
        """The operations, as `share` counts them."""
        return self.geo.operations * VECTOR / (self.lanes * self.itemsize)

    def units(self) -> int:
        """How many pairs of strips there are."""
        return self.geo.groups * -(-(self.strips // self.geo.groups) // 2)

    def bias(self, finish, dtype):
        """The bias, or zeros, for each of the numbers in strips."""
        per = self.geo.filters // self.geo.groups
        found = np.zeros((self.geo.groups, -(-per // self.lanes) * self.lanes), dtype)
        if finish is not None and finish.bias is not None:
            found[:, :per] = finish.bias.reshape(-1, per)
        return found.reshape(-1)

    def bounds(self, finish):
        """Those that an activation sets to results."""
        return BOUNDS.get(finish and finish.activation, (-np.inf, np.inf))

    def activate(self, finish, out) -> None:
        """Apply an activation that does more than that."""
        if finish is not None and finish.activation not in (None, *BOUNDS):
            rows = [out[n : n + 1] for n in range(len(out))]
            share(lambda some: [finish.activate(own) for own in some], rows, COST * out.size)

    def unpacked(self, strips):
        """(depth, groups, filters of a group) of a kernel's strips."""
        groups, depth = self.geo.groups, self.geo.depth
        per, number = self.geo.filters // groups, self.strips // groups
        found = np.empty((depth, groups, per), strips.dtype)
        own = strips.reshape(groups, -1)
        for i in range(0, number, 2):
            start, width = i * depth * self.lanes, min(2, number - i) * self.lanes
            pair = own[:, start : start + depth * width].reshape(groups, depth, width)
            at = i * self.lanes
            found[..., at : at + width] = pair.transpose(1, 0, 2)[..., : per - at]
        return found

    def reading(self, x):
        """How kernels read x: its memory, from where, its steps, those of places, and columns."""
        geo = self.geo
        memory, at, steps = flat(whole_channels(x))
        steps = inner = steps[:4]
        if self.roomy:
            (a, b, c), channels = self.spans[:3], geo.channels * self.repeat
            inner = (a * b * c * channels, b * c * channels, c * channels, channels)
        else:
            at -= sum(low * step for low, step in zip(self.lows, steps[1:]))
        rows = (inner[0], *(step * s for step, s in zip(inner[1:], geo.strides)))
        return memory, at, steps, rows, columns(geo, inner[1:], self.apart > 1)

    def room_for(self, dtype):
        """The thread's room for what a box sees, None if that is read in x."""
        return scratch("seen", self.room, dtype) if self.roomy else None

    def edge_for(self, dtype):
        """The thread's memory for a tile."""
        return scratch("edge", 2 * self.edges.size * self.lanes, dtype)


def planned(geo: Geometry, itemsize: int) -> Plan:
    return _planned(geo, itemsize, available())


@lru_cache(1024)
def _planned(geo: Geometry, itemsize: int, threads: int) -> Plan:
    return Plan(geo, itemsize)


@lru_cache(1024)
def tables(plan: Plan, steps):
    """For each sort of boxes the offsets of their places, the last again to fill a tile."""
    found, height = [], plan.edges.size
    for size in plan.sizes:
        table = np.zeros(1, np.intp)
        for n, step in zip(size, steps):
            table = (table[:, None] + np.arange(n) * step).reshape(-1)
        found.append(full(table, height))
    return found


def full(table, height: int):
    """A table with its last entry repeated, so that tiles of so many rows are full."""
    return np.pad(table, (0, -len(table) % height), "edge")


@lru_cache(1024)
def columns(geo: Geometry, steps, apart: bool = False):
    """The offsets of what a window sees, the last again to fill a tile.

    Channels of a group follow each other, or are as far apart as there are groups.
    """
    found = np.zeros(1, np.intp)
    for k, d, step in zip(geo.windows, geo.dilations, steps):
        found = (found[:, None] + np.arange(k) * (d * step)).reshape(-1)
    channels = np.arange(geo.channels // geo.groups) * (geo.groups if apart else 1)
    return full((found[:, None] + channels).reshape(-1), 2 * tiles.shape(4)[0])
