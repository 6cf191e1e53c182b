"""Gradients of recurrent layers on the GPU, from the states of all steps.

The gates of steps, four numbers for each of the states, are in memory only for one part of the
steps at a time (`recurrent_sequences.AT_ONCE`).  Those of the last part have stayed from the way
there, which is all of them if sequences are short.  Those of earlier parts are computed again: all
states are known, so that one large product does it, and one pass over what it gives.
"""

from __future__ import annotations

from . import gemm
from .activation import bias_activation_backward
from .module import empty
from .recurrent_sequences import GRU_BEFORE, SIMPLE, Sequences


def gradients(run: Sequences, last: Sequences, back, grads, needs):
    """For each direction the gradients of its inputs, first states and weights.

    last: the last part, as it is since the way there.
    back: the function that goes back through a part: `recurrent.run_backward`.
    grads: those of states and, of an LSTM, of carries, (directions, N, steps, U).
    needs: for each direction whether those of (x, kernel, recurrent kernel, bias) are wanted.
    """
    sums = [_Sums(run, i, wanted) for i, wanted in enumerate(needs)]
    firsts = None
    for part in _parts(run, last):
        given = [part.cut(g) for g in grads]
        if firsts is not None:
            for g, first in zip(given, firsts, strict=True):
                g[0, :, -1] += first[0]
                if run.directions > 1:
                    g[1, :, 0] += first[1]
        d, *firsts = back(part, *given)
        for one in sums:
            one.add(part, d)
    pairs = enumerate(sums)
    return [(one.dx, *(first[i] for first in firsts), *one.of_weights()) for i, one in pairs]


def _parts(run: Sequences, last: Sequences):
    """The parts of the steps with all that is needed to go back, the last one first."""
    yield last
    for start, stop in run.parts()[-2::-1]:
        part = run.part(start, stop)
        part.states, part.carries = part.cut(run.states), part.cut(run.carries)
        part.allocate()
        if part.cell is not SIMPLE:
            _again(part)
        yield part


def _again(part: Sequences) -> None:
    """The gates of steps of which the states are known."""
    part.project()
    before = part.before()
    for second, packed in enumerate(part.packed):
        for i, weights in enumerate(packed):
            left = part.reset[i] if second else before[i]
            gemm.matmul(left, weights, out=part.gates[i], accumulate=True)
        part.launch(
            "recurrent_again", part.gates, part.bias, before, part.reset, part.sizes,
            part.directions, bool(second), steps=part.steps,
        )  # fmt: skip


class _Sums:
    """What parts add to the gradients of a direction; weights are packed until the end."""

    def __init__(self, run: Sequences, i: int, needs):
        self.run, self.i, self.needs = run, i, needs
        self.dx = empty(run.x[i].shape, run.dtype) if needs[0] else None
        self.kernel = self.bias = None
        self.recurrent = [None] * len(run.cell.of_states)

    def add(self, part: Sequences, d) -> None:
        """Add those of a part, d being the gradients of what its gates are computed from."""
        run, i = self.run, self.i
        d = d[i].reshape(-1, d.shape[-1])
        of_x, of_kernel, of_recurrent, of_bias = self.needs
        if of_x:
            dx = gemm.matmul(d, part.packed_kernel[i].T).reshape(part.x[i].shape)
            if part is run:
                self.dx = dx
            else:
                self.dx[:, part.places[i]] = dx
        if of_kernel:
            self.kernel = _plus(part.x[i], d, self.kernel)
        if of_recurrent:
            factors = [part.before()[i]] + ([part.reset[i]] if part.cell is GRU_BEFORE else [])
            pairs = zip(factors, self.recurrent, strict=True)
            self.recurrent = [_plus(factor, d, total) for factor, total in pairs]
        if of_bias and run.given[i].bias is not None:
            like = empty((d.shape[-1],), run.dtype)
            found = bias_activation_backward(d, d, like, needs=(False, True))[1]
            self.bias = found if self.bias is None else self.bias + found

    def of_weights(self):
        """Those of the kernel, the recurrent kernel and the bias, as they are outside."""
        run, one, cell = self.run, self.run.given[self.i], self.run.cell
        d_kernel = d_recurrent = d_bias = None
        if self.kernel is not None:
            d_kernel = run.unpacked(self.kernel, one.kernel, cell.of_inputs)
        if self.recurrent[0] is not None:
            for product, order in zip(self.recurrent, cell.of_states, strict=True):
                d_recurrent = run.unpacked(product, one.recurrent, order, d_recurrent)
        if self.bias is not None:
            d_bias = self._of_bias(one.bias)
        return d_kernel, d_recurrent, d_bias

    def _of_bias(self, bias):
        run, y = self.run, empty(bias.shape, self.run.dtype)
        if bias.ndim == 1:
            return run.unpacked(self.bias, bias, run.cell.of_inputs, y)
        run.unpacked(self.bias, bias[0], run.cell.of_inputs, y[0])
        run.unpacked(self.bias, bias[1], run.cell.of_states[0], y[1])
        return y


def _plus(left, d, total):
    """The product of a part's rows with gradients, added to that of other parts, if any."""
    rows = left.reshape(-1, left.shape[-1]).T
    if total is None:
        return gemm.matmul(rows, d)
    return gemm.matmul(rows, d, out=total, accumulate=True)
