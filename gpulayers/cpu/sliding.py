"""Windows over NumPy arrays: their geometry, pieces of work, and what a piece sees.

All of it is written for three inner axes; arrays with fewer have axes of size 1 in front.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from numpy.lib.stride_tricks import as_strided

from ..ops.sliding import counts, span
from .padding import fill_outside

AXES = 3


@dataclass(frozen=True)
class Geometry:
    """The sizes of a convolution: x (batch, *sizes, channels), y (batch, *counts, filters)."""

    batch: int
    sizes: tuple[int, int, int]
    channels: int
    windows: tuple[int, int, int]
    filters: int
    strides: tuple[int, int, int]
    padding: tuple[tuple[int, int], ...]
    dilations: tuple[int, int, int]
    groups: int
    counts: tuple[int, int, int]

    def at(self, axis: int, place: int) -> Geometry:
        """The geometry of one place of the windows along an axis."""
        windows, padding = list(self.windows), list(self.padding)
        before = self.dilations[axis] * place
        windows[axis], (low, high) = 1, padding[axis]
        after = span(self.windows[axis], self.dilations[axis]) - 1 - before
        padding[axis] = (low - before, high - after)
        return replace(self, windows=tuple(windows), padding=tuple(padding))

    @property
    def places(self) -> int:
        return prod(self.windows)

    @property
    def depth(self) -> int:
        """How many products make an output."""
        return self.places * self.channels // self.groups

    @property
    def outputs(self) -> int:
        """How many places windows have, in all images."""
        return self.batch * prod(self.counts)

    @property
    def operations(self) -> int:
        return 2 * self.outputs * self.depth * self.filters

    @property
    def dense(self) -> bool:
        """Whether windows move by one element and have no holes, in one group."""
        return self.groups == 1 and set(self.strides) == set(self.dilations) == {1}


@lru_cache(4096)
def geometry(x, windows, filters, strides, padding, dilations, groups) -> Geometry:
    """The geometry for an x of that shape, with options of `ops.convolution`."""
    more = AXES - len(windows)
    once = (1,) * more
    sizes, windows, strides = (once + tuple(a) for a in (x[1:-1], windows, strides))
    dilations, padding = once + tuple(dilations), ((0, 0),) * more + tuple(padding)
    # A window that sees one element has no holes, and only one move of it no length.
    dilations = tuple(1 if k == 1 else d for k, d in zip(windows, dilations))
    count = counts(sizes, windows, strides, padding, dilations)
    strides = tuple(1 if n == 1 else s for n, s in zip(count, strides))
    return Geometry(
        x[0], sizes, x[-1], windows, filters, strides, padding, dilations, groups, count
    )


def with_axes(x):
    """x (batch, *sizes, channels) with three inner axes: a view."""
    more = AXES + 2 - x.ndim
    return x.reshape(x.shape[0], *(1,) * more, *x.shape[1:]) if more else x


@lru_cache(4096)
def boxes(shape, most: int) -> list[tuple[slice, ...]]:
    """Boxes that cover an array of this shape, of about `most` elements, the last axes whole."""
    steps = []
    for n in reversed(shape):
        step = max(min(n, most), 1)
        parts = -(-n // step)
        steps.append(-(-n // max(parts, 1)))
        most = most // step if parts == 1 else 1
    ranges = (
        [slice(a, min(a + step, n)) for a in range(0, n, step or 1)]
        for n, step in zip(shape, reversed(steps))
    )
    return list(itertools.product(*ranges))


def extents(box, geo: Geometry) -> list[tuple[int, int]]:
    """What the windows of a box of places see: (start, stop) for each inner axis."""
    return [
        (part.start * s - low, (part.stop - 1) * s + span(k, d) - low)
        for part, k, s, d, (low, _) in zip(
            box[-AXES:], geo.windows, geo.strides, geo.dilations, geo.padding
        )
    ]


def room_for(todo, geo: Geometry) -> int:
    """How many elements the largest region of some boxes has."""
    box = todo[0]  # They are alike but for the last ones, which may be smaller.
    region = prod(stop - start for start, stop in extents(box, geo))
    return (box[0].stop - box[0].start) * region * geo.channels


def region(x, images: slice, ends, room, value=0, repeat: int = 1):
    """x[images] from start to stop on each inner axis, with `value` outside of x.

    A view of x where nothing is outside of it, and its rows are contiguous; else a copy in `room`,
    a flat array.  Channels stand `repeat` times in it, each beside itself.
    """
    number, whole = images.stop - images.start, True
    index, inside, shape = [images], [slice(0, number)], [number]
    for n, (start, stop) in zip(x.shape[1:-1], ends):
        a = max(start, 0)
        b = max(min(stop, n), a)
        whole = whole and a == start and b == stop
        index.append(slice(a, b))
        inside.append(slice(a - start, b - start))
        shape.append(stop - start)
    seen = x[tuple(index)]
    channels, size = x.shape[-1], x.itemsize
    if whole and repeat == 1 and x.strides[-1] == size and x.strides[-2] == size * channels:
        return seen
    shape.append(channels * repeat)
    out = room[: prod(shape)].reshape(shape)
    if repeat == 1:
        out[tuple(inside)] = seen
    else:
        out.reshape(*shape[:-1], channels, repeat)[tuple(inside)] = seen[..., None]
    if not whole:
        fill_outside(out, inside, value)
    return out


def windows_over(seen, count, geo: Geometry):
    """The windows over a region, as a view.

    (images, *count, *windows, C), the last two axes as one where they are one piece of memory; with
    groups, (groups, images, *count, *windows, C / groups).
    """
    n, *steps, size = seen.strides
    moves = [step * s for step, s in zip(steps, geo.strides)]
    within = [step * d for step, d in zip(steps, geo.dilations)]
    images, channels, groups = seen.shape[0], seen.shape[-1], geo.groups
    if groups > 1:
        one = channels // groups
        shape = (groups, images, *count, *geo.windows, one)
        return as_strided(seen, shape, (one * size, n, *moves, *within, size))
    if geo.dilations[2] == 1:
        shape = (images, *count, *geo.windows[:2], geo.windows[2] * channels)
        return as_strided(seen, shape, (n, *moves, *within[:2], size))
    shape = (images, *count, *geo.windows, channels)
    return as_strided(seen, shape, (n, *moves, *within, size))


@lru_cache(4096)
def met(size, window, stride, before, count):
    """For each place of windows along an axis that any see an element at: (place, which windows
    do, and which elements)."""
    found = []
    for place in range(window):
        first = max(-(-(before - place) // stride), 0)
        last = min((size - 1 + before - place) // stride + 1, count)
        if last > first:
            start = first * stride + place - before
            stop = start + (last - first - 1) * stride + 1
            found.append((place, slice(first, last), slice(start, stop, stride)))
    return found


@lru_cache(4096)
def feeding(size, window, stride, before, count):
    """How windows give to an axis of x: for each part of it that the places of windows of one
    remainder see, (the part, its size, [(place, which windows, to which of its elements)])."""
    places, found = met(size, window, stride, before, count), []
    for first in range(min(stride, size)):
        own = [
            (place, windows, slice((of.start - first) // stride, (of.stop - 1) // stride + 1))
            for place, windows, of in places
            if of.start % stride == first
        ]
        found.append((slice(first, size, stride), -(-(size - first) // stride), own))
    return found


def seeing(box, geo: Geometry):
    """The windows that see anything of a box of x: an index of them, and how many elements of the
    first of them are in front of the box on each axis."""
    index, before = [box[0]], []
    axes = zip(box[1:], geo.windows, geo.strides, geo.padding, geo.counts)
    for part, k, s, (low, _), count in axes:
        first = min(max(-(-(part.start + low - k + 1) // s), 0), count)
        index.append(slice(first, max(min((part.stop - 1 + low) // s + 1, count), first)))
        before.append(part.start + low - s * first)
    return tuple(index), before
