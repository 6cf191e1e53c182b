"""LSTM of NumPy arrays: few passes over each step, and all else for all steps at once.

Inside, gates stand in the order o, i, f, n, so that sigmoids are neighbours.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np

from ..jit import lstm as loops
from ..ops.recurrent import lstm, lstm_step
from .activation import HALF, ONE, TWO, fits
from .recurrent import Run
from .recurrent_loops import Loops, worth
from .steps import (
    do,
    each,
    is_usual,
    sigmoid_factor,
    sigmoids_and_tanh,
    temporary,
    usual,
    where_masked,
)
from .threads import available


@lstm.on("numpy")
def _(x, h, c, kernel, recurrent_kernel, bias=None, mask=None, *, needs=None, **options):
    if not usual((h, c, kernel, recurrent_kernel, bias), x, options):
        return NotImplemented
    if worth(x, h, LstmLoops.gates):
        return LstmLoops.called(x, h, c, kernel, recurrent_kernel, bias, mask, needs)
    given = h, kernel, recurrent_kernel, bias, where_masked(mask)
    run = Lstm(*given)
    if x.shape[0] == 1 and mask is None and run.all_at_once(x.shape[1]):
        run = One(*given)
    gates, carries, states = run.memory(x.shape[1], needs is not None)
    states[0], carries[0] = h, c
    out = states[1:].swapaxes(0, 1), carries[1:].swapaxes(0, 1)
    if needs is None:
        run.outputs(x, [carries, states])
        return out
    run.record(x, gates, [carries, states])

    def pullback(grads):
        g_h, g_c = (g.swapaxes(0, 1) for g in grads)
        g_c = g_c if g_c.any() else None
        firsts = np.zeros(h.shape, h.dtype), np.zeros(h.shape, h.dtype)
        wanted = needs[0], needs[3], needs[4], bias is not None and needs[5], False
        found = run.gradients(x, gates, [carries, states], firsts, [g_h, g_c], wanted)
        return found[0], *firsts, *found[1:4], None

    return out, pullback


class LstmLoops(Loops):
    """The steps of sequences by compiled loops.  States are carry and state, in this order."""

    gates, loops = 4, loops

    @classmethod
    def called(cls, x, h, c, kernel, recurrent_kernel, bias, mask, needs):
        """`lstm` of these arguments."""
        run, firsts = cls(x, kernel, recurrent_kernel, bias, mask), (c, h)
        outputs, kept = run.run(firsts, needs is not None)
        out = outputs[1], outputs[0]
        if needs is None:
            return out

        def pullback(grads):
            g_h, g_c = grads
            ours = g_c if g_c.any() else None, g_h
            wanted = needs[0], needs[3], needs[4], bias is not None and needs[5], False
            *found, _, (dc, dh) = run.gradients(kept, outputs, firsts, ours, wanted)
            return found[0], dh, dc, *found[1:], None

        return out, pullback


class Lstm(Run):
    """The steps of several sequences."""

    order, tangent, room, back = (3, 0, 1, 2), 3, 4, 6

    def memory(self, steps, record):
        """Gates, if there is a `record`, and carries and states with those before the steps."""
        carries, states = (np.empty((steps + 1, self.count, self.units), self.dtype) for _ in "cs")
        last = self.pieces(steps)[-1]
        return self.gates(last.stop - last.start) if record else None, carries, states

    def through(self, gates, arrays, masked):
        carries, states = arrays
        gates, masked = gates.swapaxes(0, 1), each(masked, gates.shape[1])
        weights, multiply = self.recurrent.matrices, self.recurrent.multiply
        out, into = self.recurrent.room(gates.shape[2])
        activated, squash = np.empty_like(carries[0]), sigmoids_and_tanh()
        add, times, tanh = np.add, np.multiply, np.tanh
        h, c = states[0], carries[0]
        with np.errstate(over="ignore"):
            for z, sigmoids, new, carry, kept in zip(
                gates, gates[:, :3], states[1:], carries[1:], masked, strict=True
            ):
                multiply(h, weights, into)
                add(z, out, z)
                o, i, f, n = z
                squash(z, sigmoids, n)
                times(f, c, carry)
                times(i, n, activated)
                add(carry, activated, carry)
                tanh(carry, activated)
                times(o, activated, new)
                if kept is not None:
                    np.copyto(new, h, where=kept)
                    np.copyto(carry, c, where=kept)
                h, c = new, carry

    def factors_back(self, arrays, d):
        gates = d[1:5], self.order
        return arrays[1][:-1], self.gates_of(self.kernel), gates, gates

    def factors_of(self, gates, arrays, d, masked):
        carries = arrays[0]
        _factors(gates, np.tanh(carries[1:]), carries[:-1], d)
        if masked is not None:
            np.copyto(d[:5], 0, where=masked)
            np.copyto(d[5], 1, where=masked)

    def through_back(self, d, product, firsts, grads, masked):
        (dh, dc), (g_h, g_c), steps = firsts, grads, d.shape[1]
        memory, run, add, times = product.room(len(dh)), product.run, np.add, np.multiply
        back, carry, rows = np.empty_like(dh), dc, d.swapaxes(0, 1)[::-1]
        # Small products with one factor for all are slow: a copy for each is quicker then.
        copies = np.empty((4, *dc.shape), dc.dtype) if len(dh) == 1 else None
        dz = product.views(d[1:5, ::-1])
        views = rows[:, 0], rows[:, 1], rows[:, 2:], dz, rows[:, 5]
        further = (
            _back(g_h),
            [None] * steps if g_c is None else _back(g_c),
            each(masked, steps)[::-1],
        )
        for into_c, of_o, of_c, dz, before, g, g_carry, kept in zip(*views, *further, strict=True):
            times(into_c, dh, into_c)
            times(of_o, dh, of_o)
            add(carry, into_c, carry)
            if copies is None:
                times(of_c, carry, of_c)
            else:
                np.copyto(copies, carry)
                times(of_c, copies, of_c)
            run(dz, memory, back)
            if kept is not None:
                np.copyto(back, dh, where=kept)
            if g is not None:
                add(back, g, dh)
            carry = before if g_carry is None else add(before, g_carry, before)
        dh[...], dc[...] = back, carry


def _factors(gates, activated, carry, d):
    """By what the gradient of a state goes into the carry and o, and that of the carry into
    i, f, n and the carry before: the six parts of d."""
    o, i, f, n = gates
    np.subtract(ONE, gates[:3], out=d[1:4])
    d[1:4] *= gates[:3]
    for to, other in zip(d[1:4], (activated, n, carry), strict=True):
        to *= other
    for to, gate, other in ((d[0], activated, o), (d[4], n, i)):
        np.multiply(gate, gate, out=to)
        np.subtract(ONE, to, out=to)
        to *= other
    d[5] = f


@lstm_step.on("numpy")
def _(seen, weighed, carry, *, axis=-1, needs=None, **options):
    if not (fits(seen) and seen.dtype == weighed.dtype == carry.dtype and is_usual(options)):
        return NotImplemented
    gates = np.empty((4, *carry.shape), carry.dtype)
    state, new = np.empty_like(carry), np.empty_like(carry)

    def run(part):
        _step(seen[part], weighed[part], carry[part], gates[:, part], state[part], new[part], axis)

    _shared(run, carry)
    if needs is None:
        return state, new

    def pullback(grads):
        d = temporary("gradients", (6, *carry.shape), carry.dtype)
        dz, before = np.empty_like(seen), np.empty_like(carry)

        def back(part):
            now, (g_state, g_carry) = d[:, part], (g[part] for g in grads)
            _factors(gates[:, part], np.tanh(new[part]), carry[part], now)
            now[:2] *= g_state
            now[0] += g_carry
            now[2:] *= now[0]
            for to, one in zip(_gates(dz[part], axis), now[1:5], strict=True):
                to[...] = one
            before[part] = now[5]

        _shared(back, carry)
        return dz, dz, before

    return (state, new), pullback


def _shared(work, carry) -> None:
    """work(some sequences) for all of them, by each thread for some."""
    parts = max(min(available(), len(carry)), 1)
    ends = [len(carry) * i // parts for i in range(parts + 1)]
    do([partial(work, slice(*pair)) for pair in pairwise(ends)], 100.0 * carry.size)


def _step(seen, weighed, carry, gates, state, new, axis) -> None:
    """One step of some sequences: gates in the order here, the state and the carry."""
    for to, a, b in zip(gates, _gates(seen, axis), _gates(weighed, axis), strict=True):
        np.add(a, b, out=to)
    gates[:3] *= sigmoid_factor()
    with np.errstate(over="ignore"):
        sigmoids_and_tanh()(gates, gates[:3], gates[3])
    o, i, f, n = gates
    np.multiply(f, carry, out=new)
    np.multiply(i, n, out=state)
    new += state
    np.tanh(new, out=state)
    state *= o


def _gates(z, axis):
    """The parts o, i, f, n of what has i, f, n, o along an axis."""
    size = z.shape[axis] // 4
    parts = [slice(k * size, (k + 1) * size) for k in Lstm.order]
    return [z[:, part] if axis == 1 else z[..., part] for part in parts]


def _back(g):
    """The gradients of the states before each step, last ones first; that of the first is none."""
    return [*g[:-1][::-1], None]


class One(Lstm):
    """The steps of one sequence, of so few units perhaps that every call of NumPy's counts.

    Rows [x, 1, 2 h] bring all products of a step into one; 1 + tanh(z / 2) is twice a gate, and
    halves are taken at the end.  The carry before each step stands behind its gates, so that one
    product takes i and f to n and the carry.
    """

    room, back = 5, 7

    def memory(self, steps, record):
        self.block = self.steps_of(self.room, steps + 1)
        states = np.empty((steps + 1, 1, self.units), self.dtype)
        return self.block[:, :-1], self.block[4], states

    def record(self, x, gates, arrays):
        self.outputs(x, arrays)
        gates[:3] *= HALF

    def outputs(self, x, arrays):
        states, units, size, steps = arrays[1], self.units, x.shape[-1] + 1, x.shape[1]
        rows = np.empty((steps + 1, size + units), self.dtype)
        rows[:steps, : size - 1], rows[:, size - 1], twice = x[0], 1, rows[:, size:]
        np.multiply(states[0], TWO, out=twice[:1])
        block, weights = self.block.swapaxes(0, 1)[:, :, 0], self.weights(size)
        terms, activated = np.empty((2, units), self.dtype), np.empty(units, self.dtype)
        dot, add, times, tanh = np.dot, np.add, np.multiply, np.tanh
        # An array is added faster than a number, zeros sooner than a view of the others is made.
        ones, halves = np.ones(4 * units, self.dtype), np.full(2, 0.5, self.dtype)
        ones[3 * units :] = 0
        both, every = terms.reshape(-1), block.reshape(steps + 1, -1)
        places = (0, 4), (1, 3), (3, 5), (0, 1)
        views = (every[:, a * units : b * units] for a, b in places)
        further = block[1:, 4], twice[1:]
        for row, z, i_f, n_c, o, carry, new in zip(rows, *views, *further):
            dot(row, weights, z)
            tanh(z, z)
            add(z, ones, z)
            times(i_f, n_c, both)
            dot(halves, terms, carry)
            tanh(carry, activated)
            times(o, activated, new)
        np.multiply(twice[1:], HALF, out=states[1:, 0])

    def weights(self, size):
        """Of x, 1 and 2 h: (size + U, 4 U)."""
        found = np.empty((size + self.units, 4, self.units), self.dtype)
        factors = np.full((4, 1), 0.5, self.dtype)
        factors[self.tangent] = 1
        bias = np.zeros(4 * self.units, self.dtype) if self.bias is None else self.bias
        places = slice(size - 1), slice(size - 1, size), slice(size, None)
        for place, weights in zip(places, (self.kernel, bias, self.recurrent_kernel), strict=True):
            parts = weights.reshape(-1, 4, self.units)
            np.multiply(parts[:, 3], factors[0], out=found[place, 0])
            np.multiply(parts[:, :3], factors[1:], out=found[place, 1:])
        found[size:] *= HALF
        return found.reshape(len(found), -1)

    def gradients(self, x, gates, arrays, firsts, grads, needs):
        """As of several sequences, but by one product for all weights."""
        of_x, of_kernel, of_recurrent, of_bias, _ = needs
        steps, width, units = x.shape[1], x.shape[-1], self.units
        dz = self.through_all_back(gates, arrays, firsts, grads)
        dx = d_kernel = d_recurrent = d_bias = None
        if of_x:
            dx = np.matmul(dz, self.kernel.T)[None]
        if of_kernel or of_recurrent or of_bias:
            rows = np.empty((steps, width + 1 + units), self.dtype)
            rows[:, :width], rows[:, width], rows[:, width + 1 :] = x[0], 1, arrays[1][:-1, 0]
            found = np.matmul(rows.T, dz)
            d_kernel, d_bias, d_recurrent = found[:width], found[width], found[width + 1 :]
        return dx, d_kernel, d_recurrent, d_bias, None

    def through_all_back(self, gates, arrays, firsts, grads):
        """The gradients of what gates are computed from, (steps, 4 U) in the order of the weights.

        The parts of a step are those of the carry before, i, f, n, o, the gradient of the state
        before, which one product takes with the others, and that by which o is passed.
        """
        (g_h, g_c), (dh, dc), units = grads, firsts, self.units
        dh += g_h[-1]
        if g_c is not None:
            dc += g_c[-1]
        d = self.steps_of(self.back, gates.shape[1], partial(temporary, "gradients"))
        self.factors_of(gates, arrays, d, None)
        rows = d.swapaxes(0, 1)[:, :, 0]
        rows[0, 5], rows[1:, 5] = 0, g_h[:-1, 0]
        every, copies = rows.reshape(len(rows), -1), np.empty((4, units), self.dtype)
        add, times, dot, copy, flat = np.add, np.multiply, np.dot, np.copyto, copies.reshape(-1)
        weights = np.concatenate([self.recurrent_kernel, np.eye(units, dtype=self.dtype)], axis=1)
        state, carry = dh[0], dc[0]
        places = (6, 7), (4, 5), (0, 4), (1, 6), (0, 1)
        views = (every[::-1, a * units : b * units] for a, b in places)
        g_carries = [None] * len(rows) if g_c is None else _back(g_c[:, 0])
        for into_c, of_o, of_c, five, before, g in zip(*views, g_carries):
            times(into_c, state, into_c)
            times(of_o, state, of_o)
            add(carry, into_c, carry)
            copy(copies, carry)
            times(of_c, flat, of_c)
            dot(weights, five, state)
            carry = before
            if g is not None:
                add(carry, g, carry)
        dc[0] = carry
        return every[:, units : 5 * units]

    def factors_of(self, gates, arrays, d, masked):
        carries = arrays[0]
        o, i, f, n = gates[:4]
        activated = np.tanh(carries[1:])
        for to, gate, other in ((d[4], o, activated), (d[1], i, n), (d[2], f, carries[:-1])):
            np.subtract(ONE, gate, out=to)
            to *= gate
            to *= other
        d[0] = f
        for to, gate, other in ((d[3], n, i), (d[6], activated, o)):
            np.multiply(gate, gate, out=to)
            np.subtract(ONE, to, out=to)
            to *= other
