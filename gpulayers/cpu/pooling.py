"""Pooling of NumPy arrays: one axis after another, in blocks that stay in the cache.

The largest value of a window is the largest of its rows' largest values, so that k + k comparisons
do for k x k; along all axes but the last they run over whole rows of columns and channels.  When a
gradient is wanted, the position of the largest value is kept in one byte (two for windows of more
than 256 elements) and x is not.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import inf, prod
from typing import NamedTuple

import numpy as np

from .. import jit
from ..jit import pooling as loops
from ..ops.pooling import average_pooling, max_pooling
from . import memory
from .sliding import AXES, Geometry, boxes, extents, feeding, geometry, met, seeing, with_axes
from .threads import ENOUGH, available, divided, scratch, share

BLOCK = 1 << 24  # Bytes of x that all threads together work on at a time: with fewer, threads wait
# for Python's lock more than for memory (2^20 each, of two threads: half as fast as 2^23).
KNOWN = {(1, 2, 2), (1, 3, 3)}  # Windows that loops are compiled for: two to three times as fast.
COST = 8  # A comparison takes as long as so many operations in a product of matrices.


@max_pooling.on("numpy")
def _(x, *, windows, strides, padding, needs=None):
    geo = _geometry(x.shape, windows, strides, padding)
    number = geo.places
    if not x.size or not geo.outputs or number > 1 << 16 or x.dtype.kind not in "fiu":
        return NotImplemented
    looped, wide = jit.takes(x), with_axes(x)
    y = memory.empty((geo.batch, *geo.counts, geo.channels), x.dtype)
    shape = (geo.batch, *geo.counts[AXES - len(windows) :], geo.channels)
    if looped and needs is None:
        _by_rows(loops.largest(_known(geo)), geo, y, wide, y, None)
        return y.reshape(shape)
    if needs is None:
        least = -inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        todo = _plans(geo, x.itemsize, _threads(geo))
        share(lambda some: _reduced(np.maximum, least, wide, y, some), todo, _operations(geo))
        return y.reshape(shape)
    positions = memory.empty(y.shape, np.uint8 if number <= 256 else np.uint16)
    if looped:
        _by_rows(loops.largest(_known(geo)), geo, y, wide, y, positions)
    else:
        todo, work = _blocks(geo, x.itemsize, _threads(geo)), 3 * _operations(geo)
        share(lambda some: _largest_with(wide, y, positions, geo, some), todo, work)
    sizes = x.shape

    def pullback(g):
        g = with_axes(g)
        if looped and jit.takes(g, least=0):
            dx = memory.empty((geo.batch, *geo.sizes, geo.channels), g.dtype)
            _by_rows(loops.to_positions, geo, dx, g, positions, dx)
        else:
            dx = _to_positions(g, positions, geo)
        return (dx.reshape(sizes),)

    return y.reshape(shape), pullback


@average_pooling.on("numpy")
def _(x, *, windows, strides, padding, needs=None):
    geo = _geometry(x.shape, windows, strides, padding)
    if not x.size or not geo.outputs or x.dtype.char not in "fd":
        return NotImplemented
    wide, y = with_axes(x), memory.empty((geo.batch, *geo.counts, geo.channels), x.dtype)
    looped = jit.takes(x)
    if looped and _tiled(geo):
        _, high, across = geo.windows
        rows = np.ascontiguousarray(wide)
        rows = rows.reshape(-1, high, geo.counts[2], across, geo.channels)
        args = rows, y.reshape(len(rows), *y.shape[3:]), 1 / (high * across)
        divided(loops.tiled_means(high, across), len(rows), _operations(geo), *args)
    elif looped:
        _by_rows(loops.means(_known(geo)), geo, y, wide, y, *_shares_along(geo, x.dtype))
    else:
        shares, todo = _shares(geo, x.dtype), _plans(geo, x.itemsize, _threads(geo))
        share(lambda some: _reduced(np.add, 0, wide, y, some, shares), todo, _operations(geo))
    y, sizes = y.reshape(geo.batch, *geo.counts[AXES - len(windows) :], geo.channels), x.shape
    if needs is None:
        return y

    def pullback(g):
        g = with_axes(g)
        if looped and jit.takes(g, least=0):
            dx = memory.empty((geo.batch, *geo.sizes, geo.channels), g.dtype)
            _by_rows(loops.spread, geo, dx, g, dx, *_shares_along(geo, g.dtype))
        else:
            dx = _spread(g, geo)
        return (dx.reshape(sizes),)

    return y, pullback


def _tiled(geo: Geometry) -> bool:
    """Whether windows of a size that kernels know lie side by side and cover all of each plane."""
    covered = tuple(n * k for n, k in zip(geo.counts, geo.windows))
    flat = geo.windows[0] == 1 and geo.windows in KNOWN and geo.strides == geo.windows
    return flat and covered == geo.sizes and all(low == 0 for low, _ in geo.padding)


def _known(geo: Geometry):
    """The windows that a kernel is compiled for, or None for that of any."""
    return geo.windows if geo.windows in KNOWN else None


@lru_cache(1024)
def _moves(geo: Geometry):
    """The sizes of windows, strides, and margins in front, one row each."""
    return np.array([geo.windows, geo.strides, [low for low, _ in geo.padding]])


def _by_rows(kernel, geo: Geometry, out, *arrays) -> None:
    """Run a loop over all rows of `out`, one of the arrays."""
    arrays = [None if a is None else np.ascontiguousarray(a) for a in arrays]
    divided(kernel, prod(out.shape[:3]), _operations(geo), *arrays, _moves(geo))


def _geometry(shape, windows, strides, padding) -> Geometry:
    once = (1,) * len(windows)
    return geometry(shape, windows, shape[-1], strides, padding, once, shape[-1])


def _operations(geo: Geometry) -> float:
    return COST * geo.batch * prod(geo.sizes) * geo.channels


def _threads(geo: Geometry) -> int:
    """How many there may be: work is divided among them where that pays."""
    return available() if _operations(geo) >= ENOUGH else 1


@lru_cache(1024)
def _blocks(geo: Geometry, itemsize: int, threads: int):
    """Boxes of places, with all columns, whose windows see BLOCK bytes of x or less."""
    images, deep, high, across = geo.batch, *geo.counts
    each = max(geo.sizes[2] * geo.channels * geo.strides[0] * geo.strides[1], 1)
    number = max(min(BLOCK // (each * itemsize), images * deep * high) // threads, 1)
    return [(*box, slice(0, across)) for box in boxes((images, deep, high), number)]


def _seen(box, geo: Geometry):
    """What the windows of a box see: an index of x, and the margin in front of it on each axis."""
    index, before = [box[0]], []
    for n, (start, stop) in zip(geo.sizes, extents(box, geo)):
        index.append(slice(max(start, 0), max(min(stop, n), 0)))
        before.append(max(-start, 0))
    return tuple(index), before


def _along(axis, part):
    """An index of five axes that takes a part of one."""
    return (slice(None),) * axis + (part,)


def _room(name, shape, dtype):
    """Memory of the thread's own, with whatever is in it."""
    return scratch(name, prod(shape), np.dtype(dtype)).reshape(shape)


def _steps(axes, geo: Geometry, sizes, ends):
    """The axes along which something is to be done to get from one shape to another, and the
    shapes between."""
    shape, found = list(sizes), []
    for axis in axes:
        k, s, count = geo.windows[axis - 1], geo.strides[axis - 1], ends[axis]
        if (k, s, shape[axis]) != (1, 1, count):
            shape[axis] = count
            found.append((axis, tuple(shape)))
    return found


class Plan(NamedTuple):
    """How a box of places is reduced: what its windows see of x, and along one axis after another
    (name of the memory for the result, its shape, indices of up to two parts that give to all of
    it, [(a part of it, what gives to that)])."""

    box: tuple
    seen: tuple
    steps: list


@lru_cache(1024)
def _plans(geo: Geometry, itemsize: int, threads: int) -> list[Plan]:
    """What to do for each block: made once, for Python holds the other threads up meanwhile."""
    plans = []
    for box in _blocks(geo, itemsize, threads):
        (seen, before), steps = _seen(box, geo), []
        sizes = [part.stop - part.start for part in (*seen, slice(0, geo.channels))]
        ends = [part.stop - part.start for part in (*box, slice(0, geo.channels))]
        for axis, shape in _steps((1, 2, 3), geo, sizes, ends):
            window = geo.windows[axis - 1], geo.strides[axis - 1]
            places = met(sizes[axis], *window, before[axis - 1], ends[axis])
            whole = [_along(axis, of) for _, to, of in places if to == slice(0, ends[axis])]
            others = [
                (_along(axis, to), _along(axis, of))
                for _, to, of in places
                if to != slice(0, ends[axis])
            ]
            others = [(..., of) for of in whole[2:]] + others
            steps.append((f"pooled {axis}", shape, whole[:2], others))
        plans.append(Plan(box, seen, steps))
    return plans


def _reduced(ufunc, nothing, x, y, plans, shares=(1, None)) -> None:
    """`ufunc` of what each window sees, times its share; `nothing` where it sees nothing."""
    for box, seen, steps in plans:
        part, out = x[seen], y[box]
        for i, (name, shape, whole, others) in enumerate(steps, 1):
            to = out if i == len(steps) else _room(name, shape, x.dtype)
            if len(whole) > 1:
                ufunc(part[whole[0]], part[whole[1]], out=to)
            else:
                to[...] = part[whole[0]] if whole else nothing
            for place, of in others:
                ufunc(to[place], part[of], out=to[place])
            part = to
        if not steps:
            out[...] = part
        _weigh(out, shares, box)


def _largest_with(x, y, positions, geo, some) -> None:
    """Largest values, and where in the window the first of them stands."""
    weights = dict(zip((3, 2, 1), (1, geo.windows[2], geo.windows[2] * geo.windows[1])))
    for box in some:
        seen, before = _seen(box, geo)
        value = x[seen]
        out, code, where = y[box], positions[box], None
        # The first in the order of rows is in the first row that has it: rows come last.
        steps = _steps((3, 2, 1), geo, value.shape, out.shape)
        for axis, shape in steps:
            ends = out, code
            if axis != steps[-1][0]:
                ends = (
                    _room(f"pooled {axis}", shape, x.dtype),
                    _room(f"positions {axis}", shape, code.dtype),
                )
            _first_largest(value, where, axis, geo, before[axis - 1], weights[axis], *ends)
            value, where = ends
        if not steps:
            out[...], code[...] = value, 0


def _first_largest(x, where, axis, geo: Geometry, before, weight, largest, found) -> None:
    """The largest values along an axis, and the positions of the first of them.

    `where` are the positions along the axes behind, each less than `weight`.
    """
    count, dtype = largest.shape[axis], found.dtype
    whole, best, known = slice(0, count), None, None
    places = met(x.shape[axis], geo.windows[axis - 1], geo.strides[axis - 1], before, count)
    if places and places[0][:2] == (0, whole):
        (_, _, of), *places = places
        of = _along(axis, of)
        best, known = x[of], 0 if where is None else where[of]
        if not places or places[0][1] != whole:
            largest[...], found[...], best = best, known, None
    else:
        largest[...], found[...] = -inf, 0
    more, room = _room("more", found.shape, bool), _room("codes", found.shape, dtype)
    for place, to, of in places:
        to, of = _along(axis, to), _along(axis, of)
        better, code = more[to], room[to]
        if best is None:
            best, known = largest[to], found[to]
            np.greater(x[of], best, out=better)
            np.maximum(best, x[of], out=best)
        else:  # A comparison with what is contiguous takes half as long.
            np.less(best, np.maximum(best, x[of], out=largest), out=better)
        # Positions grow from place to place, so that the largest of those found is the last.
        number, one = dtype.type(place * weight), better.view(np.uint8)
        if where is None:
            np.multiply(one, number, out=code)
        else:
            np.add(where[of], number, out=code)
            code *= one
        np.maximum(known, code, out=found[to])
        best = None


@lru_cache(1024)
def _regions(geo: Geometry, itemsize: int, threads: int):
    """Boxes of x, with all columns, for gradients."""
    images, (deep, high, across) = geo.batch, geo.sizes
    each = max(across * geo.channels, 1)
    number = max(min(BLOCK // (each * itemsize), images * deep * high) // threads, 1)
    return [(*box, slice(0, across)) for box in boxes((images, deep, high), number)]


def _gradient(g, geo: Geometry, give):
    """The gradient of x, whose regions `give` fills: give(part of it, box of x)."""
    dx = memory.empty((geo.batch, *geo.sizes, geo.channels), g.dtype)

    def work(some):
        for box in some:
            give(dx[box], box)

    share(
        work, _regions(geo, g.itemsize, _threads(geo)), 2 * geo.places * geo.outputs * geo.channels
    )
    return dx


def _fed(dx, count, before, geo: Geometry):
    """Parts of a region of x that the same places of windows see, and how these are fed: an index
    of the part, whether the first feeds all of it, and (number of the place, index of windows,
    index of elements of the part)."""
    sizes = dx.shape[1:4], geo.windows, geo.strides, before, count
    every = slice(None)
    for parts in product(*map(feeding, *sizes)):
        fed = []
        for one in product(*(own for _, _, own in parts)):
            places, windows, elements = zip(*one)
            number = int(np.ravel_multi_index(places, geo.windows))
            fed.append((number, (every, *windows), (every, *elements)))
        whole = bool(fed) and fed[0][2][1:] == tuple(slice(0, size) for _, size, _ in parts)
        yield (every, *(part for part, _, _ in parts)), whole, fed


def _to_positions(g, positions, geo: Geometry):
    """The gradient of x: each g goes to where its window's largest element stands."""

    def give(dx, box):
        index, before = seeing(box, geo)
        given, where = g[index], positions[index]
        here = _room("more", where.shape, bool)
        for part, whole, fed in _fed(dx, where.shape[1:4], before, geo):
            there = dx[part]
            total = there if len(fed) < 2 else _room("pooled 3", there.shape, g.dtype)
            if not whole:
                total[...] = 0
            for number, windows, elements in fed:
                chosen = np.equal(where[windows], number, out=here[windows])
                if whole:
                    np.multiply(given[windows], chosen, out=total)
                    whole = False
                else:
                    more = _room("pooled 2", chosen.shape, g.dtype)
                    total[elements] += np.multiply(given[windows], chosen, out=more)
            if total is not there:
                there[...] = total

    return _gradient(g, geo, give)


def _spread(g, geo: Geometry):
    """The gradient of x: each g in equal parts to what its window sees."""
    shares = _shares(geo, g.dtype)

    def give(dx, box):
        index, before = seeing(box, geo)
        given = _room("pooled 1", g[index].shape, g.dtype)
        np.copyto(given, g[index])
        _weigh(given, shares, index)
        steps = _steps((3, 2, 1), geo, given.shape, dx.shape)
        for axis, shape in steps:
            to = dx if axis == steps[-1][0] else _room(f"pooled {axis}", shape, g.dtype)
            _dealt(given, axis, geo, before[axis - 1], to)
            given = to
        if not steps:
            dx[...] = given

    return _gradient(g, geo, give)


def _dealt(g, axis, geo: Geometry, before, out) -> None:
    """The inverse of `_slid` for sums: each g added to all that its window sees along an axis."""
    k, s, size = geo.windows[axis - 1], geo.strides[axis - 1], out.shape[axis]
    for part, number, own in feeding(size, k, s, before, g.shape[axis]):
        there = out[_along(axis, part)]
        met = sorted(own, key=lambda one: one[2] != slice(0, number))  # What feeds all, first.
        if met and met[0][2] == slice(0, number):
            (_, windows, _), *met = met
            there[...] = g[_along(axis, windows)]
        else:
            there[...] = 0
        for _, windows, elements in met:
            there[_along(axis, elements)] += g[_along(axis, windows)]


@lru_cache(256)
def _shares_along(geo: Geometry, dtype):
    """One by how many elements windows see along each of the axes."""
    shares = []
    for n, k, s, (low, _), count in zip(
        geo.sizes, geo.windows, geo.strides, geo.padding, geo.counts, strict=True
    ):
        starts = s * np.arange(count) - low
        inside = np.minimum(starts + k, n) - np.maximum(starts, 0)
        shares.append((1 / np.maximum(inside, 1)).astype(dtype))
    return shares


@lru_cache(256)
def _shares(geo: Geometry, dtype):
    """The same for all axes at once: a number if it is the same for all windows, else one for each
    row (deep, high, 1) and for each element of a row (across * channels,)."""
    shares = _shares_along(geo, dtype)
    if all((one == one[0]).all() for one in shares):
        return prod(one[0] for one in shares), None
    rows = shares[0][:, None] * shares[1]
    return rows[..., None], np.repeat(shares[2], geo.channels)


def _weigh(block, shares, box) -> None:
    rows, columns = shares
    if columns is None:
        if rows != 1:
            block *= rows
        return
    wide = block.reshape(*block.shape[:3], block.shape[3] * block.shape[4])
    channels = block.shape[-1]
    wide *= rows[box[1:3]] * columns[box[3].start * channels : box[3].stop * channels]
