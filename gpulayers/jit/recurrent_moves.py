"""SimpleRNN, LSTM and GRU as moves of a program: a few sequences, from step to step.

What states are multiplied by is read at each step, and is all that takes time: it is copied into
strips first, of four vectors to a row, for what is read from its beginning to its end comes from a
core's second cache half as fast again as what is read by columns, where it lies.
"""

from __future__ import annotations

import numpy as np

from . import part
from .elementary import F, sigmoid, tanh
from .program_table import (
    COLUMNS,
    COUNT,
    DEPTH,
    FIRST,
    FROM,
    GRU,
    GRU_BEFORE,
    LANES,
    LSTM,
    PLACES,
    ROOM,
    ROWS,
    SECOND,
    SIMPLE,
    STEP,
    TO,
    WIDTH,
)
from .recurrent import DEEP
from .tiles import floats, integers, placed, tile


@part
def strips(memory, move, edges):
    """Copy a matrix into strips; there are zeros already behind its last column."""
    matrix, depth, wide = floats(move[FIRST]), move[DEPTH], 4 * edges[LANES]
    for k in range(depth):
        for s in range(0, move[WIDTH], wide):
            at, to = k * move[STEP] + s, move[TO] + s * depth + k * wide
            for j in range(min(wide, move[WIDTH] - s)):
                memory[to + j] = matrix[at + j]


@part
def times(x, lines, columns, depth, weights, wide, width, start, z, places, count):
    """z = start + x times a matrix in strips.

    Args:
        x, weights, z: an address, and where to begin.
        lines, places: the address of a table of rows in x and in z, and which is the first.
        columns: that of a table of 0, 1, 2 and so on.
        depth, width: rows and columns of the matrix.
        wide: the columns of a strip.
        start: an address, where to begin, the address of a table of its rows, and the first one.
        count: how many rows there are.
    """
    free = F(np.inf)
    for strip in range(0, width, wide):
        for i in range(0, count, 2):
            begin = (start[0], start[1] + strip, start[2], start[3] + i)
            target = (z[0], z[1] + strip, places[0], places[1] + i)
            for k in range(0, depth, DEEP):
                some, rows = (columns, k, min(DEEP, depth - k)), (lines[0], lines[1] + i)
                b = (weights[0], weights[1] + strip * depth + k * wide)
                if count - i > 1:
                    tile(2, 4, x, rows, some, b, begin, target, (-free, free))
                else:
                    tile(1, 4, x, rows, some, b, begin, target, (-free, free))
                begin = target


@part
def steps(memory, move, edges):
    """Take sequences through some steps.

    COUNT, DEPTH, WIDTH: how many sequences, steps and units there are.
    ROWS, PLACES: of projected inputs and of states, step by step; the first states are those before
        the first of these steps.
    FIRST: where the strips begin in memory.
    SECOND: the address of a bias of what states are multiplied by, of GRU; of GRU_BEFORE, where the
        strips of the last gate begin.
    STEP: how many steps were before these.
    ROOM: for carries, or for r times states; for a bias; and behind them for what gates are
        computed from, and for gates, each with as many numbers as fill vectors (`full`).
    COLUMNS: tables of columns, of rows where there is room for carries and for gates, and of zeros.
    """
    what, count, units, wide = move[0], move[COUNT], move[WIDTH], 4 * edges[LANES]
    gates = 4 if what == LSTM else 3 if what in (GRU, GRU_BEFORE) else 1
    full, width = (units + edges[LANES] - 1) // edges[LANES] * edges[LANES], gates * units
    here, other = placed(memory), move[ROOM]
    bias = other + count * full
    room = bias + width + wide
    columns = move[COLUMNS]
    of_units, of_gates = (columns, units), (columns, units + count)
    others, own = integers(columns + 8 * units), integers(columns + 8 * (units + count))
    rows, places = integers(move[ROWS]), integers(move[PLACES])
    if what == LSTM and move[STEP] == 0:
        for j in range(count * full):
            memory[other + j] = 0
    if what == GRU:
        added = floats(move[SECOND])
        for j in range(width):
            memory[bias + j] = added[j]
    some = 2 * units if what == GRU_BEFORE else width
    for t in range(move[DEPTH]):
        begin = (here, move[FROM], move[ROWS], t * count)
        if what == GRU:
            begin = (here, bias, columns, units + 2 * count)
        times(
            (here, move[TO]), (move[PLACES], t * count), columns, units, (here, move[FIRST]), wide,
            some, begin, (here, room), of_gates, count,
        )  # fmt: skip
        if what == GRU_BEFORE:
            for n in range(count):
                v, h = room + own[n], move[TO] + places[t * count + n]
                reset(memory, v, v + width + wide, h, other + others[n], units, full)
            begin = (here, move[FROM] + some, move[ROWS], t * count)
            times(
                (here, other), of_units, columns, units, (here, move[SECOND]), wide,
                units, begin, (here, room + some), of_gates, count,
            )  # fmt: skip
        for n in range(count):
            z, v = move[FROM] + rows[t * count + n], room + own[n]
            h, to = move[TO] + places[t * count + n], move[TO] + places[(t + 1) * count + n]
            gate = v + width + wide
            if what == LSTM:
                state = carried(memory, v, gate, other + others[n], units, full)
            elif what == SIMPLE:
                tanhs(memory, v, gate, full)
                state = gate
            else:
                if what == GRU:
                    reset_after(memory, z, v, gate, units, full)
                state = blended(memory, v + 2 * units, gate, h, full)
            for j in range(units):
                memory[to + j] = memory[state + j]


# Of what follows, all that is written lies elsewhere than what is read: else LLVM's loops go number
# by number, as they do with what is left when vectors are full.


@part
def sigmoids(memory, at, to, count):
    """The sigmoid of each number."""
    for j in range(count):
        memory[to + j] = sigmoid(memory[at + j])


@part
def tanhs(memory, at, to, count):
    """The tanh of each number."""
    for j in range(count):
        memory[to + j] = tanh(memory[at + j])


@part
def carried(memory, v, gate, c, units, full):
    """The carry of what gates i, f, n, o are computed from; where the state is."""
    f, n, o = gate + full, gate + 2 * full, gate + 3 * full
    for k in range(4):
        if k != 2:
            sigmoids(memory, v + k * units, gate + k * full, full)
    tanhs(memory, v + 2 * units, n, full)
    for j in range(full):
        memory[c + j] = memory[f + j] * memory[c + j] + memory[gate + j] * memory[n + j]
    tanhs(memory, c, n, full)
    for j in range(full):
        memory[n + j] *= memory[o + j]
    return n


@part
def reset_after(memory, z, v, gate, units, full):
    """Gates z and r, and what n is computed from, from what inputs (z) and states (v) give."""
    r, n = gate + full, 2 * units
    for j in range(n):
        memory[v + j] += memory[z + j]
    for k in range(2):
        sigmoids(memory, v + k * units, gate + k * full, full)
    for j in range(full):
        memory[v + n + j] = memory[z + n + j] + memory[r + j] * memory[v + n + j]


@part
def reset(memory, v, gate, h, to, units, full):
    """Gates z and r from what they are computed from, and r times the state."""
    for k in range(2):
        sigmoids(memory, v + k * units, gate + k * full, full)
    for j in range(full):
        memory[to + j] = memory[gate + full + j] * memory[h + j]


@part
def blended(memory, v, gate, h, full):
    """Where the state now is, of what n is computed from, z, and the state before."""
    n = gate + 2 * full
    tanhs(memory, v, n, full)
    for j in range(full):
        memory[n + j] += memory[gate + j] * (memory[h + j] - memory[n + j])
    return n
