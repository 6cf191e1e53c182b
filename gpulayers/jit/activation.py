"""Activation functions and their gradients, each element read once."""

from __future__ import annotations

import numpy as np

from . import kernel, part
from .elementary import HALF, ONE, TWO, exp, normal, tanh
from .elementary import sigmoid as of

SCALE, CUBIC = np.float32((2 / np.pi) ** 0.5), np.float32(0.044715)  # Of gelu by tanh.
THREE, DENSITY = np.float32(3), np.float32((2 * np.pi) ** -0.5)  # The latter of a normal 0.


@kernel("y")
def sigmoid(x, y):
    for i in range(len(y)):
        y[i] = of(x[i])


@kernel("dx")
def sigmoid_back(y, g, dx):
    for i in range(len(dx)):
        dx[i] = g[i] * y[i] * (ONE - y[i])


@kernel("y")
def silu(x, y):
    for i in range(len(y)):
        y[i] = x[i] * of(x[i])


@kernel("dx")
def silu_back(x, g, dx):
    for i in range(len(dx)):
        s = of(x[i])
        dx[i] = g[i] * s * (ONE + x[i] * (ONE - s))


@kernel("y")
def gelu(x, y):
    """x (1 + tanh(SCALE (x + CUBIC x^3))) / 2."""
    for i in range(len(y)):
        v = x[i]
        y[i] = v * HALF * (ONE + tanh(SCALE * v * (ONE + CUBIC * v * v)))


@kernel("dx")
def gelu_back(x, g, dx):
    for i in range(len(dx)):
        v = x[i]
        t = tanh(SCALE * v * (ONE + CUBIC * v * v))
        slope = SCALE * (ONE + THREE * CUBIC * v * v)
        dx[i] = g[i] * HALF * (ONE + t) * (ONE + v * (ONE - t) * slope)


@kernel("y")
def exact_gelu(x, y):
    for i in range(len(y)):
        y[i] = x[i] * normal(x[i])


@kernel("dx")
def exact_gelu_back(x, g, dx):
    """The slope is P(x) + x P'(x), for the part P of the normal distribution below x."""
    for i in range(len(dx)):
        v = x[i]
        dx[i] = g[i] * (normal(v) + v * DENSITY * exp(-HALF * v * v))


@kernel("y")
def elu(x, y, scale, depth):
    """scale x above 0, depth (exp(x) - 1) below."""
    for i in range(len(y)):
        v = x[i]
        half = tanh(v * HALF)  # exp(v) - 1 is 2 t / (1 - t), without what cancels near 0.
        y[i] = scale * v if v > 0 else depth * TWO * half / (ONE - half)


@kernel("dx")
def elu_back(x, g, dx, scale, depth):
    for i in range(len(dx)):
        dx[i] = g[i] * (scale if x[i] > 0 else depth * exp(x[i]))


@kernel("y")
def relu(x, y, most):
    """x between 0 and `most`, if there is that; NaN stays."""
    for i in range(len(y)):
        v = x[i]
        v = x.dtype.type(0) if v < 0 else v
        if most is not None:
            v = most if v > most else v
        y[i] = v


@part
def let_through(g, y, most, i, j):
    """An element of g where the result lies between 0 and `most`, if there is that; else 0."""
    between = y[i, j] > 0 if most is None else (y[i, j] > 0 and y[i, j] < most)
    return g[i, j] if between else g.dtype.type(0)


@kernel("dx", "totals")
def relu_back(g, y, dx, most, totals, first, last):
    """The gradient of a ReLU with the result y, and the sums of its columns, or None."""
    four = first + (last - first) // 4 * 4
    for i in range(first, four, 4):
        for j in range(g.shape[1]):
            a, b = let_through(g, y, most, i, j), let_through(g, y, most, i + 1, j)
            c, d = let_through(g, y, most, i + 2, j), let_through(g, y, most, i + 3, j)
            dx[i, j], dx[i + 1, j], dx[i + 2, j], dx[i + 3, j] = a, b, c, d
            if totals is not None:
                totals[j] += (a + b) + (c + d)
    for i in range(four, last):
        for j in range(g.shape[1]):
            a = let_through(g, y, most, i, j)
            dx[i, j] = a
            if totals is not None:
                totals[j] += a
