"""Recurrent layers as moves of programs: see `jit/recurrent_moves.py`."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..jit import program_table as loops
from .chains import Chain
from .grids import Grid, Unwritable, filled
from .recurrent_loops import padded

# Moves by operations, and what else these say; how many gates there are.
KINDS = {
    ("simple_rnn", None): (loops.SIMPLE, 1), ("lstm", None): (loops.LSTM, 4),
    ("gru", True): (loops.GRU, 3), ("gru", False): (loops.GRU_BEFORE, 3),
}  # fmt: skip
# The most sequences, and the most operations of more: beyond, the loops of `recurrent_loops.py` are
# as fast, of which each thread has sequences of its own.
FEW_SEQUENCES, MOST = 4, 2.5e7


def recurrent(
    moves, x: Grid, cell, sequences: bool, backwards: bool, flipped: bool = False, beside=None
) -> Grid:
    """All steps of few sequences.

    Args:
        moves: of a program, to which it is added.
        x: (N, steps, D).
        cell: its name, its weights, and what `fused_names` says of it.
        sequences: whether the states of all steps are wanted, or but the last one.
        backwards: whether the last step is the first.
        flipped: whether the states of the first step stand at the end.
        beside: what was made of x before, just so.
    """
    before = x.maker
    steps = Steps(moves, x, cell, sequences, backwards, flipped)
    layer, project = len(moves._moves), moves._moves.pop()
    aligned = before is not None and before.sequences and before.flipped == backwards
    first = None if beside is None or before is not None else beside.maker.projected
    projected = Chain(partial(_in_parts, project, steps.rows), layer, before, aligned, before=first)
    packed = Chain(steps.pack, layer, before="nothing")
    found = Chain(steps.write, layer, projected, True, packed, stays=True)
    found.sequences, found.flipped, found.projected = sequences, flipped, projected
    moves._moves += [packed, projected, found]
    moves._operations.append(steps.operations)
    steps.y.maker = found
    return steps.y


class Steps:
    """The steps of a layer, behind the product of all its inputs, which is added to the moves.

    Grids: z, of what that product gives, and y, of the states; strips, of what states are
    multiplied by; room, for gates and what else is on the way; zeros, the first states.
    """

    def __init__(self, moves, x: Grid, cell, sequences: bool, backwards: bool, flipped: bool):
        name, (kernel, matrix, bias), options = cell
        names = options["activation"], options.get("recurrent_activation", "sigmoid")
        if names != ("tanh", "sigmoid"):
            raise Unwritable
        self.kind, gates = KINDS[name, options.get("reset_after")]
        self.weights = moves.value(matrix)
        self.count, self.steps, self.units = x.samples, x.shape[1], len(self.weights)
        self.sequences, self.flipped = sequences, flipped
        width = gates * self.units
        self.operations = 2 * self.count * self.steps * self.units * width
        if self.count > FEW_SEQUENCES and self.operations > MOST:
            raise Unwritable
        read = [kernel] if bias is None else [kernel, bias]
        added, self.of_states = None if bias is None else moves.value(bias), None
        if self.kind == loops.GRU:  # Of two biases, one is of the product with states.
            added, self.of_states = (None, np.zeros(width, np.float32)) if bias is None else added
        self.z = moves.product(x, moves.value(kernel), added, None, None, {}, read)
        rows = np.arange(self.count * self.steps).reshape(self.count, self.steps).T
        self.rows = rows[::-1] if backwards else rows
        self._take_room(moves, width)

    def _take_room(self, moves, width: int) -> None:
        """Grids for all else than inputs."""
        count, units, last = self.count, self.units, 2 * self.units
        self.ends = [(0, last), (last, width)] if self.kind == loops.GRU_BEFORE else [(0, width)]
        self.strips = [_grid(moves, units * padded(b - a)) for a, b in self.ends]
        full = -(-units // moves.lanes) * moves.lanes
        each = width + padded(1)
        own = each + width // units * full
        self.room = _grid(moves, count * full + each + count * own)
        self.y = moves._grid((count, self.steps, units) if self.sequences else (count, units))
        self.zeros = _grid(moves, units)
        sequence = np.arange(count)
        tables = np.arange(units), sequence * full, sequence * own, sequence * 0
        self.columns = np.concatenate(tables).astype(np.intp)

    def pack(self, size: int | None) -> list[dict]:
        """The moves that copy what states are multiplied by."""
        both = zip(self.ends, self.strips, strict=True)
        return [_strips(self.weights[:, a:b], to) for (a, b), to in both]

    def write(self, size: int | None) -> list[dict]:
        """The moves of so many steps each."""
        seen, places, size = self.z.places()[self.rows], self._places(), size or self.steps
        second = self.of_states
        if self.kind == loops.GRU_BEFORE:
            second = self.strips[1].begin
        return [
            dict(
                what=self.kind, begin=self.z.begin, rows=_table(seen[t : t + size]), to=self.y,
                count=self.count, places=_table(places[t : t + size + 1]), width=self.units,
                columns=self.columns, step=t, depth=min(size, self.steps - t),
                first=self.strips[0].begin, second=second, room=self.room.begin,
            )
            for t in range(0, self.steps, size)
        ]  # fmt: skip

    def _places(self):
        """Where states lie, (steps + 1, N): the first ones, and those of each step."""
        places, y = self.y.places()[: self.count * len(self.rows)], self.y
        if self.sequences:
            places = places.reshape(self.count, self.steps).T[:: -1 if self.flipped else 1]
        else:
            places = np.tile(places[: self.count], (self.steps, 1))
        return np.concatenate([np.full((1, self.count), self.zeros.begin - y.begin), places])


def _grid(moves, size: int) -> Grid:
    return moves._grid((1, size))


def _strips(matrix, to: Grid) -> dict:
    """The move that copies a matrix into strips."""
    depth, width = matrix.shape
    return dict(what=loops.STRIPS, begin=0, rows=None, to=to, places=0, count=1, width=width,
                depth=depth, first=matrix, step=matrix.strides[0] // matrix.itemsize)  # fmt: skip


def _in_parts(write, rows, size: int | None) -> list[dict]:
    """A product for some steps at a time: (steps, N) rows."""
    move = write()
    if size is None:
        return [move]
    seen, places, parts = move["rows"], move["to"].places(), []
    for t in range(0, len(rows), size):
        some = rows[t : t + size].reshape(-1)
        full = filled(some)
        parts.append(move | dict(rows=seen[full], places=places[full], count=len(some)))
    return parts


def _table(offsets):
    return np.ascontiguousarray(offsets, np.intp)
