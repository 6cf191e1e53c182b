"""SimpleRNN with tanh: all steps of some sequences, there and back."""

from __future__ import annotations

from . import kernel
from .elementary import ONE, tanh
from .recurrent import add_states, project, turn_back


@kernel("z", "states", "h")
def forward(x, of_x, of_h, bias, mask, z, states, h, tables, start, stop, number, height):
    """The steps from one to another; see `lstm.forward`.  z: what states are computed from."""
    count, units = len(h), h.shape[1]
    for some in range(number):
        begin, end, first = project(
            x, of_x, bias, z, tables, start, stop, some, number, count, height
        )
        for now in range(begin, end):
            t = first + now - begin
            add_states(h, of_h, z, t, 0, tables, count, height)
            for n in range(count):
                if mask is None or mask[n, now]:
                    for j in range(units):
                        h[n, j] = tanh(z[n, t, j])
                for j in range(units):
                    states[n, now, j] = h[n, j]


@kernel("dz", "dh", "kept")
def backward(back, mask, states, g_h, dz, dh, kept, tables, height):
    """The gradients `dz` of what states were computed from; see `lstm.backward`."""
    count, steps, units = g_h.shape
    for t in range(steps - 1, -1, -1):
        for n in range(count):
            for j in range(units):
                dh[n, j] += g_h[n, t, j]
            if mask is not None and not mask[n, t]:
                kept[n] = dh[n]
                dz[n, t] = 0
                continue
            kept[n] = 0
            for j in range(units):
                h = states[n, t, j]
                dz[n, t, j] = dh[n, j] * (ONE - h * h)
        turn_back(dz, t, 0, back, kept, dh, tables, count, height)
