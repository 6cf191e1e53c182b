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
    name, (kernel, matrix, bias), options = cell
    names = options["activation"], options.get("recurrent_activation", "sigmoid")
    if names != ("tanh", "sigmoid"):
        raise Unwritable
    kind, gates = KINDS[name, options.get("reset_after")]
    weights, of_states = moves.value(matrix), None
    read, count, steps, units = [kernel], x.samples, x.shape[1], len(weights)
    width, added, before = gates * units, None, x.maker
    operations = 2 * count * steps * units * width
    if count > FEW_SEQUENCES and operations > MOST:
        raise Unwritable
    if bias is not None:
        added, read = moves.value(bias), [kernel, bias]
    if kind == loops.GRU:
        of_states = np.zeros(width, np.float32)
        if added is not None:
            added, of_states = added
    z = moves.product(x, moves.value(kernel), added, None, None, {}, read)
    layer, way = len(moves._moves), slice(None, None, -1 if backwards else 1)
    project = moves._moves.pop()
    rows = np.arange(count * steps).reshape(count, steps).T[way]
    ends = [(0, width)] if kind != loops.GRU_BEFORE else [(0, 2 * units), (2 * units, width)]
    strips = [_grid(moves, units * padded(b - a)) for a, b in ends]
    lanes = moves.lanes
    full, each = -(-units // lanes) * lanes, width + padded(1)
    own = each + gates * full
    room = _grid(moves, count * full + each + count * own)
    y = moves._grid((count, steps, units) if sequences else (count, units))
    zeros = _grid(moves, units)
    sequence = np.arange(count)
    tables = np.arange(units), sequence * full, sequence * own, sequence * 0
    columns = np.concatenate(tables).astype(np.intp)

    def write(size):
        seen, places = z.places()[rows], np.tile(y.places()[:count], (steps, 1))
        if sequences:
            places = y.places()[: count * steps].reshape(count, steps).T
            places = places[:: -1 if flipped else 1]
        places = np.concatenate([np.full((1, count), zeros.begin - y.begin), places])
        size, parts = size or steps, []
        for t in range(0, steps, size):
            part = dict(
                what=kind, begin=z.begin, rows=_table(seen[t : t + size]), to=y, count=count,
                places=_table(places[t : t + size + 1]), width=units, columns=columns, step=t,
                depth=min(size, steps - t), first=strips[0].begin, room=room.begin,
                second=strips[1].begin if kind == loops.GRU_BEFORE else of_states,
            )  # fmt: skip
            parts.append(part)
        return parts

    def pack(size):
        return [_strips(weights[:, a:b], to) for (a, b), to in zip(ends, strips, strict=True)]

    aligned = before is not None and before.sequences and before.flipped == backwards
    first = None if beside is None or before is not None else beside.maker.projected
    projected = Chain(partial(_in_parts, project, rows), layer, before, aligned, before=first)
    packed = Chain(pack, layer, before="nothing")
    found = Chain(write, layer, projected, True, packed, stays=True)
    found.sequences, found.flipped, found.projected = sequences, flipped, projected
    moves._moves += [packed, projected, found]
    moves._operations.append(operations)
    y.maker = found
    return y


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
