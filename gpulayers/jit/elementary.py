"""exp, tanh and sigmoid of float32 numbers, by operations that vectors of numbers have."""

from __future__ import annotations

import numpy as np

from . import exact, part

F, I = np.float32, np.int32
LARGEST, SMALLEST = F(89), F(-104)  # exp is infinite beyond, or 0.
INVERSE_LOG = F(1.4426950408889634)  # 1 / log 2.
LOG_HIGH, LOG_LOW = F(0.693359375), F(-2.12194440e-4)  # log 2 in two parts, the first in 9 bits.
HALF, ONE, TWO = F(0.5), F(1), F(2)
E3, E4, E5, E6, E7 = F(1 / 6), F(1 / 24), F(1 / 120), F(1 / 720), F(1 / 5040)
BIAS, MANTISSA = I(127), I(23)
NEAR = F(0.6)  # tanh(x) / x is a polynomial of x^2 up to there, our own fit, to 3e-8.
T1, T2, T3, T4, T5 = map(
    F, (-0.333332949, 0.133318059, -0.0537715043, 0.0207480664, -0.00583301865)
)


@exact
def exp(x):
    """To 1e-7: 2^n times a polynomial of what is left, between -log(2) / 2 and log(2) / 2."""
    x = LARGEST if x > LARGEST else x
    x = SMALLEST if x < SMALLEST else x
    n = np.floor(x * INVERSE_LOG + HALF)
    r = (x - n * LOG_HIGH) - n * LOG_LOW
    p = ((((E7 * r + E6) * r + E5) * r + E4) * r + E3) * r + HALF
    p = (p * r + ONE) * r + ONE
    whole = I(n)
    first = I(whole >> I(1))  # 2^n in two factors: one alone may be too large or too small.
    second = I(whole - first)
    return p * I(I(first + BIAS) << MANTISSA).view(F) * I(I(second + BIAS) << MANTISSA).view(F)


@part
def sigmoid(x):
    return ONE / (ONE + exp(-x))


@part
def tanh(x):
    square = x * x
    near = ((((T5 * square + T4) * square + T3) * square + T2) * square + T1) * square * x + x
    size = abs(x)
    far = ONE - TWO / (ONE + exp(size + size))
    far = -far if x < 0 else far
    return near if size < NEAR else far
