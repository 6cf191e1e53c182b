"""Recurrent layers from both ends of CuPy arrays: the directions share all launches of steps."""

from __future__ import annotations

from ..ops import bidirectional as ops
from .recurrent import direction, fits, run_backward, run_forward, wanted
from .recurrent_gradients import gradients
from .recurrent_sequences import LSTM, Sequences, cell_of, stacked


@ops.both_ways.on("cupy")
def _(*arrays, cell, needs=None, **options):
    options = {"activation": "tanh", "recurrent_activation": "sigmoid", **options}
    cell = cell_of(cell, options.pop("reset_after", True))
    *given, mask = ops.directions(arrays)
    alike = {tuple(None if a is None else a.shape for a in one) for one in given}
    if len(alike) > 1 or not fits(*arrays[:-1]):
        return NotImplemented
    run = Sequences(cell, options, [direction(cell, one, mask) for one in given], mask)
    last = run_forward(run, needs is not None)
    states = run.states[0], run.states[1]
    if cell is LSTM:
        states = states[0], run.carries[0], states[1], run.carries[1]
    if needs is None:
        return states
    needed = [wanted(cell, one) for one in ops.directions(needs)[:2]]

    def pullback(grads):
        each = len(grads) // 2
        grads = [stacked(grads[i::each]) for i in range(each)]
        one, other = gradients(run, last, run_backward, grads, needed)
        return *one, *other, None

    return states, pullback
