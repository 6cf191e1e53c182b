"""Windows over rows of places: one row of results after another, all channels of a place at once.

Arrays are (N, deep, high, across, C).  `moves` are three rows: sizes of windows, strides, and the
margins in front, each for three axes.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from . import kernel, part


@part
def bounds(place, move, low, window, size):
    """Where a window begins, and from which of its elements to which it sees any."""
    start = place * move - low
    return start, max(-start, 0), min(window, size - start)


@part
def givers(element, move, low, window, count):
    """The windows that see an element: from the first to before the last."""
    element += low
    return max((element - window + move) // move, 0), min(element // move + 1, count)


@part
def next_givers(first, last, place, move, window, count):
    """The same for an element at this place behind the margin, from those of the one before it."""
    while last < count and last * move <= place:
        last += 1
    while first < last and first * move + window <= place:
        first += 1
    return first, last


@cache
def largest(windows: tuple[int, int, int] | None):
    """The kernel for windows of a size that it knows, which takes all of one at a time, or of any.

    It finds the largest of each window, and its position in that of the first that is as large.
    """
    deep, high, across = windows or (1, 1, 1)
    known = windows is not None

    @kernel("y", "positions")
    def found(x, y, positions, moves, first, last):
        _, planes, rows, columns, channels = x.shape
        _, _, counts, along, _ = y.shape
        for row in range(first, last):
            i, h = divmod(row, counts)
            n, d = divmod(i, y.shape[1])
            z, z0, z1 = bounds(d, moves[1, 0], moves[2, 0], moves[0, 0], planes)
            u, u0, u1 = bounds(h, moves[1, 1], moves[2, 1], moves[0, 1], rows)
            inside = known and z0 == 0 and z1 == deep and u0 == 0 and u1 == high
            for j in range(along):
                v, v0, v1 = bounds(j, moves[1, 2], moves[2, 2], moves[0, 2], columns)
                if inside and v0 == 0 and v1 == across:
                    for c in range(channels):
                        best, place = x[n, z, u, v, c], np.int32(0)
                        for a in range(deep):
                            for b in range(high):
                                for e in range(across):
                                    value = x[n, z + a, u + b, v + e, c]
                                    if value > best or value != value:
                                        best = value
                                        place = np.int32((a * high + b) * across + e)
                        y[n, d, h, j, c] = best
                        if positions is not None:
                            positions[n, d, h, j, c] = place
                    continue
                for c in range(channels):
                    y[n, d, h, j, c] = -np.inf
                    if positions is not None:
                        positions[n, d, h, j, c] = 0
                for a in range(z0, z1):
                    for b in range(u0, u1):
                        for e in range(v0, v1):
                            place = np.int32((a * moves[0, 1] + b) * moves[0, 2] + e)
                            for c in range(channels):
                                value, best = x[n, z + a, u + b, v + e, c], y[n, d, h, j, c]
                                better = value > best or value != value
                                y[n, d, h, j, c] = value if better else best
                                if positions is not None:
                                    at = np.int32(positions[n, d, h, j, c])
                                    positions[n, d, h, j, c] = place if better else at

    return found


@cache
def means(windows: tuple[int, int, int] | None):
    """The kernel that adds up each window and multiplies by its share: one factor for each axis.

    For windows of a size that it knows, or of any: see `largest`.
    """
    deep, high, across = windows or (1, 1, 1)
    known = windows is not None

    @kernel("y")
    def found(x, y, by_plane, by_row, by_column, moves, first, last):
        _, planes, rows, columns, channels = x.shape
        _, depth, counts, along, _ = y.shape
        for row in range(first, last):
            i, h = divmod(row, counts)
            n, d = divmod(i, depth)
            z, z0, z1 = bounds(d, moves[1, 0], moves[2, 0], moves[0, 0], planes)
            u, u0, u1 = bounds(h, moves[1, 1], moves[2, 1], moves[0, 1], rows)
            inside = known and z0 == 0 and z1 == deep and u0 == 0 and u1 == high
            for j in range(along):
                v, v0, v1 = bounds(j, moves[1, 2], moves[2, 2], moves[0, 2], columns)
                share = by_plane[d] * by_row[h] * by_column[j]
                if inside and v0 == 0 and v1 == across:
                    for c in range(channels):
                        total = x.dtype.type(0)
                        for a in range(deep):
                            for b in range(high):
                                for e in range(across):
                                    total += x[n, z + a, u + b, v + e, c]
                        y[n, d, h, j, c] = total * share
                    continue
                for c in range(channels):
                    y[n, d, h, j, c] = 0
                for a in range(z + z0, z + z1):
                    for b in range(u + u0, u + u1):
                        for e in range(v + v0, v + v1):
                            for c in range(channels):
                                y[n, d, h, j, c] += x[n, a, b, e, c]
                for c in range(channels):
                    y[n, d, h, j, c] *= share

    return found


@cache
def tiled_means(high: int, across: int):
    """The kernel for windows that lie side by side and cover all: twice as fast as that of any.

    x is (rows of windows, high, windows in a row, across, C) there.
    """

    @kernel("y")
    def found(x, y, share, first, last):
        for row in range(first, last):
            for j in range(y.shape[1]):
                for c in range(y.shape[2]):
                    total = x.dtype.type(0)
                    for b in range(high):
                        for e in range(across):
                            total += x[row, b, j, e, c]
                    y[row, j, c] = total * share

    return found


@kernel("dx")
def to_positions(g, positions, dx, moves, first, last):
    """The gradient of `largest`: each g goes to where its window's largest stands."""
    _, planes, rows, columns, channels = dx.shape
    _, depth, counts, along, _ = g.shape
    nothing = g.dtype.type(0)
    for row in range(first, last):
        i, h = divmod(row, rows)
        n, d = divmod(i, planes)
        z0, z1 = givers(d, moves[1, 0], moves[2, 0], moves[0, 0], depth)
        u0, u1 = givers(h, moves[1, 1], moves[2, 1], moves[0, 1], counts)
        v0 = v1 = 0
        for j in range(columns):
            v0, v1 = next_givers(v0, v1, j + moves[2, 2], moves[1, 2], moves[0, 2], along)
            fresh = True
            for z in range(z0, z1):
                a = d + moves[2, 0] - z * moves[1, 0]
                for u in range(u0, u1):
                    b = h + moves[2, 1] - u * moves[1, 1]
                    for v in range(v0, v1):
                        e = j + moves[2, 2] - v * moves[1, 2]
                        place = np.int32((a * moves[0, 1] + b) * moves[0, 2] + e)
                        for c in range(channels):
                            more = g[n, z, u, v, c]
                            if positions[n, z, u, v, c] != place:
                                more = nothing
                            dx[n, d, h, j, c] = more if fresh else dx[n, d, h, j, c] + more
                        fresh = False
            if fresh:
                dx[n, d, h, j] = 0


@kernel("dx")
def spread(g, dx, by_plane, by_row, by_column, moves, first, last):
    """The gradient of `means`: each g times its share, to all that its window sees."""
    _, planes, rows, columns, channels = dx.shape
    _, depth, counts, along, _ = g.shape
    for row in range(first, last):
        i, h = divmod(row, rows)
        n, d = divmod(i, planes)
        z0, z1 = givers(d, moves[1, 0], moves[2, 0], moves[0, 0], depth)
        u0, u1 = givers(h, moves[1, 1], moves[2, 1], moves[0, 1], counts)
        v0 = v1 = 0
        for j in range(columns):
            v0, v1 = next_givers(v0, v1, j + moves[2, 2], moves[1, 2], moves[0, 2], along)
            fresh = True
            for z in range(z0, z1):
                for u in range(u0, u1):
                    for v in range(v0, v1):
                        share = by_plane[z] * by_row[u] * by_column[v]
                        for c in range(channels):
                            more = g[n, z, u, v, c] * share
                            dx[n, d, h, j, c] = more if fresh else dx[n, d, h, j, c] + more
                        fresh = False
            if fresh:
                dx[n, d, h, j] = 0
