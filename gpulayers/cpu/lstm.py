"""LSTM of NumPy arrays: few passes over each step, and all else for all steps at once.

Inside, gates stand in the order o, i, f, n, so that sigmoids are neighbours.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..ops.recurrent import lstm, lstm_step
from .activation import HALF, ONE, TWO, fits
from .recurrent import Run
from .steps import (
    each,
    is_usual,
    sigmoid_factor,
    sigmoids_and_tanh,
    temporary,
    usual,
    where_masked,
)


@lstm.on("numpy")
def _(x, h, c, kernel, recurrent_kernel, bias=None, mask=None, *, needs=None, **options):
    if not usual((h, c, kernel, recurrent_kernel, bias), x, options):
        return NotImplemented
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
    for to, a, b in zip(gates, _gates(seen, axis), _gates(weighed, axis), strict=True):
        np.add(a, b, out=to)
    gates[:3] *= sigmoid_factor()
    with np.errstate(over="ignore"):
        sigmoids_and_tanh()(gates, gates[:3], gates[3])
    o, i, f, n = gates
    new = f * carry
    state = i * n
    new += state
    np.tanh(new, out=state)
    state *= o
    if needs is None:
        return state, new

    def pullback(grads):
        g_state, g_carry = grads
        d = temporary("gradients", (6, *carry.shape), carry.dtype)
        _factors(gates, np.tanh(new), carry, d)
        d[:2] *= g_state
        d[0] += g_carry
        d[2:] *= d[0]
        dz = np.empty_like(seen)
        for to, part in zip(_gates(dz, axis), d[1:5], strict=True):
            to[...] = part
        return dz, dz, d[5].copy()

    return (state, new), pullback


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

    With t = tanh(z / 2) a gate is (1 + t) / 2, so that the new carry is half the sum of n, the
    carry before, t_i n and t_f carry: neighbours in memory, of which one product takes the sum.
    The state is half the sum of a = tanh(carry) and t_o a: rows [x, 1, a, t_o a] bring all products
    of a step into one.
    """

    room, back = 7, 7

    def memory(self, steps, record):
        self.block = self.steps_of(self.room, steps + 1)  # o, i, f, n, the carry before, two terms.
        states = np.empty((steps + 1, 1, self.units), self.dtype)
        return self.block[:, :-1], self.block[4], states

    def record(self, x, gates, arrays):
        self.outputs(x, arrays)
        sigmoids = gates.swapaxes(0, 1)[:, :3]
        sigmoids *= HALF
        sigmoids += HALF

    def outputs(self, x, arrays):
        states, units, size, steps = arrays[1], self.units, x.shape[-1] + 1, x.shape[1]
        rows = np.empty((steps + 1, size + 2 * units), self.dtype)
        rows[:steps, : size - 1], rows[:, size - 1] = x[0], 1
        halves = rows[:, size : size + units], rows[:, size + units :]
        np.multiply(states[0], TWO, out=halves[0][:1])
        halves[1][0] = 0
        block, weights = self.block.swapaxes(0, 1)[:, :, 0], self.weights(size)
        every = block.reshape(steps + 1, -1)
        dot, times, tanh, quarters = np.dot, np.multiply, np.tanh, np.full(4, 0.5, self.dtype)
        places = (0, 4), (1, 3), (3, 5), (5, 7), (0, 1)
        views = (every[:, a * units : b * units] for a, b in places)
        further = block[:, 3:], block[1:, 4], halves[0][1:], halves[1][1:]
        for row, z, i_f, n_c, terms, o, four, carry, a, o_a in zip(rows, *views, *further):
            dot(row, weights, z)
            tanh(z, z)
            times(i_f, n_c, terms)
            dot(quarters, four, carry)
            tanh(carry, a)
            times(o, a, o_a)
        np.add(halves[0][1:], halves[1][1:], out=states[1:, 0])
        states[1:] *= HALF

    def weights(self, size):
        """Of x, 1, a and t_o a: (size + 2 U, 4 U)."""
        found = np.zeros((size + 2 * self.units, 4, self.units), self.dtype)
        state = found[size:].reshape(2, self.units, 4, self.units)
        for i, (kernel, recurrent) in enumerate(
            zip(self.gates_of(self.kernel), self.gates_of(self.recurrent_kernel), strict=True)
        ):
            factor = ONE if i == self.tangent else HALF
            np.multiply(kernel, factor, out=found[: size - 1, i])
            np.multiply(recurrent, factor * HALF, out=state[:, :, i])
            if self.bias is not None:
                np.multiply(self.gates_of(self.bias)[i], factor, out=found[size - 1, i])
        return found.reshape(len(found), -1)

    def factors_back(self, arrays, d):
        gates = d[1:5], (0, 1, 2, 3)
        return arrays[1][:-1], self.gates_of(self.kernel, gates[1]), gates, gates

    def backward(self, gates, arrays, firsts, further, start):
        """As of several sequences, but for the order of the parts: the carry before, i, f, n, o,
        the carry, and the gradient of the state before, which one product takes with the others."""
        (g_h, g_c), (dh, dc), units = further, firsts, self.units
        d = self.steps_of(self.back, gates.shape[1], partial(temporary, "gradients"))
        self.factors_of(gates, arrays, d, None)
        rows = d.swapaxes(0, 1)[:, :, 0]
        rows[0, 6], rows[1:, 6] = 0, g_h[:-1, 0]
        weights, twice, carry = self.weights_back(), np.concatenate([dh[0], dh[0]]), dc[0]
        copies = np.empty((4, units), self.dtype)
        add, times, dot, flat = np.add, np.multiply, np.dot, copies.reshape(-1)
        back, every = rows[::-1], rows.reshape(len(rows), -1)[::-1]
        places = (4, 6), (0, 4), (1, 7)
        views = (every[:, a * units : b * units] for a, b in places)
        g_carries = [None] * len(rows) if g_c is None else _back(g_c[:, 0])
        for into_c, before, both, of_c, six, g in zip(back[:, 5], back[:, 0], *views, g_carries):
            times(both, twice, both)
            add(carry, into_c, copies)
            times(of_c, flat, of_c)
            dot(six, weights, twice)
            carry = before
            if g is not None:
                add(carry, g, carry)
        dh[0], dc[0] = twice[:units], carry
        return d

    def factors_of(self, gates, arrays, d, masked):
        carries = arrays[0]
        o, i, f, n = gates[:4]
        activated = np.tanh(carries[1:])
        np.subtract(ONE, gates[:3], out=d[4:1:-1])
        for to, gate, other in ((d[4], o, activated), (d[3], i, n), (d[2], f, carries[:-1])):
            to *= gate
            to *= other
        d[1], d[0] = d[3], f
        for to, gate, other in ((d[3], n, i), (d[5], activated, o)):
            np.multiply(gate, gate, out=to)
            np.subtract(ONE, to, out=to)
            to *= other

    def weights_back(self):
        """Of the parts 1 to 6 of the way back, to the gradient of the state before, twice."""
        units = self.units
        found = np.zeros((6, units, 2, units), self.dtype)
        found[:4] = self.recurrent_kernel.T.reshape(4, units, 1, units)
        found[5, :, 0] = found[5, :, 1] = np.eye(units, dtype=self.dtype)
        return found.reshape(6 * units, 2 * units)
