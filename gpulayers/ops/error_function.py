"""The error function, its complement and its inverse: they are not in the array API standard.

`erf` and `erfc` follow W. J. Cody, "Rational Chebyshev approximations for the error function",
Mathematics of Computation 23 (1969), in three regions of |x|; in float64 they are right to a few
units in the last place, `erfc` also relative to its small values.
"""

from __future__ import annotations

import math

from ..arrays import primitive
from .floating import floating

__all__ = ["erf", "erfc", "erfinv"]

TWO_BY_ROOT_PI = 2 / math.sqrt(math.pi)

# Numerators and denominators, highest power first: erf(x)/x of x^2 up to 0.46875,
SMALL = (
    (0.185777706184603153, 3.16112374387056560, 113.864154151050156, 377.485237685302021,
     3209.37758913846947),
    (1.0, 23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062),
)  # fmt: skip
# exp(x^2) erfc(x) of x up to 4,
MIDDLE = (
    (2.15311535474403846e-8, 0.564188496988670089, 8.88314979438837594, 66.1191906371416295,
     298.635138197400131, 881.952221241769090, 1712.04761263407058, 2051.07837782607147,
     1230.33935479799725),
    (1.0, 15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019,
     3290.79923573345963, 4362.61909014324716, 3439.36767414372164, 1230.33935480374942),
)  # fmt: skip
# and (1/sqrt(pi) - x exp(x^2) erfc(x)) x^2 of 1/x^2 beyond.
LARGE = (
    (0.0163153871373020978, 0.305326634961232344, 0.360344899949804439, 0.125781726111229246,
     0.0160837851487422766, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 0.527905102951428412, 0.0605183413124413191,
     0.00233520497626869185),
)  # fmt: skip
FIRST, SECOND, BEYOND = 0.46875, 4.0, 30.0  # erfc(30) is 0 in float64.


def ratio(x, coefficients):
    """A rational function of `x`, by Horner's rule."""
    above, below = (_polynomial(x, part) for part in coefficients)
    return above / below


def _polynomial(x, coefficients):
    total = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


def _tail(xp, y):
    """erfc(y) for y of at least `FIRST`: exp(-y^2) times a smooth function.

    y^2 is split into the square of a short number and a rest, so that exp loses no digits.
    """
    y = xp.minimum(y, BEYOND)
    middle, large = xp.minimum(y, SECOND), xp.maximum(y, SECOND)
    s = 1 / (large * large)
    beyond = (1 / math.sqrt(math.pi) - s * ratio(s, LARGE)) / large
    smooth = xp.where(y <= SECOND, ratio(middle, MIDDLE), beyond)
    short = xp.floor(y * 16) / 16
    return xp.exp(-short * short) * xp.exp(-(y - short) * (y + short)) * smooth


@primitive
def erf(x):
    """The error function: 2/sqrt(pi) times the integral of exp(-t^2) from 0 to `x`."""
    xp, x = floating(x)
    y = xp.abs(x)
    near = x * ratio(xp.minimum(y, FIRST) ** 2, SMALL)
    far = 1 - _tail(xp, xp.maximum(y, FIRST))
    return xp.where(y <= FIRST, near, xp.where(x < 0, -far, far))


@erf.vjp
def _(xp, out, x):
    return (lambda g: g * (xp.exp(-x * x) * TWO_BY_ROOT_PI),)


@primitive
def erfc(x):
    """1 - erf(x), without cancellation for large `x`."""
    xp, x = floating(x)
    y = xp.abs(x)
    near = 1 - x * ratio(xp.minimum(y, FIRST) ** 2, SMALL)
    far = _tail(xp, xp.maximum(y, FIRST))
    return xp.where(y <= FIRST, near, xp.where(x < 0, 2 - far, far))


@erfc.vjp
def _(xp, out, x):
    return (lambda g: g * (xp.exp(-x * x) * -TWO_BY_ROOT_PI),)


@primitive
def erfinv(x):
    """The inverse of `erf`: infinite at -1 and 1, NaN outside.

    A guess within 0.4 % (S. Winitzki, "A handy approximation for the error function and its
    inverse", 2008), and two steps of Halley's method, which take the error from `erfc` where 1 - x
    has more digits than x.
    """
    xp, x = floating(x)
    size = xp.abs(x)
    inside = size < 1
    size, rest = xp.where(inside, size, 0.5), xp.where(inside, 1 - size, 0.5)
    w = -xp.log(rest * (2 - rest))
    b = 2 / (math.pi * 0.147) - w / 2
    y = xp.sqrt(w / 0.147 / (xp.sqrt(b * b + w / 0.147) + b))
    for _ in range(2):
        miss = xp.where(size < 0.5, size - erf(y), erfc(y) - rest)
        step = miss / (TWO_BY_ROOT_PI * xp.exp(-y * y))
        y = y + step / (1 - y * step)
    y = xp.where(inside, y, xp.where(xp.abs(x) == 1, math.inf, x * math.nan))
    return xp.where(x < 0, -y, y)


@erfinv.vjp
def _(xp, out, x):
    return (lambda g: g * xp.exp(out * out) / TWO_BY_ROOT_PI,)
