"""Convolution by minimal filtering, see `cpu.winograd`: transforms and products in registers.

Boxes are of tiles.  What a box sees is copied with its margins, and transformed for as many
channels at a time as a vector has numbers; then for each pair of strips of the kernel come its
transform, if it is not there already, the products, and the transform of these into results.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from . import Instruction, kernel, part
from .direct import copied, put
from .tiles import Code, address, shape, tile

SIX = (0, 2 / 3, -2 / 3, 4 / 3, -4 / 3)
CHANNELS = 128  # Of a kernel that are transformed together: they stay in a core's cache.
FORMS = ((4, 3, SIX), (2, 3, (0, 1, -1)), (2, 5, SIX))  # m, r and points of `cpu.winograd`.


@cache
def matrices(m: int, r: int, points):
    """A (edge, m), B^T (edge, edge) and G (edge, r), edge = m + r - 1."""

    def powers(n):
        rows = [[p**i for i in range(n)] for p in points]
        return np.array([*rows, [0] * (n - 1) + [1]], np.float64)

    return powers(m), np.linalg.inv(powers(m + r - 1)).T, powers(r)


def _both(typing, form, role, x, y, start, bounds):
    """Apply a matrix M to columns and to rows of matrices of numbers that are lanes of vectors.

    y[i, j] = start + sum over a, b: M[i, a] M[j, b] x[a, b].

    Args:
        form: index in `FORMS`, a literal.
        role: which matrix, a literal: 0 for B^T, 1 for G, 2 for A^T, 3 for A, 4 for G^T.
        x, y: (address, where to begin, steps of rows and of columns), for all lanes together.
        start: a vector's (address, where it begins), or None.
        bounds: (least, most) that results may have, where there is a start.
    """
    from numba import types

    a, b, g = matrices(*FORMS[form.literal_value])
    matrix = (b, g, a.T, a, g.T)[role.literal_value]
    given = (form, role, x, y, start, bounds)

    def generate(context, builder, signature, values):
        x, y, start, bounds = (
            None
            if kind == types.none
            else [builder.extract_value(value, i) for i in range(len(kind))]
            for kind, value in zip(given[2:], values[2:], strict=True)
        )
        dtype = given[5][0]
        size = dtype.bitwidth // 8
        code = Code(builder, context.get_value_type(dtype), size, shape(size)[1])
        code.both(matrix, x, y, start, bounds)
        return context.get_dummy_value()

    return types.void(*given), generate


both = Instruction(_both)


@part
def transformed(form, role, x, y, start, bounds):
    """Matrices of a form and a role on both sides."""
    if role == 0:
        if form == 1:
            both(1, 0, x, y, None, bounds)
        else:
            both(0, 0, x, y, None, bounds)
    elif role == 1:
        if form == 0:
            both(0, 1, x, y, None, bounds)
        elif form == 1:
            both(1, 1, x, y, None, bounds)
        else:
            both(2, 1, x, y, None, bounds)
    elif form == 0:
        both(0, 2, x, y, start, bounds)
    elif form == 1:
        both(1, 2, x, y, start, bounds)
    else:
        both(2, 2, x, y, start, bounds)


@part
def turned(form, role, x, y, bounds):
    """The same for gradients."""
    if role == 3:
        if form == 0:
            both(0, 3, x, y, None, bounds)
        elif form == 1:
            both(1, 3, x, y, None, bounds)
        else:
            both(2, 3, x, y, None, bounds)
    elif form == 0:
        both(0, 4, x, y, None, bounds)
    elif form == 1:
        both(1, 4, x, y, None, bounds)
    else:
        both(2, 4, x, y, None, bounds)


@part
def spectrum(form, seen, room, box, m, edge, spans, count, apart, lanes, bounds):
    """Transforms of what the tiles of a box see: (edge, edge, tiles, apart)."""
    channels = spans[3]
    across, step, i = spans[2] * channels, count * apart + lanes, 0
    for n in range(box[1] - box[0]):
        for row in range(box[5] - box[4]):
            for column in range(box[7] - box[6]):
                at = ((n * spans[1] + row * m) * spans[2] + column * m) * channels
                for c in range(0, channels, lanes):
                    x = (address(room), at + c, across, channels)
                    y = (address(seen), i * apart + c, edge * step, step)
                    transformed(form, 0, x, y, (address(room), 0), bounds)
                i += 1


@part
def factored(form, strips, at, factor, to, first, last, channels, wide, r, edge, lanes, bounds):
    """The transform of what is in strips for some channels: (edge, edge, channels, wide)."""
    step = (last - first) * wide + lanes  # What all have at the same place falls into other sets.
    for c in range(first, last):
        for lane in range(0, wide, lanes):
            x = (address(strips), at + c * wide + lane, r * channels * wide, channels * wide)
            y = (address(factor), to + (c - first) * wide + lane, edge * step, step)
            transformed(form, 1, x, y, (address(strips), 0), bounds)


@kernel("factor")
def factorize(strips, factor, channels, form, r, edge, first, last):
    """Transforms of pairs of a kernel's strips, by parts of channels, one behind the other."""
    number, depth, lanes = strips.shape
    memory, free = strips.reshape(-1), strips.dtype.type(np.inf)
    parts, size = -(-channels // CHANNELS), edge * edge * (2 * CHANNELS + 1) * lanes
    for pair in range(first, last):
        wide, at = min(number - 2 * pair, 2) * lanes, 2 * pair * depth * lanes
        for i in range(parts):
            begin, to = i * CHANNELS, (pair * parts + i) * size
            end = min(begin + CHANNELS, channels)
            factored(
                form, memory, at, factor, to, begin, end, channels, wide, r, edge, lanes,
                (-free, free),
            )  # fmt: skip


@part
def multiplied(seen, factor, at, products, zeros, tables, begin, end, edge, count, width, sizes):
    """Add products of some channels of tiles with two strips or one: (edge, edge, tiles, width).

    Tables are of rows in `seen`, of places in `products`, of columns, and of zeros.
    """
    apart, lanes, height = sizes
    rows, places, columns, same = tables
    free, some = factor.dtype.type(np.inf), (columns, begin, end - begin)
    for e in range(edge * edge):
        a, b = (
            (address(seen), e * (count * apart + lanes)),
            (factor, at + e * ((end - begin) * width + lanes)),
        )
        for i in range(0, count, height * 2 * lanes // width):
            target = (address(products), e * (count * width + lanes), places, i)
            start = target if begin else (zeros[0], zeros[1], same, 0)
            if width > lanes:
                tile(0, 2, a, (rows, i), some, b, start, target, (-free, free))
            else:
                tile(0, 1, a, (rows, i), some, b, start, target, (-free, free))


@part
def returned(
    form,
    products,
    out,
    to,
    steps,
    small,
    bias,
    box,
    m,
    edge,
    count,
    counts,
    width,
    lanes,
    left,
    bounds,
):
    """Write the results of a box's tiles for two strips or one, where `out` has places for them."""
    step, i = count * width + lanes, 0
    for n in range(box[0], box[1]):
        for row in range(box[4], box[5]):
            for column in range(box[6], box[7]):
                for lane in range(0, width, lanes):
                    x = (address(products), i * width + lane, edge * step, step)
                    y = (address(small), lane, m * width, width)
                    transformed(form, 2, x, y, (bias[0], bias[1] + lane), bounds)
                i += 1
                place = to + n * steps[0] + row * m * steps[2] + column * m * steps[3]
                for u in range(min(m, counts[1] - row * m)):
                    for v in range(min(m, counts[2] - column * m)):
                        own = place + u * steps[2] + v * steps[3]
                        put(small, (u * m + v) * width, out, own, min(left, width), lanes)


@kernel("out", "room", "seen", "factor", "products", "small")
def convolve(
    x, strips, bias, out, room, seen, factor, products, small, rows, places, columns, same, boxes,
    at, steps, out_at, out_steps, sizes, moves, lows, spans, counts, filters, count, form, edge,
    fresh, apart, height, least, most, first, last,
):  # fmt: skip
    """Write the results of boxes of tiles.

    Args:
        bias: for each filter in strips, and behind them zeros for two strips.
        seen: for transforms of what a box sees, whose places are `apart`.
        factor: the transforms of all strips; if `fresh`, memory for those of two.
        products: for those of a box and two strips; `small`, for the results of a tile.
        rows, places: offsets of tiles in `seen`, and in `products` for two strips and for one.
        counts: how many results there are on each axis.
        form, edge: see `FORMS`.
        height: the rows of a tile of sums with two vectors to a row.
        x, strips, out, room, columns, same, boxes, at, steps, out_at, out_steps, sizes, moves,
            lows, spans, filters, count, least, most: see `direct.convolve`.
    """
    m, channels, depth, lanes = moves[2], spans[3], strips.shape[1], strips.shape[2]
    memory, free = strips.reshape(-1), x.dtype.type(np.inf)
    nothing = (address(bias), bias.size - 2 * lanes)
    parts, size = -(-channels // CHANNELS), edge * edge * (2 * CHANNELS + 1) * lanes
    for index in range(first, last):
        box = boxes[index]
        copied(x, at, steps, sizes, box, moves, lows, room, spans)
        spectrum(form, seen, room, box, m, edge, spans, count, apart, lanes, (-free, free))
        for pair in range(box[8], box[9]):
            left, of = filters - pair * 2 * lanes, 2 * pair * depth * lanes
            width = 2 * lanes if left > lanes else lanes
            table = address(places) + (0 if left > lanes else places.strides[0])
            tables = (address(rows), table, address(columns), address(same))
            for i in range(parts):
                begin, to = i * CHANNELS, (pair * parts + i) * size
                end = min(begin + CHANNELS, channels)
                if fresh:
                    to = 0
                    factored(
                        form, memory, of, factor, to, begin, end, channels, width, edge - m + 1,
                        edge, lanes, (-free, free),
                    )  # fmt: skip
                multiplied(
                    seen, factor, to, products, nothing, tables, begin, end, edge, count, width,
                    (apart, lanes, height),
                )  # fmt: skip
            own = (address(bias), pair * 2 * lanes)
            returned(
                form, products, out, out_at + pair * 2 * lanes, out_steps, small, own, box, m, edge,
                count, counts, width, lanes, left, (least, most),
            )  # fmt: skip


@part
def spectrum_of(form, given, room, to, box, m, edge, spans, count, width, lanes, bounds):
    """Transforms of what g has for the tiles of a box, for two strips or one."""
    channels, step, i = spans[3], count * width + lanes, 0
    for n in range(box[1] - box[0]):
        for row in range(box[5] - box[4]):
            for column in range(box[7] - box[6]):
                at = ((n * spans[1] + row * m) * spans[2] + column * m) * channels + to
                for lane in range(0, width, lanes):
                    x = (address(room), at + lane, spans[2] * channels, channels)
                    y = (address(given), i * width + lane, edge * step, step)
                    turned(form, 3, x, y, bounds)
                i += 1


@part
def restored(form, total, at, strips, to, channels, width, edge, r, lanes, bounds):
    """The gradient by two strips or one from that by their transform."""
    step = channels * width + lanes
    for c in range(channels):
        for lane in range(0, width, lanes):
            i = c * width + lane
            x = (address(total), at + i, edge * step, step)
            y = (address(strips), to + i, r * channels * width, channels * width)
            turned(form, 4, x, y, bounds)


@kernel("strips")
def restore(total, strips, channels, filters, form, edge, r, lanes, first, last):
    """The gradient by a kernel's strips from that by their transforms."""
    size, free = edge * edge * (2 * channels + 1) * lanes, total.dtype.type(np.inf)
    for pair in range(first, last):
        width = min(-(-filters // lanes) - 2 * pair, 2) * lanes
        at, to = pair * size, 2 * pair * r * r * channels * lanes
        restored(form, total, at, strips, to, channels, width, edge, r, lanes, (-free, free))


@kernel("strips", "total", "room", "seen", "given")
def differentiate(
    x, g, strips, total, room, seen, given, rows, columns, spots, boxes, at, steps, g_at, g_steps,
    sizes, counts, moves, lows, spans, g_spans, filters, count, form, edge, whole, apart, height,
    lanes, first, last,
):  # fmt: skip
    """Add what boxes give to the gradient by transforms of the kernel.

    Args:
        strips: for the gradient by the kernel, written if `whole`: a box has all tiles.
        total: the gradient by transforms of all strips; if `whole`, memory for those of two.
        given: for transforms of what g has for two strips.
        spots: offsets in `total` of its rows, for two strips and for one.
        spans, g_spans: how much a room has of each axis and of channels, for x and for g.
        room, seen, rows, columns, boxes, at, steps, g_at, g_steps, sizes, counts, moves, lows,
            filters, count, form, edge, apart, height: see `convolve`.
    """
    m, channels, free = moves[2], spans[3], x.dtype.type(np.inf)
    r, size, bounds = edge - m + 1, edge * edge * (2 * channels + 1) * lanes, (-free, free)
    for index in range(first, last):
        box = boxes[index]
        copied(x, at, steps, sizes, box, moves, lows, room, spans)
        spectrum(form, seen, room, box, m, edge, spans, count, apart, lanes, bounds)
        copied(g, g_at, g_steps, counts, box, moves, (0, 0, 0), room, g_spans)
        for pair in range(box[8], box[9]):
            left, to = filters - pair * 2 * lanes, pair * size
            width, table = 2 * lanes, address(spots)
            if left <= lanes:
                width, table = lanes, address(spots) + spots.strides[0]
            if whole:
                to = 0
                total[:size] = 0
            spectrum_of(
                form, given, room, pair * 2 * lanes, box, m, edge, g_spans, count, width, lanes,
                bounds,
            )  # fmt: skip
            some = (address(rows), 0, count)
            for e in range(edge * edge):
                a = (address(seen), e * (count * apart + lanes))
                b = (given, e * (count * width + lanes))
                for c in range(0, channels, height * 2 * lanes // width):
                    target = (address(total), to + e * (channels * width + lanes), table, c)
                    if width > lanes:
                        tile(0, 2, a, (address(columns), c), some, b, target, target, bounds)
                    else:
                        tile(0, 1, a, (address(columns), c), some, b, target, target, bounds)
            if whole:
                own = 2 * pair * r * r * channels * lanes
                restored(form, total, 0, strips, own, channels, width, edge, r, lanes, bounds)
