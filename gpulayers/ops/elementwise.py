"""Elementwise functions of one array, generated from tables: name, function, meaning."""

from __future__ import annotations

import math

from ..arrays import dtypes, namespace
from ..arrays.short_floats import cast
from .calling import array_function, as_floats, booleans, floats, numbers, unary

__all__ = [  # With the names of the tables, which are added below.
    "angle",
    "i0",
    "isreal",
    "nan_to_num",
    "round",
    "sign",
]

# Of real numbers: integers and booleans become floatx.
FLOATING = """
arccos      acos        The angle in [0, pi] whose cosine is x
arccosh     acosh       The number >= 0 whose hyperbolic cosine is x
arcsin      asin        The angle in [-pi/2, pi/2] whose sine is x
arcsinh     asinh       The number whose hyperbolic sine is x
arctan      atan        The angle in [-pi/2, pi/2] whose tangent is x
arctanh     atanh       The number whose hyperbolic tangent is x
ceil        ceil        The smallest whole number that is not below x
cos         cos         The cosine of x radians
cosh        cosh        The hyperbolic cosine, (exp(x) + exp(-x)) / 2
exp         exp         e to the power x
expm1       expm1       exp(x) - 1, without cancellation for small x
fabs        abs         |x|, as a float
floor       floor       The largest whole number that is not above x
log         log         The natural logarithm
log10       log10       The logarithm to base 10
log1p       log1p       log(1 + x), without cancellation for small x
log2        log2        The logarithm to base 2
reciprocal  reciprocal  1 / x
sin         sin         The sine of x radians
sinh        sinh        The hyperbolic sine, (exp(x) - exp(-x)) / 2
sqrt        sqrt        The square root
tan         tan         The tangent of x radians
"""

# These keep the dtype.
KEEPING = """
abs             abs             |x|
bitwise_invert  bitwise_invert  All bits of an integer inverted
negative        negative        -x
positive        positive        x itself
trunc           trunc           x without its fraction, rounded towards 0
"""

# These give booleans.
ASKING = """
isfinite     isfinite     Whether x is neither infinite nor NaN
isinf        isinf        Whether x is infinite
isnan        isnan        Whether x is NaN
signbit      signbit      Whether the sign bit of x is set: x is negative, or -0
"""


def _sinc(xp, x):
    at_zero = x == 0
    angle = math.pi * xp.where(at_zero, 1.0, x)
    return xp.where(at_zero, 1.0, xp.sin(angle) / angle)


FORMULAS = {
    "cbrt": (lambda xp, x: xp.sign(x) * xp.abs(x) ** (1 / 3), "The real cube root", floats),
    "deg2rad": (lambda xp, x: x * (math.pi / 180), "x degrees in radians: x pi / 180", floats),
    "exp2": (lambda xp, x: xp.pow(2.0, x), "2 to the power x", floats),
    "isneginf": (lambda xp, x: x == -math.inf, "Whether x is minus infinity", floats),
    "isposinf": (lambda xp, x: x == math.inf, "Whether x is plus infinity", floats),
    "logical_not": (lambda xp, x: xp.logical_not(x), "Whether x is 0", booleans),
    "rad2deg": (lambda xp, x: x * (180 / math.pi), "x radians in degrees: x 180 / pi", floats),
    "rsqrt": (lambda xp, x: 1 / xp.sqrt(x), "1 / sqrt(x)", floats),
    "sinc": (_sinc, "sin(pi x) / (pi x), and 1 at 0", floats),
    "square": (lambda xp, x: xp.square(x), "x x", numbers),
}


def _same(x) -> str:
    return dtypes.name(x.dtype)


def _tables():
    for table, rule in ((FLOATING, floats), (KEEPING, _same), (ASKING, numbers)):
        for line in table.strip().splitlines():
            name, function, meaning = line.split(None, 2)
            yield name, unary(name, function, meaning, rule)
    for name, (function, meaning, rule) in FORMULAS.items():
        yield name, unary(name, function, meaning, rule)


_made = dict(_tables())
globals().update(_made)
__all__ += [*_made]


@array_function()
def sign(x):
    """-1, 0 or 1 with the sign of x, elementwise; NaN for NaN."""
    return x if dtypes.is_bool(x) else namespace(x).sign(x)


@array_function()
def round(x, decimals: int = 0):
    """x rounded to `decimals` places behind the point, halves to even, elementwise.

    Integers stay integers; a negative `decimals` rounds before the point.
    """
    xp, wide = as_floats(x)
    if decimals < 0:
        wide = xp.round(wide / 10.0**-decimals) * 10.0**-decimals
        return wide if dtypes.is_floating(x) else cast(wide, dtypes.name(x.dtype))
    if wide is not x:
        return x
    return xp.round(x * 10.0**decimals) / 10.0**decimals if decimals else xp.round(x)


@array_function(computes=False)
def nan_to_num(x, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None):
    """x with `nan` in the place of NaN, `posinf` and `neginf` in that of infinities, elementwise.

    By default these are the largest and smallest finite numbers of the dtype. Integers stay.
    """
    name = dtypes.name(x.dtype)
    if name not in dtypes.FLOATS:
        return x
    largest = dtypes.largest(name)
    short = name in dtypes.SHORT_FLOATS
    wide, xp = cast(x, "float32") if short else x, namespace(x)
    wide = xp.where(wide == math.inf, largest if posinf is None else posinf, wide)
    wide = xp.where(wide == -math.inf, -largest if neginf is None else neginf, wide)
    wide = xp.where(xp.isnan(wide), nan, wide)
    return cast(wide, name) if short else wide


@array_function()
def angle(x):
    """The angle of complex numbers in radians, elementwise: 0 or pi for real ones."""
    xp, x = as_floats(x)
    if dtypes.is_complex(x):
        return xp.atan2(xp.imag(x), xp.real(x))
    return xp.where(x < 0, math.pi, 0.0 * x)


@array_function()
def isreal(x):
    """Whether the imaginary part is 0, elementwise: always for real numbers."""
    xp = namespace(x)
    if dtypes.is_complex(x):
        return xp.imag(x) == 0
    return xp.ones_like(x, dtype=xp.bool)


SERIES, NEAR = 36, 20.0  # Terms, and where the two series of i0 meet: both right to 1e-16 there.


@array_function()
def i0(x):
    """The modified Bessel function of the first kind of order 0, elementwise.

    Up to 20 the sum of (x/2)^2k / (k!)^2; beyond, exp(x) / sqrt(2 pi x) times the sum of
    (1 3 ... (2k-1))^2 / (k! (8 x)^k). Abramowitz and Stegun, 9.6.12 and 9.7.1.
    """
    xp, x = as_floats(x)
    size = xp.abs(x)
    square = xp.minimum(size, NEAR) ** 2 / 4
    near = 1.0
    for k in range(SERIES, 0, -1):
        near = 1 + near * square / k**2
    large = xp.maximum(size, NEAR)
    far = 1.0
    for k in range(SERIES // 2, 0, -1):
        far = 1 + far * (2 * k - 1) ** 2 / (8 * k * large)
    far = far * xp.exp(large) / xp.sqrt(2 * math.pi * large)
    return xp.where(size <= NEAR, near, far)
