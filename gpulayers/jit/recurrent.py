"""Products of the steps of sequences, in registers: what LSTM, GRU and SimpleRNN share.

Matrices lie in strips, (number, depth, columns): each has as many columns as four vectors have
numbers, zeros behind the last one.  Rows are found by tables of offsets.

Loops over gates begin at 0, or LLVM would not make vectors of them.
"""

from __future__ import annotations

import numpy as np

from . import kernel, part
from .tiles import address, tile

DEEP = 384  # Products that are added up one after the other, so that rounding errors stay small.
NARROW = 16  # Columns that are turned at a time.
# Tables of where rows begin, one behind the other: of x and of gates, for the sequences of one step
# after the other; for each sequence, of gates, of what has U numbers, and of what has as many as
# gates have; then 0, 1, 2 and so on, and zeros.
SEEN, EVERY, PLACES, LINES, WIDE, COLUMNS, SAME = range(7)


@kernel("strips")
def turn(matrix, strips, first, last):
    """Some strips of a matrix turned: its rows become columns."""
    rows, width = len(matrix), strips.shape[2]
    for s in range(first, last):
        for begin in range(0, width, NARROW):
            row = s * width + begin
            if row + NARROW <= rows:
                for k in range(matrix.shape[1]):
                    for j in range(NARROW):
                        strips[s, k, begin + j] = matrix[row + j, k]
                continue
            for k in range(matrix.shape[1]):
                for j in range(NARROW):
                    strips[s, k, begin + j] = matrix[row + j, k] if row + j < rows else 0


@part
def table(tables, which):
    """Where one of the tables begins."""
    return address(tables) + which * tables.strides[0]


@part
def multiply(x, lines, columns, strips, start, z, places, count, last, height, odd):
    """Rows of z become those of `start`, plus those of x times the matrix in strips.

    Args:
        x, z: an address, and where to begin.
        lines, places: the addresses of tables: where the rows of x and of z begin.
        columns: that of a table of 0, 1, 2 and so on.
        start: an address, where to begin, and the address of its rows' table.
        count: the number of rows.
        last: where the last tile begins at most: either it sees rows again, which `start` allows if
            it is not z, or the tables have the last row again and again.
        height: that of a tile.
        odd: whether to go from the last strip to the first, which is in the cache from the step
            before: every other step does.
    """
    depth, width = strips.shape[1], strips.shape[2]
    weights, free = strips.reshape(-1), strips.dtype.type(np.inf)
    for strip in range(len(strips)):
        s = len(strips) - 1 - strip if odd else strip
        for first in range(0, count, height):
            i = min(first, last)
            begin = (start[0], start[1] + s * width, start[2], i)
            target = (z[0], z[1] + s * width, places, i)
            for k in range(0, depth, DEEP):
                some, b = (columns, k, min(DEEP, depth - k)), (weights, (s * depth + k) * width)
                if count - i > 2:
                    tile(0, 4, x, (lines, i), some, b, begin, target, (-free, free))
                else:  # Weights come no faster for one row than for two.
                    tile(2, 4, x, (lines, i), some, b, begin, target, (-free, free))
                begin = target


@part
def project(x, of_x, bias, gates, tables, start, stop, some, number, count, height):
    """Write what gates have of the inputs of a part of the steps from `start` to `stop`.

    Args:
        some, number: which part, and of how many.

    Gives where the part begins and ends, and where it begins in `gates`.
    """
    span = stop - start
    begin, end = start + span * some // number, start + span * (some + 1) // number
    first = begin - start if gates.shape[1] >= span else 0
    rows = (end - begin) * count
    multiply(
        (address(x), begin * x.shape[2]), table(tables, SEEN), table(tables, COLUMNS), of_x,
        (address(bias), 0, table(tables, SAME)), (address(gates), first * gates.shape[2]),
        table(tables, EVERY), rows, max(rows - height, 0), height, False,
    )  # fmt: skip
    return begin, end, first


@part
def add_states(h, weights, gates, t, column, tables, count, height):
    """Add states times a matrix to the gates of a step, from some column on."""
    places, z = table(tables, PLACES), (address(gates), t * gates.shape[2] + column)
    multiply(
        (address(h), 0), table(tables, LINES), table(tables, COLUMNS), weights,
        (z[0], z[1], places), z, places, count, count, height, t % 2 > 0,
    )  # fmt: skip


@part
def turn_back(dz, t, column, back, kept, dh, tables, count, height):
    """dh = kept + the gradients of a step's gates, from some column on, times a matrix."""
    lines = table(tables, WIDE)
    multiply(
        (address(dz), t * dz.shape[2] + column), table(tables, PLACES), table(tables, COLUMNS),
        back, (address(kept), 0, lines), (address(dh), 0), lines, count, count, height, t % 2 > 0,
    )  # fmt: skip
