"""LSTM: the steps of one sequence, there and back; the gates of a step of several.

Gates stand in the order o, i, f, n, one array of units after the other.
"""

from __future__ import annotations

from . import kernel, part
from .elementary import ONE, sigmoid, tanh


@part
def add_product(total, h, weights):
    """total += h @ weights, four rows of these at a time."""
    whole = len(h) // 4 * 4
    for k in range(0, whole, 4):
        a, b, c, d = h[k], h[k + 1], h[k + 2], h[k + 3]
        for j in range(len(total)):
            total[j] += (a * weights[k, j] + b * weights[k + 1, j]) + (
                c * weights[k + 2, j] + d * weights[k + 3, j]
            )
    for k in range(whole, len(h)):
        for j in range(len(total)):
            total[j] += h[k] * weights[k, j]


@kernel("gates", "carries", "states")
def forward(gates, carries, states, weights):
    """The steps whose inputs are projected into `gates` (steps, 4 U), which become what they are.

    carries, states: (steps + 1, U), of which the first are given.  weights: (U, 4 U).
    """
    units = states.shape[1]
    for t in range(len(gates)):
        z, h = gates[t], states[t]
        add_product(z, h, weights)
        for j in range(3 * units):
            z[j] = sigmoid(z[j])
        for j in range(3 * units, 4 * units):
            z[j] = tanh(z[j])
        for j in range(units):
            carry = z[2 * units + j] * carries[t, j] + z[units + j] * z[3 * units + j]
            carries[t + 1, j] = carry
            states[t + 1, j] = z[j] * tanh(carry)


@kernel("dz", "dh", "dc")
def backward(gates, carries, weights, g_h, g_c, dz, dh, dc):
    """The gradients dz (steps, 4 U) by what `forward` was given in `gates`.

    weights: (4 U, U), those of `forward` transposed.  g_h, g_c: (steps, U), of states and carries;
    g_c may be None.  dh, dc: (U,), those of the first state and carry, zeros before.
    """
    steps, units = g_h.shape
    for t in range(steps - 1, -1, -1):
        z = dz[t]
        for j in range(units):
            o, i = gates[t, j], gates[t, units + j]
            f, n = gates[t, 2 * units + j], gates[t, 3 * units + j]
            activated = tanh(carries[t + 1, j])
            g, d = dh[j] + g_h[t, j], dc[j]
            if g_c is not None:
                d += g_c[t, j]
            d += g * o * (ONE - activated * activated)
            z[j] = g * activated * o * (ONE - o)
            z[units + j] = d * n * i * (ONE - i)
            z[2 * units + j] = d * carries[t, j] * f * (ONE - f)
            z[3 * units + j] = d * i * (ONE - n * n)
            dc[j], dh[j] = d * f, 0
        add_product(dh, z, weights)
