"""Convolution of each channel by itself, for as many channels at a time as a vector has numbers.

A strip is what belongs to these; the last one ends with the last channel, and shares some with the
one before.  Boxes, tables and steps are as in `direct`.
"""

from __future__ import annotations

import numpy as np

from . import kernel
from .direct import DEEP, seen_by, start_of
from .tiles import address, tile


@kernel("out", "room", "edge")
def convolve(
    x, strips, bias, out, room, edge, edges, same, rows, places, columns, begins, boxes, at, steps,
    row_steps, out_at, out_steps, sizes, moves, lows, spans, filters, count, least, most, first,
    last,
):  # fmt: skip
    """Write the results of boxes: sums and bias, within bounds.

    Args:
        strips: (number, products of a sum, lanes), and `begins`, with which filter each begins.
        bias: (number, lanes).
        boxes: (number, 10), the last two the strips.
        filters: of all groups.
        x, out, room, edge, edges, same, rows, places, columns, at, steps, row_steps, out_at,
            out_steps, sizes, moves, lows, spans, count, least, most: see `direct.convolve`.
    """
    depth, lanes = strips.shape[1], strips.shape[2]
    weights = strips.reshape(-1)
    for index in range(first, last):
        box = boxes[index]
        seen, origin = seen_by(box, x, at, row_steps, room, steps, sizes, moves, lows, spans)
        to = start_of(box, out_at, out_steps)
        for strip in range(box[8], box[9]):
            begin = begins[strip]
            a, b = (seen, origin + begin), (weights, strip * depth * lanes)
            some, start = (address(columns), 0, depth), (address(bias), strip * lanes)
            for i in range(0, count, edges.size):
                target = (address(edge), 0, address(edges), 0)
                if filters >= lanes:
                    target = (address(out), to + begin, address(places), i)
                offsets = (start[0], start[1], address(same), 0)
                tile(0, 0, a, (address(rows), i), some, b, offsets, target, (least, most))
                if filters < lanes:
                    for j in range(min(edges.size, count - i)):
                        for f in range(filters):
                            out[to + places[i + j] + f] = edge[edges[j] + f]


@kernel("total", "room", "given")
def differentiate(
    x, g, total, room, given, rows, places, columns, spots, begins, boxes, at, steps, row_steps,
    g_at, g_steps, sizes, moves, lows, spans, filters, count, first, last,
):  # fmt: skip
    """Add what boxes give to the gradient by the kernel, in strips.

    Args:
        total: (number, products of a sum, lanes), and `spots`, the offsets of a strip's rows.
        given: for what g has at a box's places, for one strip.
        x, g, room, rows, places, columns, begins, boxes, at, steps, row_steps, g_at, g_steps,
            sizes, moves, lows, spans, filters, count: see `convolve` and `direct.differentiate`.
    """
    depth, lanes = total.shape[1], total.shape[2]
    there, free = min(filters, lanes), x.dtype.type(np.inf)
    for index in range(first, last):
        box = boxes[index]
        seen, origin = seen_by(box, x, at, row_steps, room, steps, sizes, moves, lows, spans)
        for strip in range(box[8], box[9]):
            begin = start_of(box, g_at, g_steps) + begins[strip]
            for i in range(count):
                row, to = g[begin + places[i] :], given[i * lanes :]
                for f in range(there):
                    to[f] = row[f]
                for f in range(there, lanes):
                    to[f] = 0
            a, own = (seen, origin + begins[strip]), (address(total), strip * depth * lanes)
            for i in range(0, count, DEEP):
                some, b = (address(rows), i, min(DEEP, count - i)), (given, i * lanes)
                for d in range(0, depth, 9):
                    target = (own[0], own[1], address(spots), d)
                    tile(9, 0, a, (address(columns), d), some, b, target, target, (-free, free))
