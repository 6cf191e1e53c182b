"""A small network as a program: all that it does with a few samples, in one call.

Between two of NumPy's functions Python takes longer than most of them take on small arrays.  A
program is a table of moves, one a row; all numbers on the way lie in one memory.  Each move has
places, with tables that say how far behind its beginning each of them lies, in what it reads and in
what it writes: so margins are where the one before did not write.  A move is divided into units,
which may be done in any order.
"""

from __future__ import annotations

import numpy as np

from . import kernel, part
from .direct import DEEP
from .elementary import F, exp, sigmoid, tanh
from .tiles import address, pointer, tile

# What a move does, in the first column of the table.
SAME, ENTER, LEAVE, COPY, PRODUCT, CHANNELS, ROW, MAP, SUM, LARGEST, MEAN = range(11)
SIGMOID, TANH, SILU, SOFTMAX = range(11, 15)
# The other columns.
UNITS, CHUNK = 1, 2  # How many units, of how many places (of ROW: columns) each.
FROM, TO = 3, 4  # Where what it reads and what it writes begin.
COUNT, WIDTH, DEPTH = 5, 6, 7  # Places, numbers at each, and products of a sum.
ROWS, PLACES, COLUMNS = 8, 9, 10  # Tables: of places in FROM and in TO, and of what a window sees.
FIRST, SECOND, STEP = 11, 12, 13  # Constants by their addresses; from row to row in FIRST.
FIELDS = 14
BLOCK = 8  # Rows of a matrix that are read together.


@part
def unchanged(moves, i):
    """Whether as many numbers are, bit by bit, what they were."""
    a = pointer(np.int32(0), moves[i, FIRST])
    b = pointer(np.int32(0), moves[i, SECOND])
    word = np.int32(0)
    for j in range(moves[i, COUNT]):
        word |= np.int32(a[j] ^ b[j])
    return word == 0


@part
def copied(source, target, moves, i, first, last):
    """Numbers of places from one array to another."""
    rows, places = pointer(i, moves[i, ROWS]), pointer(i, moves[i, PLACES])
    for p in range(first, last):
        at, to = moves[i, FROM] + rows[p], moves[i, TO] + places[p]
        for c in range(moves[i, WIDTH]):
            target[to + c] = source[at + c]


@part
def bounded(value, least, most):
    """A number within bounds; what is no number stays."""
    value = least if value < least else value
    return most if value > most else value


@part
def product(memory, moves, limits, i, strip, first, last, edge, edges):
    """A strip of two vectors of filters, or one, at places; see `direct.convolve`.

    Where a strip is wider than the filters that are left, tiles go through memory at `edge`.
    """
    depth, lanes, height = moves[i, DEPTH], edges[0, 1] // 2, edges.shape[1] // 2
    left = moves[i, WIDTH] - strip
    wide = 2 * lanes if left > lanes else lanes
    whole, tall = left >= 2 * lanes or left == lanes, height * 2 * lanes // wide
    numbers, a, rows = address(memory), (address(memory), moves[i, FROM]), moves[i, ROWS]
    free = memory.dtype.type(np.inf)
    for p in range(first, last, tall):
        start = (moves[i, SECOND], strip, address(edges), edges.shape[1])
        target = (numbers, edge, address(edges), 0)
        if whole:
            target = (numbers, moves[i, TO] + strip, moves[i, PLACES], p)
        for k in range(0, depth, DEEP):
            some, bounds = (moves[i, COLUMNS], k, min(DEEP, depth - k)), (-free, free)
            if k + DEEP >= depth:
                bounds = (limits[i, 0], limits[i, 1])
            b = (moves[i, FIRST], k * moves[i, STEP] + strip, moves[i, STEP])
            if left > lanes:
                tile(0, 2, a, (rows, p), some, b, start, target, bounds)
            else:
                tile(1, 1, a, (rows, p), some, b, start, target, bounds)
            start = target
        if not whole:
            places = pointer(i, moves[i, PLACES])
            for j in range(min(tall, last - p)):
                to = moves[i, TO] + strip + places[p + j]
                for f in range(left):
                    memory[to + f] = memory[edge + edges[0, j] + f]


@part
def channels(memory, moves, limits, i, strip, first, last, edges):
    """Windows of a strip of channels, each by itself; the last strip begins before its place."""
    begin = min(strip, moves[i, WIDTH] - edges[0, 1] // 2)
    numbers = address(memory)
    for p in range(first, last, edges.shape[1]):
        tile(
            1, 0, (numbers, moves[i, FROM] + begin), (moves[i, ROWS], p),
            (moves[i, COLUMNS], 0, moves[i, DEPTH]), (moves[i, FIRST], begin, moves[i, STEP]),
            (moves[i, SECOND], begin, address(edges), edges.shape[1]),
            (numbers, moves[i, TO] + begin, moves[i, PLACES], p), (limits[i, 0], limits[i, 1]),
        )  # fmt: skip


@part
def row(memory, moves, limits, i, first, last):
    """Columns of the product of a row and a matrix, which is read from its beginning to its end.

    What is read is more than what is computed: so sums stay in the cache, not in registers.
    """
    least, most = limits[i, 0], limits[i, 1]
    w, bias = pointer(least, moves[i, FIRST]), pointer(least, moves[i, SECOND])
    at, to, depth, n = moves[i, FROM], moves[i, TO], moves[i, DEPTH], moves[i, STEP]
    for j in range(first, last):
        memory[to + j] = bias[j]
    whole = depth // BLOCK * BLOCK
    for k in range(0, whole, BLOCK):
        a, b, c, d = memory[at + k], memory[at + k + 1], memory[at + k + 2], memory[at + k + 3]
        e, f, g, h = memory[at + k + 4], memory[at + k + 5], memory[at + k + 6], memory[at + k + 7]
        s = k * n
        for j in range(first, last):
            memory[to + j] += (
                (a * w[s + j] + b * w[s + n + j]) + (c * w[s + 2 * n + j] + d * w[s + 3 * n + j])
            ) + (
                (e * w[s + 4 * n + j] + f * w[s + 5 * n + j])
                + (g * w[s + 6 * n + j] + h * w[s + 7 * n + j])
            )
    for k in range(whole, depth):
        a = memory[at + k]
        for j in range(first, last):
            memory[to + j] += a * w[k * n + j]
    for j in range(first, last):
        memory[to + j] = bounded(memory[to + j], least, most)


@part
def mapped(memory, moves, limits, i, first, last):
    """Numbers times factors, plus offsets."""
    least, most = limits[i, 0], limits[i, 1]
    factor, offset = pointer(least, moves[i, FIRST]), pointer(least, moves[i, SECOND])
    rows, places = pointer(i, moves[i, ROWS]), pointer(i, moves[i, PLACES])
    for p in range(first, last):
        at, to = moves[i, FROM] + rows[p], moves[i, TO] + places[p]
        for c in range(moves[i, WIDTH]):
            memory[to + c] = bounded(memory[at + c] * factor[c] + offset[c], least, most)


@part
def summed(memory, moves, limits, i, first, last):
    """The sum of two arrays; COLUMNS are the places of the second, which begins at FIRST."""
    least, most = limits[i, 0], limits[i, 1]
    rows, places = pointer(i, moves[i, ROWS]), pointer(i, moves[i, PLACES])
    others = pointer(i, moves[i, COLUMNS])
    for p in range(first, last):
        at, to = moves[i, FROM] + rows[p], moves[i, TO] + places[p]
        other = moves[i, FIRST] + others[p]
        for c in range(moves[i, WIDTH]):
            memory[to + c] = bounded(memory[at + c] + memory[other + c], least, most)


@part
def pooled(memory, moves, i, first, last):
    """The largest of what windows see, or their sum times a share of each."""
    rows, places = pointer(i, moves[i, ROWS]), pointer(i, moves[i, PLACES])
    columns, share = pointer(i, moves[i, COLUMNS]), pointer(memory[0], moves[i, FIRST])
    largest = moves[i, 0] == LARGEST
    for p in range(first, last):
        at, to = moves[i, FROM] + rows[p], moves[i, TO] + places[p]
        for c in range(moves[i, WIDTH]):
            memory[to + c] = memory[at + columns[0] + c]
        for k in range(1, moves[i, DEPTH]):
            own = at + columns[k]
            if largest:
                for c in range(moves[i, WIDTH]):
                    value, best = memory[own + c], memory[to + c]
                    memory[to + c] = value if value > best or value != value else best
            else:
                for c in range(moves[i, WIDTH]):
                    memory[to + c] += memory[own + c]
        if not largest:
            for c in range(moves[i, WIDTH]):
                memory[to + c] *= share[p]


@part
def curved(memory, moves, i, first, last):
    """A curve of each number, or of all of a place."""
    rows, places = pointer(i, moves[i, ROWS]), pointer(i, moves[i, PLACES])
    what, width = moves[i, 0], moves[i, WIDTH]
    for p in range(first, last):
        at, to = moves[i, FROM] + rows[p], moves[i, TO] + places[p]
        if what == SIGMOID:
            for c in range(width):
                memory[to + c] = sigmoid(memory[at + c])
        elif what == TANH:
            for c in range(width):
                memory[to + c] = tanh(memory[at + c])
        elif what == SILU:
            for c in range(width):
                memory[to + c] = memory[at + c] * sigmoid(memory[at + c])
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


@part
def unit_of(x, memory, out, moves, limits, i, unit, edge, edges):
    """Do one unit of a move."""
    none = memory.dtype.type(0)
    numbers = pointer(none, address(memory))
    what, chunk, count = moves[i, 0], moves[i, CHUNK], moves[i, COUNT]
    if what == ROW:
        row(numbers, moves, limits, i, unit * chunk, min((unit + 1) * chunk, moves[i, WIDTH]))
        return
    chunks = -(-count // chunk)
    vectors, first = unit // chunks * edges[0, 1] // 2, unit % chunks * chunk
    last = min(first + chunk, count)
    if what == PRODUCT:
        product(memory, moves, limits, i, 2 * vectors, first, last, edge, edges)
    elif what == CHANNELS:
        channels(memory, moves, limits, i, vectors, first, last, edges)
    elif what == MAP:
        mapped(numbers, moves, limits, i, first, last)
    elif what == SUM:
        summed(numbers, moves, limits, i, first, last)
    elif what in (LARGEST, MEAN):
        pooled(numbers, moves, i, first, last)
    elif what == ENTER:
        copied(pointer(none, address(x)), numbers, moves, i, first, last)
    elif what == LEAVE:
        copied(numbers, pointer(none, address(out)), moves, i, first, last)
    elif what == COPY:
        copied(numbers, numbers, moves, i, first, last)
    else:
        curved(numbers, moves, i, first, last)


@kernel("memory", "out")
def run(x, memory, out, moves, limits, edges):
    """Do all moves; whether constants are still what they were, else nothing is done.

    Args:
        x, out: flat.
        memory: begins with room for a tile.
        moves: the table, FIELDS wide; first the constants to be compared.
        limits: (moves, 2), the least and the most that results of a move may be.
        edges: rows' offsets in a tile with two vectors to a row, and zeros.
    """
    for i in range(len(moves)):
        if moves[i, 0] == SAME:
            if not unchanged(moves, i):
                return False
            continue
        for unit in range(moves[i, UNITS]):
            unit_of(x, memory, out, moves, limits, i, unit, 0, edges)
    return True
