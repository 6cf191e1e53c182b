"""LSTM, GRU and SimpleRNN of NumPy arrays by compiled loops: see `jit/recurrent.py`.

Each thread takes some of the sequences through all steps, so that none waits for another, with
weights that stay in its cache.  Gates are kept for the gradient, or computed again, as by
`recurrent.py`.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache, partial
from itertools import pairwise
from math import ceil

import numpy as np

from .. import jit
from ..jit import recurrent as loops
from ..jit import tiles
from . import memory
from .recurrent import kept_pieces
from .steps import do, temporary
from .threads import available, share

WORTH = 1 << 13  # Elements of the gates of all steps from which on loops may be compiled.
TOGETHER = 128  # Rows of inputs that are projected together, and stay in the cache.
LEAST, MOST = 2, 32  # Sequences that a thread takes at a time: one is hardly faster than two.


def worth(x, h, gates: int) -> bool:
    """Whether loops are to go through the steps of x (N, steps, D), with states h (N, U)."""
    if x.dtype.char != "f" or 0 in x.shape or 0 in h.shape:
        return False
    size = gates * h.size * x.shape[1]
    return jit.takes(x, least=0 if size >= WORTH else jit.LEAST)


class Loops:
    """The loops of a call.

    Args:
        x: (N, steps, D).
        kernel, recurrent_kernel: (D, gates U), (U, gates U).
        bias: of the projected inputs, (gates U,) or None.
        mask: (N, steps), False where states stay; or None.
    """

    gates = 1
    loops: object  # The module of `jit` with both ways.
    keeps = True  # Whether the gradient needs the gates.
    biases = ()  # Further ones.

    def __init__(self, x, kernel, recurrent_kernel, bias=None, mask=None):
        (self.count, self.steps, self.inputs), self.units = x.shape, len(recurrent_kernel)
        self.dtype, self.kernel, self.recurrent_kernel = x.dtype, kernel, recurrent_kernel
        if mask is not None:
            x = np.where(mask[:, :, None], x, x.dtype.type(0))
            mask = np.ascontiguousarray(mask)
        self.x, self.mask = np.ascontiguousarray(x), mask
        self.width = padded(self.gates * self.units)
        self.height = tiles.shape(4)[0] // 2
        self.bias = self.wide(bias)
        threads = available()
        parts = min(ceil(self.count / (MOST * threads)) * threads, max(self.count // LEAST, 1))
        ends = [self.count * i // parts for i in range(parts + 1)]
        self.parts = [slice(*pair) for pair in pairwise(ends)]

    def wide(self, bias):
        """A bias, or zeros, with zeros behind."""
        found = np.zeros(self.width, self.dtype)
        if bias is not None:
            found[: len(bias)] = bias
        return found

    def weights(self) -> tuple:
        """The kernel and what the states are multiplied by, in strips."""
        return strips(self.kernel, "kernel"), strips(self.recurrent_kernel, "states")

    def backs(self) -> tuple:
        """By what gradients are multiplied on the way back, in strips."""
        return (turned(self.recurrent_kernel, "states"),)

    def memory(self, count, steps, make) -> list:
        """For what is computed of gates, (count, steps, ...) each: make(name, shape, dtype)."""
        return [make("gates", (count, steps, self.width), self.dtype)]

    def masked(self, part):
        return None if self.mask is None else self.mask[part]

    def operations(self, steps) -> float:
        return 2.0 * self.gates * self.count * steps * self.units * (self.inputs + self.units)

    def tables(self, rows, steps, span):
        """Those for so many sequences, and steps of them at a time; `span` steps of gates lie
        together."""
        width, factor = self.width, max(self.inputs, self.gates * self.units)
        seen = self.steps * self.inputs, self.inputs
        places = span * width, width
        return tables(rows, steps, self.height, seen, places, self.units, factor)

    def forward(self, outputs, now, kept, start, stop) -> None:
        """The steps from one to another.

        Args:
            outputs: (N, steps, U) each, to be written.
            now: (N, U) each, the states before, which become the last ones.
            kept: memory for gates that are kept, from the first of these steps on; or None.
        """
        steps, weights = stop - start, self.weights()

        def work(parts):
            for part in parts:
                rows = part.stop - part.start
                number = min(ceil(rows * steps / TOGETHER), steps)
                size = ceil(steps / number)
                own = self.memory(rows, size, temporary) if kept is None else _of(part, kept)
                tables = self.tables(rows, size, own[0].shape[1])
                arrays = *own, *_of(part, outputs), *_of(part, now), *self.room(rows)
                self.loops.forward(
                    self.x[part], *weights, self.bias, *self.biases, self.masked(part), *arrays,
                    tables, start, stop, number, self.height,
                )  # fmt: skip

        share(work, self.parts, self.operations(steps))

    def room(self, rows) -> tuple:
        """What else loops write."""
        return ()

    def backward(self, kept, outputs, before, grads, carried) -> list:
        """The gradients of what gates were computed from, (N, steps, width): by inputs and by
        states, or one for both.

        Args:
            kept, outputs: what `forward` wrote.
            before: (N, U) each, the first states.
            grads: of outputs, (N, steps, U) each, or None.
            carried: those of the last states, which become those of the first ones.
        """
        found, backs = self.memory_back(), self.backs()
        zeros = np.zeros((self.count, self.width), self.dtype)
        arrays = *self.seen_back(kept, outputs, before), *grads, *found, *carried, zeros

        def work(parts):
            for part in parts:
                rows = part.stop - part.start
                self.loops.backward(
                    *backs, self.masked(part), *_of(part, arrays), *self.room_back(rows),
                    self.tables(rows, 1, self.steps), self.height,
                )  # fmt: skip

        share(work, self.parts, self.operations(self.steps))
        return [d for d in found if d is not None]

    def memory_back(self) -> list:
        """For what `backward` gives, or None."""
        shape = self.count, self.steps, self.width
        return [temporary("gradients", shape, self.dtype)]

    def seen_back(self, kept, outputs, before) -> list:
        """What loops read on the way back."""
        return [*kept, outputs[0], before[0]]

    def room_back(self, rows) -> tuple:
        """What else they write."""
        return ()

    def run(self, firsts, record: bool):
        """The outputs of all steps after the first states, (N, steps, U) each, and if there is a
        `record`, what is kept of the gates."""
        shape = self.count, self.steps, self.units
        outputs = [memory.empty(shape, self.dtype) for _ in firsts]
        now, start, kept = [np.array(first, order="C") for first in firsts], 0, None
        if record and self.keeps:
            start = self.pieces()[-1].start
            if start:
                self.forward(outputs, now, None, 0, start)
            kept = self.memory(self.count, self.steps - start, _new)
        self.forward(outputs, now, kept, start, self.steps)
        return outputs, kept or []

    def pieces(self) -> list[slice]:
        """Steps of which gates are in memory at a time."""
        room = sum(a.itemsize * a.shape[-1] for a in self.memory(0, 0, _new))
        return kept_pieces(self.steps, room * self.count)

    def piece(self, some: slice) -> Loops:
        """The same for some of the steps."""
        found = copy(self)
        found.x, found.steps = np.ascontiguousarray(self.x[:, some]), some.stop - some.start
        if self.mask is not None:
            found.mask = np.ascontiguousarray(self.mask[:, some])
        return found

    def again(self, outputs, before) -> list:
        """What `run` would have kept."""
        kept = self.memory(self.count, self.steps, temporary)
        written, now = [np.empty_like(o) for o in outputs], [b.copy() for b in before]
        self.forward(written, now, kept, 0, self.steps)
        return kept

    def gradients(self, kept, outputs, firsts, grads, needs):
        """Those of x, kernel, recurrent kernel and both biases, and a list of those of the states.

        Args:
            kept, outputs: what `run` gave for the first states, `firsts`.
            grads: of the outputs; None for zeros.
            needs: which of the five are needed.
        """
        zeros, pieces, dx, sums = partial(np.zeros, dtype=self.dtype), self.pieces(), None, None
        carried = [zeros((self.count, self.units)) for _ in firsts[:-1]]
        carried.append(zeros((self.count, self.width)))
        for piece in pieces[::-1]:
            run = self if len(pieces) < 2 else self.piece(piece)
            before = [o[:, piece.start - 1] for o in outputs] if piece.start else firsts
            before = [np.ascontiguousarray(b) for b in before]
            some = [np.ascontiguousarray(o[:, piece]) for o in outputs]
            if self.keeps and piece.stop < self.steps:
                kept = run.again(some, before)
            ours = [None if g is None else np.ascontiguousarray(g[:, piece]) for g in grads]
            d = run.backward(kept, some, before, ours, carried)
            found = run.products(needs, d, run.factors_back(kept, some, before, d))
            if dx is None and needs[0]:
                dx = found[0] if run is self else np.empty(self.x.shape, self.dtype)
            if needs[0] and run is not self:
                dx[:, piece] = found[0]
            sums = list(found[1:] if sums is None else map(_plus, sums, found[1:]))
        return (dx, *sums, [c[:, : self.units] for c in carried])

    def factors_back(self, kept, outputs, before, d) -> list:
        """What makes the gradient of the recurrent kernel: (columns of it, factors of states)."""
        return [(slice(0, self.gates * self.units), _after(before[-1], outputs[-1]))]

    def products(self, needs, d, factors):
        """The gradients of x, both kernels and both biases, by products for all steps at once.

        All are made by threads of ours: a product outside would leave those of OpenBLAS waiting, on
        the cores that ours need next.
        """
        rows, columns = self.count * self.steps, self.gates * self.units
        of_x, of_states = (a.reshape(rows, -1)[:, :columns] for a in (d[0], d[-1]))
        shapes, tasks = (self.inputs, self.units, 1, 1), []
        found = [
            np.empty((size, columns), self.dtype) if need else None
            for size, need in zip(shapes, needs[1:], strict=True)
        ]
        ones, every = np.ones((rows, 1), self.dtype), slice(0, columns)
        terms = [(found[0], every, self.x, of_x), (found[2], every, ones, of_x)]
        terms += [(found[1], some, factor, of_states) for some, factor in factors]
        terms.append((found[3], every, ones, of_states))
        for to, some, factor, g in terms:
            if to is not None:
                tasks += _by_columns(to[:, some], factor.reshape(rows, -1), g[:, some])
        dx = np.empty(self.x.shape, self.dtype) if needs[0] else None
        if needs[0]:
            to = dx.reshape(rows, -1)
            for part in _halves(rows):
                tasks.append(partial(np.matmul, of_x[part], self.kernel.T, out=to[part]))
        do(tasks, self.operations(self.steps) * 2)
        return dx, *found[:2], *(None if b is None else b[0] for b in found[2:])


def _by_columns(to, factor, g) -> list:
    """Tasks that write the product of a factor turned with g."""
    return [
        partial(np.matmul, factor.T, g[:, part], out=to[:, part]) for part in _halves(g.shape[1])
    ]


def _halves(size: int) -> list[slice]:
    """As many parts as there are threads."""
    threads = available()
    ends = [size * i // threads for i in range(threads + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


def _of(part, arrays) -> list:
    return [None if a is None else a[part] for a in arrays]


def _after(first, states):
    """The states before each step."""
    found = temporary("before", states.shape, states.dtype)
    found[:, 0], found[:, 1:] = first, states[:, :-1]
    return found


def _plus(a, b):
    return None if a is None else a + b


def _new(name, shape, dtype):
    return np.empty(shape, dtype)


def padded(columns: int) -> int:
    """The columns of strips for so many."""
    width = 4 * tiles.shape(4)[1]
    return -(-columns // width) * width


def strips(matrix, name: str):
    """A matrix as loops take it, (number, depth, columns of a strip), in memory of that name."""
    (depth, columns), width = matrix.shape, padded(1)
    whole, left = divmod(columns, width)
    found = temporary(name, (whole + (left > 0), depth, width), matrix.dtype)
    found[:whole] = matrix[:, : columns - left].reshape(depth, whole, width).swapaxes(0, 1)
    if left:
        found[whole, :, :left] = matrix[:, columns - left :]
        found[whole, :, left:] = 0
    return found


def turned(matrix, name: str):
    """The same of a matrix turned."""
    matrix, width = np.ascontiguousarray(matrix), padded(1)
    found = temporary(name, (padded(len(matrix)) // width, matrix.shape[1], width), matrix.dtype)
    loops.turn(matrix, found, 0, len(found))
    return found


@lru_cache(maxsize=64)
def tables(count, steps, height, seen, places, lines, most):
    """Where rows begin: see `jit.recurrent`.

    Args:
        count, steps: numbers of sequences, and of steps at a time.
        height: the rows of a tile.
        seen, places: from one sequence to the next and from one step to the next, of inputs and of
            gates.
        lines: from one sequence to the next of what has U numbers for each.
        most: the columns of a factor.
    """
    rows = np.minimum(np.arange(count * steps + height), count * steps - 1)
    (step, n), each = np.divmod(rows, count), np.minimum(rows, count - 1)
    found = np.zeros((7, max(len(rows), most)), np.intp)
    found[loops.SEEN, : len(rows)] = n * seen[0] + step * seen[1]
    found[loops.EVERY, : len(rows)] = n * places[0] + step * places[1]
    for row, size in zip((loops.PLACES, loops.LINES, loops.WIDE), (places[0], lines, places[1])):
        found[row, : len(rows)] = each * size
    found[loops.COLUMNS] = np.arange(found.shape[1])
    return found
