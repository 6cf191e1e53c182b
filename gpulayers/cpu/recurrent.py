"""LSTM and GRU of NumPy arrays: few passes over each step, and all else for all steps at once.

Time is the first axis inside.  All gates of a step come from one exp, which NumPy computes twice
as fast as tanh: sigmoid(z) = 1 / (1 + exp(-z)), tanh(z) = 2 / (1 + exp(-2 z)) - 1.  The factors -1
and -2 are in the weights.
"""

from __future__ import annotations

import numpy as np

from ..ops.recurrent import gru, lstm
from .activation import fits

USUAL = {"activation": "tanh", "recurrent_activation": "sigmoid"}


def _fit(arrays, x, options) -> bool:
    """Whether these versions are for such arrays and activations."""
    same = all(a is None or a.dtype == x.dtype for a in arrays)
    return same and fits(x) and x.shape[1] > 0 and options == USUAL


def _time_first(x):
    return np.ascontiguousarray(x.swapaxes(0, 1))


def _sigmoid(z):
    """1 / (1 + exp(z)) in place."""
    np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def _stretched(z):
    """From 0...1 to -1...1, in place."""
    z *= 2
    z -= 1


def _projected(x, kernel, bias):
    """(steps, N, 4 U or 3 U): the inputs' part of all steps, in one product."""
    z = x.reshape(-1, x.shape[-1]) @ kernel
    if bias is not None:
        z += bias
    return z.reshape(*x.shape[:2], -1)


def _masks(mask, steps):
    """For each step, where states stay: (N, 1); None if nowhere."""
    return [None] * steps if mask is None else list(~mask.T[:, :, None])


def _part(masked, g):
    """Take the gradient of kept states out of `g`, in place, and give it."""
    if masked is None:
        return None
    kept = np.where(masked, g, 0)
    np.copyto(g, 0, where=masked)
    return kept


def _weight_gradients(needs, x, before, kernel, d_inputs, d_states):
    """Gradients of x, kernel and recurrent kernel from those of both products of all steps."""
    flat, states = (d.reshape(-1, d.shape[-1]) for d in (d_inputs, d_states))
    need_x, need_kernel, need_recurrent = needs
    dx = None
    if need_x:
        dx = (flat @ kernel.T).reshape(*d_inputs.shape[:2], -1).swapaxes(0, 1)
    return (
        dx,
        x.reshape(-1, x.shape[-1]).T @ flat if need_kernel else None,
        before.reshape(-1, before.shape[-1]).T @ states if need_recurrent else None,
    )


@lstm.on("numpy")
def _(x, h, c, kernel, recurrent_kernel, bias=None, mask=None, *, needs=None, **options):
    options = {**USUAL, **options}
    if not _fit((h, c, kernel, recurrent_kernel, bias), x, options):
        return NotImplemented
    size = h.shape[-1]
    scale = np.repeat(np.array([-1, -1, -2, -1], x.dtype), size)
    x = _time_first(x)
    steps, count = x.shape[:2]
    with np.errstate(over="ignore"):  # Then the gate is 0.
        z = _projected(x, kernel * scale, None if bias is None else bias * scale)
        states, carries = (np.empty((steps + 1, count, size), x.dtype) for _ in range(2))
        states[0], carries[0] = h, c
        activated = np.empty((steps if needs else 1, count, size), x.dtype)
        masks = _masks(mask, steps)
        _run_lstm(z, states, carries, activated, recurrent_kernel * scale, masks)
    out = states[1:].swapaxes(0, 1), carries[1:].swapaxes(0, 1)
    if needs is None:
        return out

    def pullback(g):
        d = _lstm_factors(z, carries, activated)
        dz, dh, dc = _back_lstm(g, z, d, activated, recurrent_kernel, masks)
        wanted = needs[0], needs[3], needs[4]
        dx, dw, du = _weight_gradients(wanted, x, states[:-1], kernel, dz, dz)
        return dx, dh, dc, dw, du, None if bias is None else dz.sum(axis=(0, 1)), None

    return out, pullback


def _run_lstm(z, states, carries, activated, recurrent_kernel, masks):
    """The steps in place: `z` becomes the gates, `activated` tanh of the carries."""
    size = states.shape[-1]
    product, term = np.empty_like(z[0]), np.empty_like(states[0])
    for t, (gates, masked) in enumerate(zip(z, masks, strict=True)):
        np.matmul(states[t], recurrent_kernel, out=product)
        gates += product
        _sigmoid(gates)
        i, f, n, o = (gates[:, k * size : (k + 1) * size] for k in range(4))
        _stretched(n)
        carry, a = carries[t + 1], activated[t % len(activated)]
        np.multiply(f, carries[t], out=carry)
        np.multiply(i, n, out=term)
        carry += term
        np.multiply(carry, -2, out=a)
        _sigmoid(a)
        _stretched(a)
        np.multiply(o, a, out=states[t + 1])
        if masked is not None:
            np.copyto(states[t + 1], states[t], where=masked)
            np.copyto(carry, carries[t], where=masked)


def _lstm_factors(z, carries, activated):
    """(steps, N, 4, U): by what the gradients of carries (of states, for o) go into z."""
    i, f, n, o = np.split(z, 4, axis=-1)
    d = np.empty((*z.shape[:2], 4, i.shape[-1]), z.dtype)
    for k, (gate, other) in enumerate(((i, n), (f, carries[:-1]), (n, i), (o, activated))):
        to = d[:, :, k]
        if gate is n:
            np.multiply(n, n, out=to)
            np.subtract(1, to, out=to)
        else:
            np.subtract(1, gate, out=to)
            to *= gate
        to *= other
    return d


def _back_lstm(g, z, d, activated, recurrent_kernel, masks):
    """The gradients of z, and of the first state and carry."""
    size = activated.shape[-1]
    g_h, g_c = (one.swapaxes(0, 1) for one in g)
    into_carry = 1 - activated * activated
    into_carry *= z[:, :, 3 * size :]
    dz, turned = np.empty_like(d), np.ascontiguousarray(recurrent_kernel.T)
    dh, dc, term = (np.zeros_like(activated[0]) for _ in range(3))
    for t in range(len(z) - 1, -1, -1):
        dh += g_h[t]
        dc += g_c[t]
        kept_h, kept_c = _part(masks[t], dh), _part(masks[t], dc)
        np.multiply(into_carry[t], dh, out=term)
        dc += term
        np.multiply(d[t, :, :3], dc[:, None], out=dz[t, :, :3])
        np.multiply(d[t, :, 3], dh, out=dz[t, :, 3])
        np.matmul(dz[t].reshape(len(dh), -1), turned, out=dh)
        dc *= z[t, :, size : 2 * size]
        if kept_h is not None:
            dh += kept_h
            dc += kept_c
    return dz.reshape(z.shape), dh, dc


@gru.on("numpy")
def _(x, h, kernel, recurrent_kernel, bias=None, mask=None, *, needs=None, **options):
    reset_after = options.pop("reset_after", True)
    options = {**USUAL, **options}
    if not reset_after or not _fit((h, kernel, recurrent_kernel, bias), x, options):
        return NotImplemented
    size = h.shape[-1]
    scale = np.repeat(np.array([-1, -1, -2], x.dtype), size)
    x = _time_first(x)
    steps, count = x.shape[:2]
    of_x, of_h = (None, None) if bias is None else bias * scale
    with np.errstate(over="ignore"):  # Then the gate is 0.
        y = _projected(x, kernel * scale, of_x)
        states = np.empty((steps + 1, count, size), x.dtype)
        states[0] = h
        inner = np.empty((steps if needs else 1, count, size), x.dtype)
        masks = _masks(mask, steps)
        _run_gru(y, states, inner, recurrent_kernel * scale, of_h, masks)
    out = states[1:].swapaxes(0, 1)
    if needs is None:
        return out

    def pullback(g):
        dy, dv, dh = _back_gru(g.swapaxes(0, 1), y, states, inner, recurrent_kernel, masks)
        wanted = needs[0], needs[2], needs[3]
        dx, dw, du = _weight_gradients(wanted, x, states[:-1], kernel, dy, dv)
        both = None if bias is None else np.stack([d.sum(axis=(0, 1)) for d in (dy, dv)])
        return dx, dh, dw, du, both, None

    return out, pullback


def _run_gru(y, states, inner, recurrent_kernel, bias, masks):
    """The steps in place: `y` becomes the gates z, r, n; `inner` what r is multiplied by, * -2."""
    size = states.shape[-1]
    product, term = np.empty_like(y[0]), np.empty_like(states[0])
    for t, (gates, masked) in enumerate(zip(y, masks, strict=True)):
        np.matmul(states[t], recurrent_kernel, out=product)
        if bias is not None:
            product += bias
        both, n = gates[:, : 2 * size], gates[:, 2 * size :]
        both += product[:, : 2 * size]
        _sigmoid(both)
        inner[t % len(inner)] = product[:, 2 * size :]
        np.multiply(both[:, size:], product[:, 2 * size :], out=term)
        n += term
        _sigmoid(n)
        _stretched(n)
        new = states[t + 1]
        np.subtract(states[t], n, out=new)
        new *= both[:, :size]
        new += n
        if masked is not None:
            np.copyto(new, states[t], where=masked)


def _back_gru(g, y, states, inner, recurrent_kernel, masks):
    """The gradients of y, of the recurrent product, and of the first state."""
    size = states.shape[-1]
    z, r, n = (y[:, :, k * size : (k + 1) * size] for k in range(3))
    into_z = states[:-1] - n
    into_z *= z * (1 - z)
    into_n = 1 - n * n
    into_n *= 1 - z
    into_r = r * (1 - r)
    into_r *= inner * -0.5
    dy, dv = np.empty_like(y), np.empty_like(y)
    dh, turned = np.zeros_like(states[0]), np.ascontiguousarray(recurrent_kernel.T)
    back = np.empty_like(dh)
    for t in range(len(y) - 1, -1, -1):
        dh += g[t]
        kept = _part(masks[t], dh)
        own, own_n = dv[t], dy[t, :, 2 * size :]
        np.multiply(dh, into_n[t], out=own_n)
        np.multiply(dh, into_z[t], out=own[:, :size])
        np.multiply(own_n, into_r[t], out=own[:, size : 2 * size])
        np.multiply(own_n, r[t], out=own[:, 2 * size :])
        np.matmul(own, turned, out=back)
        dh *= z[t]
        dh += back
        if kept is not None:
            dh += kept
    dy[:, :, : 2 * size] = dv[:, :, : 2 * size]
    return dy, dv, dh
