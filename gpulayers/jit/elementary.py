"""exp, tanh and their like of float32 numbers, by operations that vectors of numbers have."""

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
# erf(x / sqrt(2)) = tanh(x p(x^2)) to 7e-8 up to 28.88 = x^2, where it is 1: see
# `cpu.error_function`, whose fit this is, in powers of x^2.
N_TOP = F(28.88)
N0, N1, N2, N3, N4, N5, N6, N7 = (
    F(c * 0.5 ** (k + 0.5))
    for k, c in enumerate(
        (1.1283792472036538, 0.10276986398069284, -0.00019528787151157352, -0.0006148384454207708,
         8.459662822502123e-05, -4.794601191149982e-06, 2.7573772541344454e-08,
         5.421788186675564e-09)
    )
)  # fmt: skip


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


@part
def normal(x):
    """The part of the normal distribution that lies below x: (1 + erf(x / sqrt(2))) / 2."""
    t = x * x
    t = N_TOP if t > N_TOP else t
    p = ((((((N7 * t + N6) * t + N5) * t + N4) * t + N3) * t + N2) * t + N1) * t + N0
    return HALF + HALF * tanh(x * p)
