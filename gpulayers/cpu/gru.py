"""GRU of NumPy arrays: few passes over each step, and all else for all steps at once.

Inside, gates stand in the order z, r, n, and behind them what r is multiplied by.
"""

from __future__ import annotations

import numpy as np

from ..jit import gru as loops
from ..ops.recurrent import gru
from .activation import ONE
from .recurrent import Run
from .recurrent_loops import Loops, padded, strips, turned, worth
from .steps import each, sigmoid, temporary, usual, where_masked

N_FIRST = (2, 0, 1)  # The order of n, z, r among the gates of the weights.


@gru.on("numpy")
def _(x, h, kernel, recurrent_kernel, bias=None, mask=None, *, needs=None, **options):
    reset_after = options.pop("reset_after", True)
    if not usual((h, kernel, recurrent_kernel, bias), x, options):
        return NotImplemented
    if worth(x, h, GruLoops.gates):
        run = GruLoops(x, kernel, recurrent_kernel, bias, mask, reset_after)
        return run.called(h, needs)
    if not reset_after:
        return NotImplemented
    run = Gru(h, kernel, recurrent_kernel, bias, where_masked(mask))
    states = np.empty((x.shape[1] + 1, *h.shape), x.dtype)
    states[0], out = h, states[1:].swapaxes(0, 1)
    if needs is None:
        run.outputs(x, [states])
        return out
    last = run.pieces(x.shape[1])[-1]
    gates = run.gates(last.stop - last.start)
    run.record(x, gates, [states])

    def pullback(g):
        dh, both = np.zeros(h.shape, h.dtype), bias is not None and needs[4]
        wanted = needs[0], needs[2], needs[3], both, both
        found = run.gradients(x, gates, [states], [dh], [g.swapaxes(0, 1)], wanted)
        return found[0], dh, *found[1:3], np.stack(found[3:]) if both else None, None

    return out, pullback


class GruLoops(Loops):
    """The steps of sequences by compiled loops.

    bias: (2, 3 U), of inputs and of states, or without `reset_after` (3 U,); None for none.
    """

    gates, loops = 3, loops

    def __init__(self, x, kernel, recurrent_kernel, bias, mask, after: bool):
        self.after, self.own, of_x, of_states = after, bias, bias, None
        if after and bias is not None:
            of_x, of_states = bias
        super().__init__(x, kernel, recurrent_kernel, of_x, mask)
        if not after:  # Strips of the last third of the gates end behind it.
            self.width = padded(2 * self.units + padded(self.units))
            self.bias = self.wide(of_x)
        self.biases = (self.wide(of_states),)

    def weights(self):
        of_x, own, both = strips(self.kernel, "kernel"), self.recurrent_kernel, 2 * self.units
        if self.after:
            return of_x, strips(own, "states"), None
        return of_x, strips(own[:, :both], "states"), strips(own[:, both:], "states of n")

    def backs(self):
        own, both = self.recurrent_kernel, 2 * self.units
        if self.after:
            return turned(own, "states"), None
        return turned(own[:, :both], "states"), turned(own[:, both:], "states of n")

    def memory(self, count, steps, make):
        inner = make("inner", (count, steps, self.units), self.dtype)
        return [*super().memory(count, steps, make), inner]

    def room(self, rows):
        return (np.empty((rows, self.width if self.after else self.units), self.dtype),)

    def memory_back(self):
        (of_x,), of_states = super().memory_back(), None
        if self.after:
            of_states = temporary("gradients of states", of_x.shape, self.dtype)
        return [of_x, of_states]

    def room_back(self, rows):
        return (np.zeros((rows, self.width), self.dtype),)

    def factors_back(self, kept, outputs, before, d):
        ((every, states),) = super().factors_back(kept, outputs, before, d)
        if self.after:
            return [(every, states)]
        both = 2 * self.units
        return [(slice(0, both), states), (slice(both, every.stop), kept[1][:, : self.steps])]

    def called(self, h, needs):
        """`gru` for these first states."""
        (out,), kept = self.run((h,), needs is not None)
        if needs is None:
            return out

        def pullback(g):
            has = self.own is not None and needs[4]
            wanted = needs[0], needs[2], needs[3], has, has and self.after
            dx, *kernels, of_x, of_states, (dh,) = self.gradients(kept, [out], (h,), (g,), wanted)
            biases = np.stack([of_x, of_states]) if has and self.after else of_x
            return dx, dh, *kernels, biases, None

        return out, pullback


class Gru(Run):
    """The steps of sequences.  bias: (2, 3 U), of inputs and of states, or None."""

    order, tangent, room, back = (0, 1, 2), 2, 4, 5

    def __init__(self, h, kernel, recurrent_kernel, bias, masked):
        of_x, self.of_n = bias, None
        if bias is not None:  # Only that of n cannot be added beforehand.
            last = 2 * h.shape[1]
            of_x, self.of_n = bias[0].copy(), bias[1, last:]
            of_x[:last] += bias[1, :last]
        super().__init__(h, kernel, recurrent_kernel, of_x, masked)

    def through(self, gates, arrays, masked):
        (states,), of_n = arrays, self.of_n
        gates, masked = gates.swapaxes(0, 1), each(masked, gates.shape[1])
        weights, multiply = self.recurrent.matrices, self.recurrent.multiply
        out, into = self.recurrent.room(gates.shape[2])
        both, of_h = out[:2], out[2]
        term, squash = np.empty_like(of_h), sigmoid()
        add, times, tanh, subtract = np.add, np.multiply, np.tanh, np.subtract
        h = states[0]
        with np.errstate(over="ignore"):
            for now, new, kept in zip(gates, states[1:], masked, strict=True):
                multiply(h, weights, into)
                zr, (z, r, n, inner) = now[:2], now
                add(zr, both, zr)
                squash(zr)
                if of_n is None:
                    np.copyto(inner, of_h)
                else:
                    add(of_h, of_n, inner)
                times(r, inner, term)
                add(n, term, n)
                tanh(n, n)
                subtract(h, n, new)
                times(new, z, new)
                add(new, n, new)
                if kept is not None:
                    np.copyto(new, h, where=kept)
                h = new

    def factors_back(self, arrays, d):
        kernels = self.gates_of(self.kernel, N_FIRST)
        return arrays[0][:-1], kernels, (d[:3], N_FIRST), (d[1:4], self.order)

    def factors_of(self, gates, arrays, d, masked):
        """By what the gradient of a state goes into n and z, that of n into r and what r is
        multiplied by, and that of the state into the one before."""
        z, r, n, inner = gates
        np.multiply(n, n, out=d[0])
        np.subtract(ONE, d[0], out=d[0])
        np.subtract(ONE, gates[:2], out=d[1:3])
        d[0] *= d[1]
        d[1:3] *= gates[:2]
        d[1] *= arrays[0][:-1] - n
        d[2] *= inner
        d[3], d[4] = r, z
        if masked is not None:
            np.copyto(d[:4], 0, where=masked)
            np.copyto(d[4], 1, where=masked)

    def through_back(self, d, product, firsts, grads, masked):
        (dh,), (g,) = firsts, grads
        memory, run, add, times = product.room(len(dh)), product.run, np.add, np.multiply
        back, rows = np.empty_like(dh), d.swapaxes(0, 1)[::-1]
        dv, before = product.views(d[1:4, ::-1]), [*g[:-1][::-1], None]
        for (n, z, r, inner, kept), parts, g in zip(rows, dv, before, strict=True):
            times(n, dh, n)
            times(z, dh, z)
            times(kept, dh, kept)
            times(r, n, r)
            times(inner, n, inner)
            run(parts, memory, back)
            add(back, kept, dh)
            if g is not None:
                add(dh, g, dh)
