"""Pooling of NumPy arrays: one axis after another, in blocks that stay in the cache.

The largest value of a window is the largest of its rows' largest values, so that k + k comparisons
do for k x k; along all axes but the last they run over whole rows of columns and channels.  When a
gradient is wanted, the position of the largest value is kept in one byte (two for windows of more
than 256 elements) and x is not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import inf, prod

import numpy as np

from ..ops.pooling import average_pooling, max_pooling
from ..ops.sliding import places
from .sliding import AXES, Geometry, boxes, extents, geometry, with_axes
from .threads import ENOUGH, available, share

BLOCK = 1 << 19  # Elements of x that are worked on together.
COST = 8  # A comparison takes as long as so many operations in a product of matrices.


@max_pooling.on("numpy")
def _(x, *, windows, strides, padding, needs=None):
    geo = _geometry(x.shape, windows, strides, padding)
    number = geo.places
    if not x.size or not geo.outputs or number > 1 << 16 or x.dtype.kind not in "fiu":
        return NotImplemented
    wide, y = with_axes(x), np.empty((geo.batch, *geo.counts, geo.channels), x.dtype)
    shape = (geo.batch, *geo.counts[AXES - len(windows) :], geo.channels)
    todo = _blocks(geo)
    if needs is None:
        share(lambda some: _largest(wide, y, geo, some), todo, _operations(geo))
        return y.reshape(shape)
    positions = np.empty(y.shape, np.uint8 if number <= 256 else np.uint16)
    share(lambda some: _largest_with(wide, y, positions, geo, some), todo, 3 * _operations(geo))
    sizes = x.shape

    def pullback(g):
        return (_to_positions(with_axes(g), positions, geo).reshape(sizes),)

    return y.reshape(shape), pullback


@average_pooling.on("numpy")
def _(x, *, windows, strides, padding, needs=None):
    geo = _geometry(x.shape, windows, strides, padding)
    if not x.size or not geo.outputs or x.dtype.char not in "fd":
        return NotImplemented
    wide, y = with_axes(x), np.empty((geo.batch, *geo.counts, geo.channels), x.dtype)
    share(lambda some: _means(wide, y, geo, some), _blocks(geo), _operations(geo))
    y = y.reshape(geo.batch, *geo.counts[AXES - len(windows) :], geo.channels)
    if needs is None:
        return y
    sizes = x.shape
    return y, lambda g: (_spread(with_axes(g), geo).reshape(sizes),)


def _geometry(shape, windows, strides, padding) -> Geometry:
    once = (1,) * len(windows)
    return geometry(shape, windows, shape[-1], strides, padding, once, shape[-1])


def _operations(geo: Geometry) -> float:
    return COST * geo.batch * prod(geo.sizes) * geo.channels


@lru_cache(1024)
def _blocks(geo: Geometry):
    """Boxes of places, with all columns, whose windows see about BLOCK elements of x."""
    images, deep, high, across = geo.batch, *geo.counts
    each = max(geo.sizes[2] * geo.channels * geo.strides[0] * geo.strides[1], 1)
    number = max(BLOCK // each, 1)
    if _operations(geo) > 4e7:
        number = min(number, -(-images * deep * high // available()))
    return [(*box, slice(0, across)) for box in boxes((images, deep, high), number)]


def _part(x, box, geo: Geometry):
    """What the windows of a box see of x, and how much of a margin is in front on each axis."""
    index, before = [box[0]], []
    for n, (start, stop) in zip(geo.sizes, extents(box, geo)):
        index.append(slice(max(start, 0), max(min(stop, n), 0)))
        before.append(max(-start, 0))
    return x[tuple(index)], before


def _met(size, place, stride, before, count):
    """For a place of the windows along an axis: which windows see an element there, and which."""
    first = max(-(-(before - place) // stride), 0)
    last = min((size - 1 + before - place) // stride + 1, count)
    if last <= first:
        return None
    start = first * stride + place - before
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


def _along(axis, part):
    """An index of five axes that takes a part of one."""
    return (slice(None),) * axis + (part,)


def _slid(ufunc, nothing, x, axis, geo: Geometry, before, count, out=None):
    """`ufunc` of all that windows see along an axis; `nothing` where they see nothing."""
    k, s, n = geo.windows[axis - 1], geo.strides[axis - 1], x.shape[axis]
    if k == 1 and s == 1 and n == count and out is None:
        return x
    if out is None:
        out = np.empty((*x.shape[:axis], count, *x.shape[axis + 1 :]), x.dtype)
    met = [_met(n, place, s, before, count) for place in range(k)]
    met = [(_along(axis, to), _along(axis, of), to) for to, of in filter(None, met)]
    whole = [i for i, (_, _, to) in enumerate(met) if to == slice(0, count)]
    if len(whole) > 1:
        a, b = whole[:2]
        ufunc(x[met[a][1]], x[met[b][1]], out=out)
        met = [one for i, one in enumerate(met) if i not in (a, b)]
    elif whole:
        out[...] = x[met.pop(whole[0])[1]]
    else:
        out[...] = nothing
    for to, of, _ in met:
        part = out[to]
        ufunc(part, x[of], out=part)
    return out


def _largest(x, y, geo, some) -> None:
    least = -inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    for box in some:
        part, before = _part(x, box, geo)
        out = y[box]
        for axis in (1, 2):
            part = _slid(np.maximum, least, part, axis, geo, before[axis - 1], out.shape[axis])
        _slid(np.maximum, least, part, 3, geo, before[2], out.shape[3], out)


def _largest_with(x, y, positions, geo, some) -> None:
    """Largest values, and where in the window the first of them stands."""
    for box in some:
        value, before = _part(x, box, geo)
        where, weight = None, 1
        for axis in (3, 2, 1):  # The first in the order of rows is in the first row that has it.
            k = geo.windows[axis - 1]
            if k > 1 or geo.strides[axis - 1] > 1 or value.shape[axis] != y[box].shape[axis]:
                value, where = _first_largest(
                    value, where, axis, geo, before[axis - 1], y[box].shape[axis], weight, positions
                )
            weight *= k
        y[box] = value
        positions[box] = 0 if where is None else where


def _first_largest(x, where, axis, geo, before, count, weight, positions):
    """The largest values along an axis, and the positions of the first of them.

    `where` are the positions along the axes behind, each less than `weight`.
    """
    k, s, n = geo.windows[axis - 1], geo.strides[axis - 1], x.shape[axis]
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    largest, found = np.empty(shape, x.dtype), np.zeros(shape, positions.dtype)
    more, room = np.empty(shape, bool), np.empty(shape, positions.dtype)
    for place in range(k):
        met = _met(n, place, s, before, count)
        if place == 0:
            largest[...] = -inf if met is None or met[0] != slice(0, count) else 0
        if met is None:
            continue
        to, of = _along(axis, met[0]), _along(axis, met[1])
        seen, best = x[of], largest[to]
        if place == 0:
            best[...] = seen
            if where is not None:
                found[to] = where[of]
            continue
        # Positions grow from place to place, so that the largest of those found is the last.
        better, code = more[to], room[to]
        one = better.view(np.uint8)
        np.greater(seen, best, out=better)
        np.maximum(best, seen, out=best)
        if where is None:
            np.multiply(one, positions.dtype.type(place * weight), out=code)
        else:
            np.add(where[of], positions.dtype.type(place * weight), out=code)
            code *= one
        np.maximum(found[to], code, out=found[to])
    return largest, found


def _to_positions(g, positions, geo: Geometry):
    """The gradient of x: each g goes to where its window's largest element stands."""
    dx = np.empty((geo.batch, *geo.sizes, geo.channels), g.dtype)
    apart = _apart(geo)

    def work(some):
        for images in some:
            dx[images] = 0
            for box in _blocks(_of(geo, images)):
                box = (slice(images.start + box[0].start, images.start + box[0].stop), *box[1:])
                _send(g[box], positions[box], _part(dx, box, geo), geo, apart)

    share(work, _images(geo), 2 * geo.places * geo.outputs * geo.channels)
    return dx


def _send(g, positions, part, geo: Geometry, apart: bool) -> None:
    dx, before = part
    here, share_of = np.empty(g.shape, bool), None if apart else np.empty(g.shape, g.dtype)
    for number, place in enumerate(places(geo.windows)):
        met = [
            _met(n, p, s, low, count)
            for n, p, s, low, count in zip(
                dx.shape[1:-1], place, geo.strides, before, g.shape[1:-1], strict=True
            )
        ]
        if None in met:
            continue
        to, of = (tuple(one[i] for one in met) for i in (0, 1))
        to, of = (slice(None), *to), (slice(None), *of)
        equal = np.equal(positions[to], positions.dtype.type(number), out=here[to])
        if apart:
            np.multiply(g[to], equal, out=dx[of])
        else:
            given = np.multiply(g[to], equal, out=share_of[to])
            there = dx[of]
            there += given


def _means(x, y, geo, some) -> None:
    numbers = _numbers(geo, x.dtype)
    for box in some:
        part, before = _part(x, box, geo)
        out = y[box]
        for axis in (1, 2):
            part = _slid(np.add, 0, part, axis, geo, before[axis - 1], out.shape[axis])
        _slid(np.add, 0, part, 3, geo, before[2], out.shape[3], out)
        _divide(out, numbers, box)


def _spread(g, geo: Geometry):
    """The gradient of x: each g in equal parts to what its window sees."""
    dx = np.empty((geo.batch, *geo.sizes, geo.channels), g.dtype)
    numbers, apart = _numbers(geo, g.dtype), _apart(geo)

    def work(some):
        for images in some:
            dx[images] = 0
            for box in _blocks(_of(geo, images)):
                box = (slice(images.start + box[0].start, images.start + box[0].stop), *box[1:])
                part, before = _part(dx, box, geo)
                given = g[box].copy()
                _divide(given, numbers, box)
                for axis in (3, 2):
                    given = _dealt(
                        given, axis, geo, before[axis - 1], part.shape[axis], None, apart
                    )
                _dealt(given, 1, geo, before[0], part.shape[1], part, apart)

    share(work, _images(geo), 2 * COST * geo.batch * prod(geo.sizes) * geo.channels)
    return dx


def _dealt(g, axis, geo, before, size, out=None, apart=False):
    """The inverse of `_slid` for sums: each g added to all that its window sees along an axis.

    `apart` says that no other window adds to that.
    """
    k, s, count = geo.windows[axis - 1], geo.strides[axis - 1], g.shape[axis]
    if k == 1 and s == 1 and size == count and out is None:
        return g
    if out is None:
        out = np.zeros((*g.shape[:axis], size, *g.shape[axis + 1 :]), g.dtype)
    for place in range(k):
        met = _met(size, place, s, before, count)
        if met is None:
            continue
        there, given = out[_along(axis, met[1])], g[_along(axis, met[0])]
        if apart:
            there[...] = given
        else:
            there += given
    return out


def _apart(geo: Geometry) -> bool:
    """Whether no two windows see the same element."""
    return all(k <= s for k, s in zip(geo.windows, geo.strides))


@lru_cache(256)
def _numbers(geo: Geometry, dtype):
    """How many elements windows see: a number if it is the same for all, else one for each row
    (deep, high, 1, 1) and for each element of a row (across * channels,)."""
    seen = []
    for n, k, s, (low, _), count in zip(
        geo.sizes, geo.windows, geo.strides, geo.padding, geo.counts, strict=True
    ):
        starts = s * np.arange(count) - low
        inside = np.minimum(starts + k, n) - np.maximum(starts, 0)
        seen.append(np.maximum(inside, 1).astype(dtype))
    if all((one == one[0]).all() for one in seen):
        return prod(float(one[0]) for one in seen), None
    rows = seen[0][:, None] * seen[1]
    return rows[..., None], np.repeat(seen[2], geo.channels)


def _divide(block, numbers, box) -> None:
    rows, columns = numbers
    if columns is None:
        if rows != 1:
            block /= rows
        return
    wide = block.reshape(*block.shape[:3], -1)
    wide /= rows[box[1:3]] * columns


def _images(geo: Geometry):
    """Slices of images for threads."""
    if prod(geo.sizes) * geo.channels > BLOCK:
        number = geo.batch
    else:
        number = min(geo.batch, 4 * available()) if _operations(geo) > ENOUGH else 1
    return [slice(geo.batch * i // number, geo.batch * (i + 1) // number) for i in range(number)]


def _of(geo: Geometry, images: slice) -> Geometry:
    return replace(geo, batch=images.stop - images.start)
