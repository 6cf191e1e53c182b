"""A small network as a program: all that it does with a few samples, in one call.

Between two of NumPy's functions Python takes longer than most of them take on small arrays.  A
program is a table of moves, one a row; all numbers on the way lie in one memory.  Each move has
places, with tables that say how far behind its beginning each of them lies, in what it reads and in
what it writes: so margins are where the one before did not write.
"""

from __future__ import annotations

import numpy as np

from . import kernel, part
from .chains import CHAINS, CHANGED, DONE, SCRATCH, part_of, stop, turn
from .direct import DEEP
from .elementary import HALF, ONE, TWO, F, exp, normal, sigmoid, tanh
from .program_table import (
    CHANNELS,
    COLUMNS,
    COPY,
    COUNT,
    DEPTH,
    ELU,
    ENTER,
    FEW_ROWS,
    FIELDS,
    FIRST,
    FROM,
    GELU,
    LANES,
    LARGEST,
    LEAKY,
    LEAVE,
    MAP,
    MEAN,
    NORMAL,
    PLACES,
    PRODUCT,
    ROWS,
    SAME,
    SECOND,
    SIGMOID,
    SILU,
    STEP,
    STRIPS,
    SUM,
    TALL,
    TANH,
    TO,
    WIDTH,
)
from .recurrent_moves import steps, strips
from .tiles import address, floats, integers, placed, tile, words

BLOCK = 8  # Rows of a matrix that are read together.


@part
def unchanged(move):
    """Whether as many numbers are, bit by bit, what they were."""
    a, b = words(move[FIRST]), words(move[SECOND])
    word = np.int32(0)
    for j in range(move[COUNT]):
        word |= np.int32(a[j] ^ b[j])
    return word == 0


@part
def copied(source, target, move):
    """Numbers of places from one array to another."""
    rows, places = integers(move[ROWS]), integers(move[PLACES])
    for p in range(move[COUNT]):
        at, to = move[FROM] + rows[p], move[TO] + places[p]
        for c in range(move[WIDTH]):
            target[to + c] = source[at + c]


@part
def bounded(value, least, most):
    """A number within bounds; what is no number stays."""
    value = least if value < least else value
    return most if value > most else value


@part
def product(memory, move, least, most, strip, edges, scratch):
    """A strip of two vectors of filters, or one, at places; see `direct.convolve`.

    Where a strip is wider than the filters that are left, tiles go through memory at `scratch`.
    """
    depth, lanes, left = move[DEPTH], edges[LANES], move[WIDTH] - strip
    wide = 2 * lanes if left > lanes else lanes
    whole, tall = left >= 2 * lanes or left == lanes, edges[TALL] * lanes // wide
    zeros, offsets = (placed(edges), 2 + edges[TALL]), integers(placed(edges) + 16)
    numbers, rows, free = placed(memory), move[ROWS], F(np.inf)
    a = (numbers, move[FROM])
    for p in range(0, move[COUNT], tall):
        start = (move[SECOND], strip, zeros[0], zeros[1])
        target = (numbers, scratch, zeros[0], 2)
        if whole:
            target = (numbers, move[TO] + strip, move[PLACES], p)
        for k in range(0, depth, DEEP):
            some, bounds = (move[COLUMNS], k, min(DEEP, depth - k)), (-free, free)
            if k + DEEP >= depth:
                bounds = (least, most)
            b = (move[FIRST], k * move[STEP] + strip, move[STEP])
            if left > lanes:
                tile(0, 2, a, (rows, p), some, b, start, target, bounds)
            else:
                tile(0, 1, a, (rows, p), some, b, start, target, bounds)
            start = target
        if not whole:
            places = integers(move[PLACES])
            for j in range(min(tall, move[COUNT] - p)):
                to = move[TO] + strip + places[p + j]
                for f in range(left):
                    memory[to + f] = memory[scratch + offsets[j] + f]


@part
def channels(memory, move, least, most, strip, edges):
    """Windows of a strip of channels, each by itself; the last strip begins before its place."""
    begin = min(strip, move[WIDTH] - edges[LANES])
    numbers = placed(memory)
    for p in range(0, move[COUNT], edges[TALL]):
        tile(
            0, 0, (numbers, move[FROM] + begin), (move[ROWS], p),
            (move[COLUMNS], 0, move[DEPTH]), (move[FIRST], begin, move[STEP]),
            (move[SECOND], begin, placed(edges), 2 + edges[TALL]),
            (numbers, move[TO] + begin, move[PLACES], p), (least, most),
        )  # fmt: skip


@part
def few_rows(memory, move, least, most):
    """The product of few rows and a matrix, which is read from its beginning to its end.

    What is read is more than what is computed: so sums stay in the cache, not in registers.
    """
    w, bias, n, depth = floats(move[FIRST]), floats(move[SECOND]), move[STEP], move[DEPTH]
    rows, places = integers(move[ROWS]), integers(move[PLACES])
    for r in range(move[COUNT]):
        for j in range(n):
            memory[move[TO] + places[r] + j] = bias[j]
    for k in range(0, depth, BLOCK):
        for r in range(move[COUNT]):
            at, to = move[FROM] + rows[r], move[TO] + places[r]
            added(memory, at, w, k, min(k + BLOCK, depth), n, to)
    for r in range(move[COUNT]):
        for j in range(n):
            to = move[TO] + places[r] + j
            memory[to] = bounded(memory[to], least, most)


@part
def added(memory, at, w, k, last, n, to):
    """Add some rows of a matrix, times numbers of a row, to the sums."""
    at, s = at + k, k * n
    if last - k == BLOCK:
        a, b, c, d = memory[at], memory[at + 1], memory[at + 2], memory[at + 3]
        e, f, g, h = memory[at + 4], memory[at + 5], memory[at + 6], memory[at + 7]
        for j in range(n):
            memory[to + j] += (
                (a * w[s + j] + b * w[s + n + j]) + (c * w[s + 2 * n + j] + d * w[s + 3 * n + j])
            ) + (
                (e * w[s + 4 * n + j] + f * w[s + 5 * n + j])
                + (g * w[s + 6 * n + j] + h * w[s + 7 * n + j])
            )
        return
    for i in range(last - k):
        for j in range(n):
            memory[to + j] += memory[at + i] * w[s + i * n + j]


@part
def mapped(memory, move, least, most):
    """Numbers times factors, plus offsets."""
    factor, offset = floats(move[FIRST]), floats(move[SECOND])
    rows, places = integers(move[ROWS]), integers(move[PLACES])
    for p in range(move[COUNT]):
        at, to = move[FROM] + rows[p], move[TO] + places[p]
        for c in range(move[WIDTH]):
            memory[to + c] = bounded(memory[at + c] * factor[c] + offset[c], least, most)


@part
def summed(memory, move, least, most):
    """The sum of two arrays; COLUMNS are the places of the second, which begins at FIRST."""
    rows, places = integers(move[ROWS]), integers(move[PLACES])
    others = integers(move[COLUMNS])
    for p in range(move[COUNT]):
        at, to = move[FROM] + rows[p], move[TO] + places[p]
        other = move[FIRST] + others[p]
        for c in range(move[WIDTH]):
            memory[to + c] = bounded(memory[at + c] + memory[other + c], least, most)


@part
def pooled(memory, move):
    """The largest of what windows see, or their sum times a share of each."""
    rows, places = integers(move[ROWS]), integers(move[PLACES])
    columns, share = integers(move[COLUMNS]), floats(move[FIRST])
    largest = move[0] == LARGEST
    for p in range(move[COUNT]):
        at, to = move[FROM] + rows[p], move[TO] + places[p]
        for c in range(move[WIDTH]):
            memory[to + c] = memory[at + columns[0] + c]
        for k in range(1, move[DEPTH]):
            own = at + columns[k]
            if largest:
                for c in range(move[WIDTH]):
                    value, best = memory[own + c], memory[to + c]
                    memory[to + c] = value if value > best or value != value else best
            else:
                for c in range(move[WIDTH]):
                    memory[to + c] += memory[own + c]
        if not largest:
            for c in range(move[WIDTH]):
                memory[to + c] *= share[p]


@part
def normalized(memory, move, epsilon):
    """All of a place with mean 0 and deviation 1, times factors, plus offsets."""
    factor, offset, width = floats(move[FIRST]), floats(move[SECOND]), move[WIDTH]
    rows, places, share = integers(move[ROWS]), integers(move[PLACES]), ONE / F(width)
    for p in range(move[COUNT]):
        at, to = move[FROM] + rows[p], move[TO] + places[p]
        total, squares = F(0), F(0)
        for c in range(width):
            total += memory[at + c]
        for c in range(width):
            away = memory[at + c] - total * share
            squares += away * away
        scale = ONE / np.sqrt(squares * share + epsilon)
        for c in range(width):
            memory[to + c] = (memory[at + c] - total * share) * scale * factor[c] + offset[c]


@part
def curved(memory, move, a, b):
    """A curve of each number, or of all of a place, with two numbers that it has."""
    rows, places = integers(move[ROWS]), integers(move[PLACES])
    what, width = move[0], move[WIDTH]
    for p in range(move[COUNT]):
        at, to = move[FROM] + rows[p], move[TO] + places[p]
        if what == SIGMOID:
            for c in range(width):
                memory[to + c] = sigmoid(memory[at + c])
        elif what == TANH:
            for c in range(width):
                memory[to + c] = tanh(memory[at + c])
        elif what == SILU:
            for c in range(width):
                memory[to + c] = memory[at + c] * sigmoid(memory[at + c])
        elif what == ELU:
            for c in range(width):
                v = memory[at + c]
                half = tanh(v * HALF)  # See `activation.elu`.
                memory[to + c] = a * v if v > 0 else b * TWO * half / (ONE - half)
        elif what == LEAKY:
            for c in range(width):
                v = memory[at + c]
                memory[to + c] = a * v if v < 0 else v
        elif what == GELU:
            for c in range(width):
                memory[to + c] = memory[at + c] * normal(memory[at + c])
        else:
            top, total = memory[at], F(0)
            for c in range(1, width):
                value = memory[at + c]
                top = value if value > top or value != value else top
            for c in range(width):
                memory[to + c] = exp(memory[at + c] - top)
                total += memory[to + c]
            for c in range(width):
                memory[to + c] /= total


@kernel("memory", "out")
def run(x, memory, out, moves, limits, edges, chains):
    """Do all moves, or with other threads those that they do not do; what came of it.

    Args:
        x, out: flat.
        memory: begins with room for a tile.
        moves: the table, FIELDS wide; first the constants to be compared.
        limits: (moves, 2), the least and the most that results of a move may be, or what else of
            numbers a move has.
        edges: TALL, LANES, rows' offsets in a tile with two vectors to a row, and zeros.
        chains: None unless there are steps of sequences: it is compiled without them then.  What
            `cpu.chains.tables` gives if threads share them, or zeros.

    Gives DONE; CHANGED if constants are no more what they were, and nothing counts; WAITING if
    another thread does something that all the rest depends on, and takes its time.
    """
    numbers, edge = floats(address(memory)), integers(address(edges))
    begin, end, chain, stays, shared, scratch = 0, len(moves), -1, False, False, 0
    if chains is not None:
        table = integers(address(chains))
        shared, scratch = table[CHAINS] > 0, table[SCRATCH]
    while True:
        if chains is not None and shared:
            chain, stays = turn(table, address(memory), chain, stays)
            if chain < 0:
                return -1 - chain
            begin, end = part_of(table, address(memory), chain)
        for i in range(begin, end):
            move = integers(address(moves) + i * FIELDS * 8)
            what, least, most = move[0], limits[i, 0], limits[i, 1]
            if what == SAME:
                if not unchanged(move):
                    if chains is not None and shared:
                        stop(table, address(memory))
                    return CHANGED
            elif what == FEW_ROWS:
                few_rows(numbers, move, least, most)
            elif what == PRODUCT:
                for strip in range(0, move[WIDTH], 2 * edge[LANES]):
                    product(numbers, move, least, most, strip, edge, scratch)
            elif what == CHANNELS:
                for strip in range(0, move[WIDTH], edge[LANES]):
                    channels(numbers, move, least, most, strip, edge)
            elif what == MAP:
                mapped(numbers, move, least, most)
            elif what == SUM:
                summed(numbers, move, least, most)
            elif what in (LARGEST, MEAN):
                pooled(numbers, move)
            elif what == ENTER:
                copied(floats(address(x)), numbers, move)
            elif what == LEAVE:
                copied(numbers, floats(address(out)), move)
            elif what == COPY:
                copied(numbers, numbers, move)
            elif what == NORMAL:
                normalized(numbers, move, least)
            elif what <= NORMAL:
                curved(numbers, move, least, most)
            elif chains is not None:
                if what == STRIPS:
                    strips(numbers, move, edge)
                else:
                    steps(numbers, move, edge)
        if not shared:
            return DONE
