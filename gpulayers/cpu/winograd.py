"""Convolution with small windows by Winograd's minimal filtering, as products of matrices.

A tile of m x m outputs with windows w of r x r, which sees e x e inputs d with e = m + r - 1, is
A^T [(G w G^T) (B^T d B)] A with products element by element: e^2 / (m r)^2 as many as by
definition, a quarter for m = 4 and r = 3 (Lavin and Gray, 2015, arXiv:1509.09308).  With channels,
each of the e^2 elements is a product of matrices (tiles, C) and (C, F), and B, G and A, applied to
columns and then to rows, are products too.  The gradient of w is the same read backwards.

Compiled loops (`Looped`) transform a part of the kernel, multiply, and go on to the next, so that
it stays in the cache: that is faster than to read it from memory, and nothing is kept.

The matrices evaluate and interpolate polynomials at e - 1 points and at infinity.  For e = 6 these
are 0, +-2/3 and +-4/3, found by trial: in float32, with 256 channels, errors are a third of those
of the usual 0, +-1 and +-2 (6.4e-7 of the outputs' root mean square and at most 0.9e-6 of the
largest, against 1.3e-6 and 3.6e-6; for m = 2 they are 1.9e-7 and 2.1e-7).
"""

from __future__ import annotations

import weakref
from functools import cache, lru_cache
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..jit import tiles
from ..jit import winograd as loops
from ..jit.winograd import FORMS
from . import direct
from .direct import Plan, flat, full, packed, scaled, whole_channels
from .sliding import Geometry, boxes, region
from .threads import available, divided, scratch, share

BLOCK = 1 << 19  # Elements of the tiles that are worked on together: a core's cache.
WORK = 60 << 20  # Bytes that all threads together may use.
KEPT = 64 << 20  # Bytes of transformed kernels that are kept.
LARGEST = 1 << 18  # C times F beyond which transformed kernels take too much memory.
TILES = 1 << 18  # Elements of transforms of tiles that loops work on together.
FEWEST = {False: 64, True: 128}  # Tiles at least, of results and for the kernel's gradient.
ONCE = 1 << 13  # C times F up to which loops transform kernels once, not for each block of tiles.
COLUMNS = 1 << 14  # Elements of a kernel that a thread transforms at a time.


class Winograd:
    """Minimal filtering by tiles of m x m outputs, with windows of r x r."""

    def __init__(self, m: int, r: int, points):
        self.m, self.r, self.edge, self.points = m, r, m + r - 1, points

    @cache  # noqa: B019 (there are three of these objects, for good)
    def matrices(self, dtype):
        """A (edge, m), B^T (edge, edge) and G (edge, r)."""
        return [one.astype(dtype) for one in loops.matrices(self.m, self.r, self.points)]

    def suits(self, geo: Geometry) -> bool:
        """Whether it can do this, within its memory."""
        return self.flat(geo) and geo.channels * geo.filters <= LARGEST

    def flat(self, geo: Geometry) -> bool:
        """Whether windows are of its size, on two axes, and move by 1."""
        two = geo.windows == (1, self.r, self.r) and geo.sizes[0] == 1 == geo.counts[0]
        return two and geo.dense and geo.channels > 0

    def pays(self, geo: Geometry, kept: bool) -> bool:
        """Whether it is faster than other ways; `kept` if the kernel's transform stays.

        Measured on two cores with AVX-512 against `lowering` and `panels`, with 1 to 16 images of
        7 x 7 to 28 x 28: the kernel's transform is as much to read, and to make, for few tiles.
        """
        pairs, tiles = geo.channels * geo.filters, self.tiles(geo)
        if min(geo.channels, geo.filters) < 16 or pairs < (576 if self.m == 4 else 4096):
            return False
        return tiles >= (40 if kept else 96)

    def tiles(self, geo: Geometry) -> int:
        return geo.batch * prod(-(-n // self.m) for n in geo.counts)

    def convolve(self, x, kernel, geo: Geometry, out, finish) -> None:
        """See `panels.convolve`."""
        a, b, _ = self.matrices(x.dtype)
        m, edge, filters = self.m, self.edge, geo.filters
        todo, tiles = self._tiles(geo)
        factor = self.factor(kernel)

        def work(some):
            rooms = Rooms("seen", self, geo, tiles, x.dtype)
            for box in some:
                count = [part.stop - part.start for part in box]
                n = prod(count)
                v = rooms.spectrum(x, box, geo.padding[1:], b)
                v = v.reshape(edge * edge, n, geo.channels)
                products = rooms.second[: edge * edge * n * filters]
                np.matmul(v, factor, out=products.reshape(edge * edge, n, filters))
                half = rooms.first[: edge * m * n * filters].reshape(edge, m, -1)
                np.matmul(a.T, products.reshape(edge, edge, -1), out=half)
                y = rooms.second[: m * m * n * filters].reshape(m, m, -1)
                np.matmul(a.T, half.transpose(1, 0, 2), out=y.transpose(1, 0, 2))
                if finish is not None:
                    finish(y.reshape(-1, filters))
                self._put(y.reshape(m, m, *count, filters), out, box)

        most = self._threads(geo, tiles, x.itemsize, 0, factor.size)
        share(work, todo, geo.operations / 3, most)

    def kernel_gradient(self, x, g, geo: Geometry):
        """See `panels.kernel_gradient`."""
        a, b, back = self.matrices(x.dtype)
        edge = self.edge
        todo, tiles = self._tiles(geo)
        shape = edge, edge, geo.channels, geo.filters

        def work(some):
            seen, given = (Rooms(name, self, geo, tiles, x.dtype) for name in ("seen", "given"))
            total, product = scratch("factor", prod(shape), x.dtype).reshape(shape), None
            for box in some:
                n = prod(part.stop - part.start for part in box)
                v = seen.spectrum(x, box, geo.padding[1:], b).reshape(edge, edge, n, -1)
                z = given.spectrum(g, box, ((0, 0), (0, 0)), a).reshape(edge, edge, n, -1)
                v = v.transpose(0, 1, 3, 2)
                if product is None:
                    np.matmul(v, z, out=total)
                    product = scratch("product", prod(shape[1:]), x.dtype).reshape(shape[1:])
                    continue
                for i in range(edge):
                    total[i] += np.matmul(v[i], z[i], out=product)
            return total

        most = self._threads(geo, 2 * tiles, x.itemsize, prod(shape), 0)
        total, *others = share(work, todo, geo.operations / 3, most, sums=True)
        for one in others:
            total += one
        half = np.matmul(back.T, total.reshape(edge, edge, -1))
        return np.matmul(back.T, half.reshape(edge, -1)).reshape(*geo.windows, *shape[2:])

    def factor(self, kernel):
        """G w G^T for each pair of channels, (edge^2, C, F): kept from the second time on."""
        size = self.edge**2 * kernel.size // self.r**2
        kept = _kept.get(id(kernel))
        if kept is not None and kept.of() is kernel and kept.m == self.m:
            if kept.bytes == kernel.data:
                return kept.factor
            found = self._transformed(kernel, np.empty(size, kernel.dtype))
            kept.keep(kernel, found)
            return found
        if kernel.flags.c_contiguous:
            _kept[id(kernel)] = Kept(self.m, kernel)
        return self._transformed(kernel, scratch("factor", size, kernel.dtype))

    def _transformed(self, kernel, memory):
        *_, channels, filters = kernel.shape
        edge, g, w = self.edge, self.matrices(kernel.dtype)[2], kernel.reshape(self.r, self.r, -1)
        found = memory.reshape(edge, edge, channels * filters)

        def work(some):
            for columns in some:
                half = np.matmul(g, w[..., columns].transpose(1, 0, 2))  # (r, edge, columns)
                out = found[..., columns]
                np.matmul(g, half.transpose(1, 0, 2), out=out)

        width = channels * filters
        todo = [slice(i, min(i + COLUMNS, width)) for i in range(0, width, COLUMNS)]
        share(work, todo, 300.0 * width)
        return found.reshape(edge * edge, channels, filters)

    def _tiles(self, geo: Geometry):
        """Boxes of tiles (images, rows, columns), and how many the first one has."""
        shape = (geo.batch, *(-(-n // self.m) for n in geo.counts[1:]))
        width = self.edge**2 * max(geo.channels, geo.filters)
        tiles = max(BLOCK // width, 64 if width <= self.edge**2 * 512 else 16)
        tiles = min(tiles, -(-prod(shape) // available()))
        todo = boxes(shape, tiles)
        return todo, prod(part.stop - part.start for part in todo[0])

    def _threads(self, geo: Geometry, tiles: int, itemsize: int, more: int, shared: int) -> int:
        """How many threads there may be, so that they do not use too much memory."""
        own = 3 * self.edge**2 * max(geo.channels, geo.filters) * tiles + more
        return max((WORK - shared * itemsize) // (own * itemsize), 1)

    def _put(self, y, out, box) -> None:
        """Write tiles (m, m, images, rows, columns, F) to their places."""
        m, (images, rows, columns) = self.m, box
        block = out[images, 0, rows.start * m : rows.stop * m, columns.start * m : columns.stop * m]
        _, _, n, high, wide, filters = y.shape
        if block.shape[1:3] == (high * m, wide * m):
            apart = block.reshape(n, high, m, wide, m, filters)
            np.copyto(apart, y.transpose(2, 3, 0, 4, 1, 5))
            return
        for i in range(m):
            for j in range(m):
                part = block[:, i::m, j::m]
                part[...] = y[i, j, :, : part.shape[1], : part.shape[2]]


_SIX = loops.SIX
FOUR, TWO = Winograd(4, 3, _SIX), Winograd(2, 3, (0, 1, -1))
FIVE = Winograd(2, 5, _SIX)  # For windows of 5 x 5.


class Tiled(Plan):
    """What convolutions of a geometry by loops over tiles have in common."""

    def __init__(self, form: Looped, geo: Geometry, itemsize: int, backwards: bool):
        self.geo, self.itemsize = geo, itemsize
        self.height, self.lanes = tiles.shape(itemsize)
        self.strips = -(-geo.filters // self.lanes)
        m, edge, lanes = form.m, form.edge, self.lanes
        number = max(TILES // (edge**2 * geo.channels), FEWEST[backwards])
        shape = (geo.batch, 1, *(-(-n // m) for n in geo.counts[1:]))
        if self.units() < 2 * available():  # Else threads share what is transformed of a kernel.
            number = min(number, -(-prod(shape) // available()))
        todo = self.todo = boxes(shape, number)
        self._sort(todo)
        self.moves, self.lows = (1, m, m), tuple(low for low, _ in geo.padding)
        rows, columns = ((n - 1) * m + edge for n in self.sizes[0][2:])
        self.spans = (1, rows, columns, geo.channels, 1, 1)
        self.room = self.sizes[0][0] * rows * columns * geo.channels + lanes
        self.apart = -(-geo.channels // lanes) * lanes
        self.part = edge**2 * (2 * loops.CHANNELS + 1) * lanes  # Of transforms of two strips.
        self.parts_of_all = self.units() * -(-geo.channels // loops.CHANNELS)
        self.columns = full(np.arange(geo.channels), 2 * self.height)
        self.same = np.zeros(2 * self.height, np.intp)
        self.spots = np.outer([2, 1], self.columns) * lanes
        self.tables = []
        for count in self.counts:
            places = full(np.arange(count), 2 * self.height)
            self.tables.append((places * self.apart, np.outer([2, 1], places) * lanes))
        self.fresh = geo.channels * geo.filters > ONCE


class Looped:
    """The same by compiled loops, see `jit.winograd`."""

    def __init__(self, form: Winograd):
        self.form, self.number = form, FORMS.index((form.m, form.r, form.points))
        self.m, self.edge, self.r = form.m, form.edge, form.r

    def suits(self, geo: Geometry) -> bool:
        """Whether it can do this."""
        return self.form.flat(geo)

    def pays(self, geo: Geometry, kept: bool) -> bool:
        """Whether it is faster than other ways; kernels are transformed anew each time."""
        return min(geo.channels, geo.filters) >= 16 and self.form.tiles(geo) >= 4

    def convolve(self, x, kernel, geo: Geometry, out, finish) -> None:
        """See `panels.convolve`."""
        plan, dtype = planned(self, geo, x.itemsize), x.dtype
        strips = packed(scaled(kernel, finish), geo)
        bias = np.concatenate([plan.bias(finish, dtype), np.zeros(4 * plan.lanes, dtype)])
        memory, at, steps = flat(whole_channels(x))
        target, out_at, out_steps = flat(out)
        sizes, fresh, factor = plan.sizes[0], plan.fresh, None
        if not fresh:
            factor = np.empty(plan.parts_of_all * plan.part, dtype)
            args = strips, factor, geo.channels, self.number, self.r, self.edge
            divided(loops.factorize, plan.units(), 200.0 * strips.size / 9, *args)

        def work(some):
            room = scratch("seen", plan.room, dtype)
            count, edge = prod(sizes), self.edge
            seen = scratch("spectrum", edge**2 * (count * plan.apart + plan.lanes), dtype)
            products = scratch("products", edge**2 * (2 * count + 1) * plan.lanes, dtype)
            small = scratch("small", self.m**2 * 2 * plan.lanes, dtype)
            own = scratch("factor", plan.part, dtype) if fresh else factor
            for sort, first, last in some:
                loops.convolve(
                    memory, strips, bias, target, room, seen, own, products, small,
                    *plan.tables[sort], plan.columns, plan.same, plan.boxes, at, steps[:4], out_at,
                    out_steps[:4], geo.sizes, plan.moves, plan.lows, plan.spans, geo.counts,
                    geo.filters, plan.counts[sort], self.number, edge, fresh, plan.apart,
                    plan.height, *plan.bounds(finish), first, last,
                )  # fmt: skip

        share(work, plan.parts, plan.worth / 2)
        plan.activate(finish, out)

    def kernel_gradient(self, x, g, geo: Geometry):
        """See `panels.kernel_gradient`."""
        plan, dtype, edge = planned(self, geo, x.itemsize, True), x.dtype, self.edge
        size, units = edge**2 * (2 * geo.channels + 1) * plan.lanes, plan.units()
        whole = len(plan.todo) == 1
        if not whole and units * size * x.itemsize * available() > WORK // 2:
            return direct.kernel_gradient(x, g, geo)
        strips = np.empty(plan.strips * geo.depth * plan.lanes, dtype)
        memory, at, steps = flat(whole_channels(x))
        given, g_at, g_steps = flat(whole_channels(g))
        _, rows, columns, *_ = plan.spans
        g_spans = (1, rows - self.r + 1, columns - self.r + 1, geo.filters, 1, 1)
        most = plan.sizes[0][0] * rows * columns * max(geo.channels, geo.filters)

        def work(some):
            count = max(plan.counts)
            room = scratch("seen", most + 2 * plan.lanes, dtype)
            seen = scratch("spectrum", edge**2 * (count * plan.apart + plan.lanes), dtype)
            own = scratch("products", edge**2 * (2 * count + 1) * plan.lanes, dtype)
            total = scratch("total", size, dtype) if whole else np.zeros(units * size, dtype)
            for sort, first, last in some:
                loops.differentiate(
                    memory, given, strips, total, room, seen, own, plan.tables[sort][0],
                    plan.columns, plan.spots, plan.boxes, at, steps[:4], g_at, g_steps[:4],
                    geo.sizes, geo.counts, plan.moves, plan.lows, plan.spans, g_spans, geo.filters,
                    plan.counts[sort], self.number, edge, whole, plan.apart, plan.height,
                    plan.lanes, first, last,
                )  # fmt: skip
            return total

        found = share(work, plan.parts, plan.worth / 2, sums=True)
        if not whole:
            total = sum(found[1:], found[0])
            args = total, strips, geo.channels, geo.filters, self.number, edge, self.r, plan.lanes
            divided(loops.restore, units, 200.0 * strips.size / 9, *args)
        return plan.unpacked(strips).reshape(*geo.windows, -1, geo.filters)


def planned(form: Looped, geo: Geometry, itemsize: int, backwards: bool = False) -> Tiled:
    return _planned(form, geo, itemsize, backwards, available())


@lru_cache(1024)
def _planned(form: Looped, geo: Geometry, itemsize: int, backwards: bool, threads: int) -> Tiled:
    return Tiled(form, geo, itemsize, backwards)


class Rooms:
    """The memory of a thread, and what fills it first: tiles and their transforms."""

    def __init__(self, name: str, form: Winograd, geo: Geometry, tiles: int, dtype):
        size = form.edge**2 * max(geo.channels, geo.filters) * tiles
        self.m, rooms = form.m, scratch(name, 3 * size, dtype)
        self.first, self.second, self.third = rooms.reshape(3, size)

    def spectrum(self, x, box, padding, matrix):
        """`matrix` applied to columns and rows of tiles of x: (edge, edge, tiles * C).

        Tiles are as large as the matrix has columns, and begin m elements apart.
        """
        edge, k = matrix.shape
        images, rows, columns = box
        ends = [(0, 1)] + [
            (part.start * self.m - low, (part.stop - 1) * self.m + k - low)
            for part, (low, _) in zip((rows, columns), padding)
        ]
        seen = region(x, images, ends, self.third)
        n, _, _, width, channels = seen.shape
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        apart, _, down, _, size = seen.strides
        run = width * channels
        lines = as_strided(seen, (n, high, k, run), (apart, self.m * down, down, size))
        half = self.first[: n * high * edge * run].reshape(n, high, edge, run)
        np.matmul(matrix, lines, out=half)
        shape = (edge, k, n, high, wide, channels)
        steps = (run, channels, high * edge * run, edge * run, self.m * channels, 1)
        tiles = self.second[: prod(shape)]
        np.copyto(tiles.reshape(shape), as_strided(half, shape, [size * s for s in steps]))
        out = self.first[: prod(shape) // k * edge].reshape(edge, edge, -1)
        return np.matmul(matrix, tiles.reshape(edge, k, -1), out=out)


class Kept:
    """The transform of a kernel, from when it is used a second time until it is gone.

    Weights are replaced by other arrays when they change, but an array of a user's may be written
    to: a copy tells.
    """

    def __init__(self, m: int, kernel):
        key = id(kernel)
        self.m, self.of = m, weakref.ref(kernel, lambda _: _kept.pop(key, None))
        self.bytes = self.factor = None

    def keep(self, kernel, factor) -> None:
        others = sum(one.size for one in list(_kept.values()) if one is not self)
        self.bytes = self.factor = None
        if others + kernel.nbytes + factor.nbytes <= KEPT:
            self.bytes, self.factor = bytearray(kernel.data), factor

    @property
    def size(self) -> int:
        return 0 if self.factor is None else len(self.bytes) + self.factor.nbytes


_kept: dict[int, Kept] = {}
LOOPED = {form: Looped(form) for form in (FOUR, TWO, FIVE)}
