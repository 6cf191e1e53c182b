"""LSTM of NumPy arrays: few passes over each step, and all else for all steps at once.

Inside, gates stand in the order o, i, f, n, so that sigmoids are neighbours.
"""

from __future__ import annotations

import numpy as np

from ..ops.recurrent import lstm, lstm_step
from .activation import HALF, ONE, TWO, fits
from .recurrent import Run
from .steps import (
    each,
    is_usual,
    product_gradients,
    sigmoid_factor,
    sigmoids_and_tanh,
    temporary,
    time_first,
    usual,
    where_masked,
)


@lstm.on("numpy")
def _(x, h, c, kernel, recurrent_kernel, bias=None, mask=None, *, needs=None, **options):
    if not usual((h, c, kernel, recurrent_kernel, bias), x, options):
        return NotImplemented
    one = x.shape[0] == 1 and mask is None
    run = (One if one else Lstm)(h, kernel, recurrent_kernel, bias, where_masked(mask))
    gates, carries, states = run.memory(x.shape[1], needs is not None)
    states[0], carries[0] = h, c
    out = states[1:].swapaxes(0, 1), carries[1:].swapaxes(0, 1)
    if needs is None:
        run.outputs(x, [carries, states])
        return out
    seen = time_first(x, run.masked)
    run.forward(seen, gates, [carries, states])

    def pullback(grads):
        g_h, g_c = (g.swapaxes(0, 1) for g in grads)
        g_c = g_c if g_c.any() else None
        dh, dc = np.array(g_h[-1]), np.zeros_like(h) if g_c is None else np.array(g_c[-1])
        d = run.backward(gates, [carries, states], [dh, dc], run.order, g_h, g_c)
        wanted = needs[0], needs[3], needs[4], bias is not None and needs[5], False
        factors = np.ascontiguousarray(seen), states[:-1], run.gates_of(kernel)
        found = product_gradients(wanted, *factors, (d[1:5], run.order), (d[1:5], run.order))
        return found[0], dh, dc, *found[1:4], None

    return out, pullback


class Lstm(Run):
    """The steps of several sequences."""

    order, tangent, room, back = (3, 0, 1, 2), 3, 4, 6

    def memory(self, steps, record):
        """Gates, if there is a `record`, and carries and states with those before the steps."""
        carries, states = (np.empty((steps + 1, self.count, self.units), self.dtype) for _ in "cs")
        return self.gates(steps) if record else None, carries, states

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

    Rows [x, 1, 2 h] bring all products of a step into one; 1 + tanh(z / 2) is twice a gate, and
    halves are taken at the end.  The carry before each step stands behind its gates, so that one
    product takes i and f to n and the carry.
    """

    def memory(self, steps, record):
        block = self.steps_of(5, steps + 1)
        return block[:4, :-1], block[4], np.empty((steps + 1, 1, self.units), self.dtype)

    def outputs(self, x, arrays):
        self.forward(time_first(x), arrays[0].base[:-1, :4].swapaxes(0, 1), arrays)

    def forward(self, x, gates, arrays, start=0):
        carries, states = arrays
        block, steps, units = carries.base[:, :, 0], len(x), self.units
        size = x.shape[-1] + 1
        rows = np.empty((steps + 1, size + units), self.dtype)
        rows[:steps, : size - 1], rows[:, size - 1], twice = x[:, 0], 1, rows[:, size:]
        np.multiply(states[0, 0], TWO, out=twice[0])
        weights = self.weights(size)
        terms, activated = np.empty((2, units), self.dtype), np.empty(units, self.dtype)
        dot, add, times, tanh = np.dot, np.add, np.multiply, np.tanh
        halves, every = np.full(2, 0.5, self.dtype), block.reshape(steps + 1, -1)
        views = every[:, : 4 * units], every[:, : 3 * units], block[:, 1:3], block[:, 3:]
        further = block[:, 0], block[1:, 4], twice[1:]
        for row, z, sigmoids, i_f, n_c, o, carry, new in zip(rows, *views, *further):
            dot(row, weights, z)
            tanh(z, z)
            add(sigmoids, ONE, sigmoids)
            times(i_f, n_c, terms)
            dot(halves, terms, carry)
            tanh(carry, activated)
            times(o, activated, new)
        np.multiply(twice[1:], HALF, out=states[1:, 0])
        block[:steps, :3] *= HALF

    def weights(self, size):
        """Of x, 1 and 2 h: (size + U, 4 U)."""
        found = np.zeros((size + self.units, 4, self.units), self.dtype)
        for i, (kernel, recurrent) in enumerate(
            zip(self.gates_of(self.kernel), self.gates_of(self.recurrent_kernel), strict=True)
        ):
            factor = ONE if i == self.tangent else HALF
            np.multiply(kernel, factor, out=found[: size - 1, i])
            np.multiply(recurrent, factor * HALF, out=found[size:, i])
            if self.bias is not None:
                np.multiply(self.gates_of(self.bias)[i], factor, out=found[size - 1, i])
        return found.reshape(len(found), -1)
