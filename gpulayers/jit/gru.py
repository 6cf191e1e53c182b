"""GRU: all steps of some sequences, there and back.  Gates stand in the order z, r, n.

`inner` is what r and n have in common: unless there are weights `of_n` of their own for it, what r
is multiplied by; else r times the state, of which that is a product.
"""

from __future__ import annotations

from . import kernel, part
from .elementary import ONE, sigmoid, tanh
from .recurrent import (
    COLUMNS,
    LINES,
    SAME,
    WIDE,
    add_states,
    multiply,
    project,
    table,
    turn_back,
)
from .tiles import address


@kernel("gates", "inner", "states", "h", "v")
def forward(
    x, of_x, of_h, of_n, bias, of_states, mask, gates, inner, states, h, v, tables,
    start, stop, number, height,
):  # fmt: skip
    """The steps from one to another; see `lstm.forward`.

    Args:
        of_h: the recurrent kernel (U, 3 U), or (U, 2 U) where the last third is `of_n`; in strips.
        of_n: (U, U) in strips, or None if r comes after the product.
        of_states: (width,), a bias of the product of states, with r after it.
        gates, inner: (N, ..., width), (N, ..., U).
        v: (N, width), or (N, U) with of_n.
    """
    count, units = len(h), h.shape[1]
    for some in range(number):
        begin, end, first = project(
            x, of_x, bias, gates, tables, start, stop, some, number, count, height
        )
        for now in range(begin, end):
            t = first + now - begin
            if of_n is None:
                multiply(
                    (address(h), 0), table(tables, LINES), table(tables, COLUMNS), of_h,
                    (address(of_states), 0, table(tables, SAME)), (address(v), 0),
                    table(tables, WIDE), count, count, height, t % 2 > 0,
                )  # fmt: skip
                for n in range(count):
                    reset_after(gates[n, t], v[n], inner[n, t])
            else:
                add_states(h, of_h, gates, t, 0, tables, count, height)
                for n in range(count):
                    reset_before(gates[n, t], h[n], inner[n, t], v[n])
                add_states(v, of_n, gates, t, 2 * units, tables, count, height)
            for n in range(count):
                if mask is None or mask[n, now]:
                    step(gates[n, t], h[n])
                for j in range(units):
                    states[n, now, j] = h[n, j]


@part
def reset_after(z, v, inner):
    """z and r of a sequence, and what n is computed from."""
    units = len(inner)
    for j in range(2 * units):
        z[j] = sigmoid(z[j] + v[j])
    for j in range(units):
        inner[j] = v[2 * units + j]
    for j in range(units):
        z[2 * units + j] += z[units + j] * inner[j]


@part
def reset_before(z, h, inner, v):
    """z and r of a sequence, and r times the state."""
    units = len(h)
    for j in range(2 * units):
        z[j] = sigmoid(z[j])
    for j in range(units):
        v[j] = z[units + j] * h[j]
    for j in range(units):
        inner[j] = v[j]


@part
def step(z, h):
    """n of a sequence, and the new state."""
    units = len(h)
    for j in range(units):
        z[2 * units + j] = tanh(z[2 * units + j])
    for j in range(units):
        n = z[2 * units + j]
        h[j] = n + z[j] * (h[j] - n)


@kernel("dx", "dv", "dh", "kept", "v")
def backward(
    back, back_n, mask, gates, inner, states, before, g_h, dx, dv, dh, kept, v, tables, height
):
    """The gradients of what gates were computed from; see `lstm.backward`.

    Args:
        back: what `forward` has as of_h turned, in strips; back_n: the same of `of_n`.
        dx: (N, steps, width), what the inputs' part gets.
        dv: the same of the states' part, if r comes after the product; else None.
        v: zeros (N, width).
    """
    count, steps, units = g_h.shape
    for t in range(steps - 1, -1, -1):
        for n in range(count):
            for j in range(units):
                dh[n, j] += g_h[n, t, j]
            if mask is not None and not mask[n, t]:
                kept[n] = dh[n]
                dx[n, t] = 0
                if dv is not None:
                    dv[n, t] = 0
                continue
            last = states[n, t - 1] if t else before[n]
            step_back(gates[n, t], last, dh[n], kept[n], dx[n, t])
            if dv is not None:
                after_back(gates[n, t], inner[n, t], dx[n, t], dv[n, t])
        if dv is not None:
            turn_back(dv, t, 0, back, kept, dh, tables, count, height)
        if back_n is not None:
            v[:] = 0
            turn_back(dx, t, 2 * units, back_n, v, v, tables, count, height)
            for n in range(count):
                if mask is None or mask[n, t]:
                    last = states[n, t - 1] if t else before[n]
                    before_back(gates[n, t], last, v[n], kept[n], dx[n, t])
            turn_back(dx, t, 0, back, kept, dh, tables, count, height)


@part
def step_back(z, last, g, kept, dx):
    """The gradients of z and n of a sequence, and of the state that is kept."""
    units = len(last)
    for j in range(units):
        keep, n = z[j], z[2 * units + j]
        dx[j] = g[j] * (last[j] - n) * keep * (ONE - keep)
        dx[2 * units + j] = g[j] * (ONE - keep) * (ONE - n * n)
    for j in range(units):
        kept[j] = g[j] * z[j]


@part
def after_back(z, inner, dx, dv):
    """The gradients of r, and of the states' part of all."""
    units = len(inner)
    for j in range(units):
        r, d = z[units + j], dx[2 * units + j]
        dx[units + j] = d * inner[j] * r * (ONE - r)
        dv[2 * units + j] = d * r
    for j in range(2 * units):
        dv[j] = dx[j]


@part
def before_back(z, last, g, kept, dx):
    """The gradients of r and of the state, of which g is that of their product."""
    units = len(last)
    for j in range(units):
        r = z[units + j]
        dx[units + j] = g[j] * last[j] * r * (ONE - r)
        kept[j] += g[j] * r
