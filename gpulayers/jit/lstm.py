"""LSTM: all steps of some sequences, there and back.  Gates stand in the order i, f, n, o."""

from __future__ import annotations

from . import kernel, part
from .elementary import ONE, sigmoid, tanh
from .recurrent import add_states, project, turn_back


@part
def step(z, c, h):
    """The gates of a sequence from what they are computed from; the new carry and state."""
    units = len(h)
    for j in range(2 * units):
        z[j] = sigmoid(z[j])
    for j in range(units):
        z[2 * units + j] = tanh(z[2 * units + j])
    for j in range(units):
        z[3 * units + j] = sigmoid(z[3 * units + j])
    for j in range(units):
        c[j] = z[units + j] * c[j] + z[j] * z[2 * units + j]
    for j in range(units):
        h[j] = z[3 * units + j] * tanh(c[j])


@kernel("gates", "carries", "states", "c", "h")
def forward(
    x, of_x, of_h, bias, mask, gates, carries, states, c, h, tables, start, stop, number, height
):
    """The steps from one to another.

    Args:
        x: (N, steps, D).
        of_x, of_h: the kernel (D, 4 U) and the recurrent one (U, 4 U) in strips.
        bias: (width,), zeros behind the last.
        mask: (N, steps), False where states stay; or None.
        gates: (N, ..., width), what is computed of them: of all these steps, or of one part.
        carries, states: (N, steps, U), to be written.
        c, h: (N, U), those before the first of these steps, which become those of the last.
        tables: see `recurrent`.
        number: of parts of the steps, the inputs of which are projected together.
        height: the rows of a tile.
    """
    count, units = len(h), h.shape[1]
    for some in range(number):
        begin, end, first = project(
            x, of_x, bias, gates, tables, start, stop, some, number, count, height
        )
        for now in range(begin, end):
            t = first + now - begin
            add_states(h, of_h, gates, t, 0, tables, count, height)
            for n in range(count):
                if mask is None or mask[n, now]:
                    step(gates[n, t], c[n], h[n])
                for j in range(units):
                    carries[n, now, j] = c[n, j]
                for j in range(units):
                    states[n, now, j] = h[n, j]


@part
def step_back(z, carry, last, g, dc, dz):
    """The gradients of what the gates of a sequence were computed from, and of the carry before.

    z: the gates.  carry, last: after and before the step.  g, dc: the gradients of state and carry.
    """
    units = len(dc)
    for j in range(units):
        o, activated = z[3 * units + j], tanh(carry[j])
        dz[3 * units + j] = g[j] * activated * o * (ONE - o)
        dc[j] += g[j] * o * (ONE - activated * activated)
    for j in range(units):
        i, n = z[j], z[2 * units + j]
        dz[j] = dc[j] * n * i * (ONE - i)
        dz[2 * units + j] = dc[j] * i * (ONE - n * n)
    for j in range(units):
        f = z[units + j]
        dz[units + j] = dc[j] * last[j] * f * (ONE - f)
        dc[j] *= f


@kernel("dz", "dc", "dh", "kept")
def backward(back, mask, gates, carries, before, g_c, g_h, dz, dc, dh, kept, tables, height):
    """The gradients `dz` of what gates were computed from, from the last step to the first.

    Args:
        back: the recurrent kernel turned, (4 U, U), in strips.
        mask: (N, steps), False where states stay; or None.
        gates: (N, steps or more, width), as `forward` leaves them.
        carries, before: (N, steps, U), and (N, U) before the first step.
        g_c, g_h: (N, steps, U), the gradients of carries, or None, and of states.
        dz: (N, steps, width).
        dc, dh: (N, U) and (N, width), of the last carry and state beside these; they become those
            before the first step.
        kept: zeros like dh.
    """
    count, steps, units = g_h.shape
    for t in range(steps - 1, -1, -1):
        for n in range(count):
            for j in range(units):
                dh[n, j] += g_h[n, t, j]
            if g_c is not None:
                for j in range(units):
                    dc[n, j] += g_c[n, t, j]
            if mask is not None and not mask[n, t]:
                kept[n] = dh[n]
                dz[n, t] = 0
                continue
            kept[n] = 0
            last = carries[n, t - 1] if t else before[n]
            step_back(gates[n, t], carries[n, t], last, dh[n], dc[n], dz[n, t])
        turn_back(dz, t, 0, back, kept, dh, tables, count, height)
