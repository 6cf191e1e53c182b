"""erf of NumPy arrays, and the probabilities that gelu needs."""

from __future__ import annotations

import numpy as np

from ..ops import error_function as ops
from ..ops.error_function import FIRST, LARGE, MIDDLE, SECOND, SMALL, TWO_BY_ROOT_PI
from .bounds import at_most

# erf(x) = tanh(x p(x^2)) up to 7e-8, our own minimax fit: powers of x^2, lowest first. tanh is one
# of the few functions that NumPy vectorises on every processor.
TANH_FIT = (
    1.1283792472036538, 0.10276986398069284, -0.00019528787151157352, -0.0006148384454207708,
    8.459662822502123e-05, -4.794601191149982e-06, 2.7573772541344454e-08, 5.421788186675564e-09,
)  # fmt: skip
TOP = 3.8**2  # Where the fit ends, in x^2: erf(3.8) is 1 - 8e-8.
BLOCK = 16384  # Elements that stay in the cache while all passes go over them.


def _constants(scale):
    fit = [np.array(c * scale ** (2 * k + 1), np.float32) for k, c in enumerate(TANH_FIT)]
    return np.array(TOP / scale**2, np.float32), fit[::-1]


PLAIN, NORMAL = _constants(1.0), _constants(0.5**0.5)


def erf_float32(x, constants=PLAIN):
    """erf of a float32 array with axes, to 1.5e-7; with `NORMAL`, erf(x / sqrt(2))."""
    out = np.empty(x.shape, x.dtype)
    if x.size <= BLOCK or not x.flags.c_contiguous:
        _fit(x, out, *constants)
        return out
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)
    for i in range(0, x.size, BLOCK):
        _fit(flat_x[i : i + BLOCK], flat_out[i : i + BLOCK], *constants)
    return out


def _fit(x, out, top, coefficients):
    t = x * x
    at_most(t, top, out=t)
    np.multiply(t, coefficients[0], out)
    for c in coefficients[1:-1]:
        out += c
        out *= t
    out += coefficients[-1]
    out *= x
    np.tanh(out, out)


def erf_float64(x):
    """erf of a float64 array: each of Cody's regions apart, unlike in the reference."""
    y = np.abs(x)
    near, far = y <= FIRST, y > SECOND
    between = ~(near | far)  # NaN too.
    out = np.empty(x.shape, x.dtype)
    v = x[near]
    out[near] = v * _ratio(v * v, SMALL)
    v = y[between]
    smooth = _ratio(v, MIDDLE)
    short = np.floor(v * 16) / 16
    smooth *= np.exp(-short * short - (v - short) * (v + short))  # 1 - this needs no more digits.
    out[between] = 1 - smooth
    v = np.minimum(y[far], 6.0)  # erf(6) is 1.
    s = 1 / (v * v)
    out[far] = 1 - np.exp(-v * v) * (1 / np.sqrt(np.pi) - s * _ratio(s, LARGE)) / v
    return np.copysign(out, x, out)


def _ratio(x, coefficients):
    return _polynomial(x, coefficients[0]) / _polynomial(x, coefficients[1])


def _polynomial(x, coefficients):
    total = x * coefficients[0]
    for c in coefficients[1:-1]:
        total += c
        total *= x
    total += coefficients[-1]
    return total


@ops.erf.on("numpy")
def _(x, *, needs=None):
    kind = x.dtype.char
    if kind not in "fd" or not x.ndim:
        return NotImplemented
    out = erf_float32(x) if kind == "f" else erf_float64(x)
    if needs is None:
        return out

    def pullback(g):
        d = np.square(x)
        np.negative(d, d)
        np.exp(d, d)
        d *= TWO_BY_ROOT_PI
        d *= g
        return (d,)

    return out, pullback
