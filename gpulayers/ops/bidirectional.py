"""Whole sequences of SimpleRNN, LSTM and GRU from both ends."""

from __future__ import annotations

from ..arrays import namespace, primitive
from .recurrent import gru, lstm, simple_rnn

CELLS = {"simple_rnn": simple_rnn, "lstm": lstm, "gru": gru}


@primitive
def both_ways(*arrays, cell, **options):
    """A cell from the first step to the last and, with other weights, from the last to the first.

    Args:
        arrays: what the cell's operation takes but for the mask, in one direction and then in the
            other, whose inputs come in the same order; at last the mask of both, or None.
        cell: a key of `CELLS`.
        options: of that operation.

    Gives what the operation gives in the one direction, then in the other; all of the states stand
    where the inputs stand.
    """
    one, other, mask = directions(arrays)
    op, turned = CELLS[cell], None if mask is None else _turned(mask)
    there = op(*one, mask, **options)
    back = op(_turned(other[0]), *other[1:], turned, **options)
    if cell != "lstm":
        return there, _turned(back)
    return *there, *map(_turned, back)


def directions(arrays):
    """The arrays of one direction and of the other, and the mask."""
    count = len(arrays) // 2
    return arrays[:count], arrays[count:-1], arrays[-1]


def _turned(x):
    return namespace(x).flip(x, axis=1)


@both_ways.shape
def _(*arrays, cell, **options):
    one, other, _ = directions(arrays)
    found = CELLS[cell](*one, None, **options), CELLS[cell](*other, None, **options)
    return found if cell != "lstm" else (*found[0], *found[1])
