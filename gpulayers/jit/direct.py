"""Convolution and the gradient of its kernel by tiles of sums that stay in registers.

Kernels lie in strips: for as many filters as a vector has numbers, all that belongs to them.  Boxes
are parts of the places of windows, (from, to) on each of four axes; what they see is read in x, or,
with margins around it, in a room into which it is copied.  Steps say how many elements one is after
the other on an axis.
"""

from __future__ import annotations

import numpy as np

from . import kernel, part
from .tiles import address, move, tile

DEEP = 384  # Products that are added up one after the other, so that rounding errors stay small.


@part
def pack_pair(flat, memory, to, windows, filters, channels, at, steps, group, own, lanes):
    """Write a strip of a group and the one that follows it to memory, as one that is twice as wide.

    Behind a group's last filter are zeros.
    """
    wide = min(-(-filters // lanes) - own, 2) * lanes
    start, there = at + group * steps[5] + own * lanes * steps[4], min(wide, filters - own * lanes)
    whole = there // lanes * lanes if steps[4] == 1 else 0
    x, y, none = address(flat), address(memory), flat.dtype.type(0)
    for u in range(windows[0]):
        for v in range(windows[1]):
            for w in range(windows[2]):
                place = start + u * steps[0] + v * steps[1] + w * steps[2]
                for begin in range(0, wide, lanes):  # Few rows at a time, which stay in the cache.
                    for c in range(channels):
                        row, line = place + c * steps[3], to + c * wide
                        if begin < whole:
                            move(none, (x, row + begin), (y, line + begin))
                            continue
                        end = max(min(begin + lanes, there), begin)
                        for lane in range(begin, end):
                            memory[line + lane] = flat[row + lane * steps[4]]
                        for lane in range(end, begin + lanes):
                            memory[line + lane] = none
                to += channels * wide


@kernel("strips")
def pack(flat, strips, windows, filters, at, steps, first, last):
    """Strips of a kernel (*windows, depth, filters): (groups * strips of a group, depth * lanes).

    Steps are those of the kernel's axes and of a group; see `pack_pair`.
    """
    depth, lanes = strips.shape[1], strips.shape[2]
    number = -(-filters // lanes)
    pairs, memory = (number + 1) // 2, strips.reshape(-1)
    channels = depth // (windows[0] * windows[1] * windows[2])
    for index in range(first, last):
        group, own = index // pairs, index % pairs * 2
        to = (group * number + own) * depth * lanes
        pack_pair(flat, memory, to, windows, filters, channels, at, steps, group, own, lanes)


@part
def copied(x, at, steps, sizes, box, moves, lows, room, spans):
    """Copy what windows of a box see to a room of (images, *spans), zeros outside x.

    Channels stand `repeat` times beside themselves, or each `apart`-th of them beside the next
    such: the last two of `spans`.
    """
    channels, repeat, apart = spans[3], spans[4], spans[5]
    width, i = channels * repeat, 0
    left = box[6] * moves[2] - lows[2]
    begin = min(max(-left, 0), spans[2])
    end = max(min(sizes[2] - left, spans[2]), begin)
    for n in range(box[0], box[1]):
        for a in range(spans[0]):
            deep = box[2] * moves[0] - lows[0] + a
            for b in range(spans[1]):
                high = box[4] * moves[1] - lows[1] + b
                line = room[i : i + spans[2] * width]
                i += line.size
                if not (0 <= deep < sizes[0] and 0 <= high < sizes[1]):
                    line[:] = 0
                    continue
                line[: begin * width] = 0
                line[end * width :] = 0
                start = at + n * steps[0] + deep * steps[1] + high * steps[2]
                row = x[start + (left + begin) * steps[3] :]
                inside = line[begin * width : end * width]
                if steps[3] == width and apart == 1:
                    for j in range(inside.size):
                        inside[j] = row[j]
                    continue
                for k in range(end - begin):
                    own, one = inside[k * width :], row[k * steps[3] :]
                    if repeat > 1:
                        for c in range(channels):
                            for r in range(repeat):
                                own[c * repeat + r] = one[c]
                    else:
                        for r in range(apart):
                            for c in range(channels // apart):
                                own[r * (channels // apart) + c] = one[c * apart + r]


@part
def put(source, at, target, to, count, lanes):
    """Copy numbers by vectors, of which the last may overlap the one before."""
    if count < lanes:
        for i in range(count):
            target[to + i] = source[at + i]
        return
    x, y, none = address(source), address(target), source.dtype.type(0)
    for i in range(0, count - lanes + 1, lanes):
        move(none, (x, at + i), (y, to + i))
    if count % lanes:
        move(none, (x, at + count - lanes), (y, to + count - lanes))


@part
def start_of(box, at, steps):
    """Where the first place of a box lies."""
    return at + box[0] * steps[0] + box[2] * steps[1] + box[4] * steps[2] + box[6] * steps[3]


@part
def seen_by(box, x, at, row_steps, room, steps, sizes, moves, lows, spans):
    """What a box sees, and where it begins there: x, or a copy in the room."""
    if room is None:
        return address(x), start_of(box, at, row_steps)
    copied(x, at, steps, sizes, box, moves, lows, room, spans)
    return address(room), 0


@kernel("out", "room", "edge")
def convolve(
    x, strips, bias, out, room, edge, edges, same, rows, places, columns, boxes, at, steps,
    row_steps, out_at, out_steps, sizes, moves, lows, spans, groups, filters, count, least, most,
    first, last,
):  # fmt: skip
    """Write the results of boxes: sums and bias, within bounds.

    Args:
        x, out: flat, from `at` and `out_at` with steps of images and three axes.
        strips, bias: see `pack`.
        room: for what a box sees, or None if it is read in x.
        edge, edges: a tile, and its rows' offsets, for what `out` has no place for.
        same: zeros, offsets of the bias for each row of a tile.
        rows, places: the offsets of a box's `count` places in what is seen, and in `out`.
        columns: the offsets of what a window sees.
        boxes: (number, 10), the last two the pairs of strips.
        row_steps: of places in what is seen.
        sizes, moves, lows: of x, of windows, and of margins in front, on three axes.
        spans: how much a room has of each axis, and of channels; see `copied`.
        filters: of a group.
    """
    depth, lanes = strips.shape[1], strips.shape[2]
    number, channels = strips.shape[0] // groups, spans[3] // groups
    pairs, weights = (number + 1) // 2, strips.reshape(-1)
    free = x.dtype.type(np.inf)
    for index in range(first, last):
        box = boxes[index]
        seen, origin = seen_by(box, x, at, row_steps, room, steps, sizes, moves, lows, spans)
        begin = start_of(box, out_at, out_steps)
        for pair in range(box[8], box[9]):
            group, strip = pair // pairs, pair % pairs * 2
            own, left = group * number + strip, filters - strip * lanes
            a, to = (seen, origin + group * channels), begin + group * filters + strip * lanes
            wide = 2 * lanes if left > lanes else lanes
            whole = left >= 2 * lanes or left == lanes
            height = edges.size * lanes // wide
            for i in range(0, count, height):
                start = (address(bias), own * lanes, address(same), 0)
                target = (address(edge), 0, address(edges), 0)
                if whole:
                    target = (address(out), to, address(places), i)
                for k in range(0, depth, DEEP):
                    some, bounds = (address(columns), k, min(DEEP, depth - k)), (-free, free)
                    if k + DEEP >= depth:
                        bounds = (least, most)
                    b = (weights, own * depth * lanes + k * wide)
                    if left > lanes:
                        tile(0, 2, a, (address(rows), i), some, b, start, target, bounds)
                    else:
                        tile(0, 1, a, (address(rows), i), some, b, start, target, bounds)
                    start = target
                if not whole:
                    for j in range(min(height, count - i)):
                        if left > lanes:
                            put(edge, edges[j], out, to + places[i + j], left, lanes)
                        else:
                            for f in range(left):
                                out[to + places[i + j] + f] = edge[edges[j] + f]


@kernel("total", "room", "given")
def differentiate(
    x, g, total, room, given, rows, places, columns, spots, boxes, at, steps, row_steps, g_at,
    g_steps, sizes, moves, lows, spans, groups, filters, count, height, lanes, first, last,
):  # fmt: skip
    """Add what boxes give to the gradient by the kernel, in strips.

    Args:
        x, g: flat, see `convolve`.
        given: for what g has at a box's places, in strips.
        spots: the offsets of a strip's rows, for one and for two strips.
        height: the rows of a tile with two vectors to a row.
    """
    number, channels = -(-filters // lanes), spans[3] // groups
    pairs, depth = (number + 1) // 2, total.size // (groups * number * lanes)
    free = x.dtype.type(np.inf)
    for index in range(first, last):
        box = boxes[index]
        seen, origin = seen_by(box, x, at, row_steps, room, steps, sizes, moves, lows, spans)
        for pair in range(box[8], box[9]):
            group, strip = pair // pairs, pair % pairs * 2
            own, left = group * number + strip, filters - strip * lanes
            wide, there = min(number - strip, 2), min(left, 2 * lanes)
            begin = start_of(box, g_at, g_steps) + group * filters + strip * lanes
            for i in range(count):
                row, to = g[begin + places[i] :], given[i * wide * lanes :]
                for f in range(there):
                    to[f] = row[f]
                for f in range(there, wide * lanes):
                    to[f] = 0
            a, to = (seen, origin + group * channels), own * depth * lanes
            for i in range(0, count, DEEP):
                some = (address(rows), i, min(DEEP, count - i))
                b, table = (given, i * wide * lanes), address(spots) + (wide - 1) * spots.strides[0]
                for d in range(0, depth, height * 2 // wide):
                    target = (address(total), to, table, d)
                    if wide == 2:
                        tile(0, 2, a, (address(columns), d), some, b, target, target, (-free, free))
                    else:
                        tile(0, 1, a, (address(columns), d), some, b, target, target, (-free, free))
