"""Recurrent layers in plans of inference on a GPU: see `pieces.py`."""

from __future__ import annotations

from .pieces import Piece


class Recurrent(Piece):
    """All steps of sequences from states of zeros.

    Args:
        operation: a primitive of `ops.recurrent`.
        weights: Variables: the kernel, the recurrent kernel and, or None, the bias.
        options: of the operation.
        dtype: that of the sequences.
        backwards: whether the last step is the first.
        each: whether it gives the outputs of all steps.
    """

    def __init__(self, name, operation, weights, options, dtype, backwards, each):
        super().__init__(name)
        self.operation, self.weights, self.options = operation, weights, options
        self.dtype, self.backwards, self.fresh = dtype, backwards, each
        self.each = each

    @property
    def constants(self):
        return [weight for weight in self.weights if weight is not None]

    def ready(self, own, floor):
        values = [None if w is None else floor.there(w._value, self.dtype) for w in self.weights]
        run = floor.over_time(self.operation, values, self.options)
        if self.backwards:
            steps, run = run, lambda x: steps(x[:, ::-1])
        return run if self.each else lambda x: run(x)[:, -1, :]

    @property
    def what(self):
        inputs, units = self.weights[0].shape[0], self.weights[1].shape[0]
        return f"{self.operation.__name__} with {inputs} x {units}"
