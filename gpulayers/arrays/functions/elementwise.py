"""Elementwise functions."""

from __future__ import annotations

import math

from .. import shapes
from .table import TABLE, Function, define, without_gradient

LN2, LN10 = math.log(2), math.log(10)

define(
    shapes.elementwise,
    negative=lambda xp, out, x: (lambda g: -g,),
    positive=lambda xp, out, x: (lambda g: g,),
    abs=lambda xp, out, x: (lambda g: g * xp.sign(x),),
    exp=lambda xp, out, x: (lambda g: g * out,),
    expm1=lambda xp, out, x: (lambda g: g * (out + 1),),
    log=lambda xp, out, x: (lambda g: g / x,),
    log1p=lambda xp, out, x: (lambda g: g / (x + 1),),
    log2=lambda xp, out, x: (lambda g: g / (x * LN2),),
    log10=lambda xp, out, x: (lambda g: g / (x * LN10),),
    sqrt=lambda xp, out, x: (lambda g: g / (2 * out),),
    square=lambda xp, out, x: (lambda g: 2 * g * x,),
    reciprocal=lambda xp, out, x: (lambda g: -g * out * out,),
    sin=lambda xp, out, x: (lambda g: g * xp.cos(x),),
    cos=lambda xp, out, x: (lambda g: -g * xp.sin(x),),
    tan=lambda xp, out, x: (lambda g: g * (1 + out * out),),
    asin=lambda xp, out, x: (lambda g: g / xp.sqrt(1 - x * x),),
    acos=lambda xp, out, x: (lambda g: -g / xp.sqrt(1 - x * x),),
    atan=lambda xp, out, x: (lambda g: g / (1 + x * x),),
    sinh=lambda xp, out, x: (lambda g: g * xp.cosh(x),),
    cosh=lambda xp, out, x: (lambda g: g * xp.sinh(x),),
    tanh=lambda xp, out, x: (lambda g: g * (1 - out * out),),
    asinh=lambda xp, out, x: (lambda g: g / xp.sqrt(x * x + 1),),
    acosh=lambda xp, out, x: (lambda g: g / xp.sqrt(x * x - 1),),
    atanh=lambda xp, out, x: (lambda g: g / (1 - x * x),),
)

# Of two arrays.
define(
    shapes.elementwise,
    add=lambda xp, out, x, y: (lambda g: g, lambda g: g),
    subtract=lambda xp, out, x, y: (lambda g: g, lambda g: -g),
    multiply=lambda xp, out, x, y: (lambda g: g * y, lambda g: g * x),
    divide=lambda xp, out, x, y: (lambda g: g / y, lambda g: -g * out / y),
    pow=lambda xp, out, x, y: (
        lambda g: _pow_base(xp, g, x, y),
        lambda g: g * out * _log_of_positive(xp, out, x),
    ),
    maximum=lambda xp, out, x, y: (
        lambda g: g * _share(xp, x, out, y),
        lambda g: g * _share(xp, y, out, x),
    ),
    minimum=lambda xp, out, x, y: (
        lambda g: g * _share(xp, x, out, y),
        lambda g: g * _share(xp, y, out, x),
    ),
    logaddexp=lambda xp, out, x, y: (
        lambda g: g * xp.exp(x - out),
        lambda g: g * xp.exp(y - out),
    ),
    hypot=lambda xp, out, x, y: (lambda g: g * x / out, lambda g: g * y / out),
    atan2=lambda xp, out, x, y: (
        lambda g: g * y / (x * x + y * y),
        lambda g: -g * x / (x * x + y * y),
    ),
    copysign=lambda xp, out, x, y: (lambda g: xp.where(out == x, g, -g), None),
    remainder=lambda xp, out, x, y: (lambda g: g, lambda g: -g * xp.floor(x / y)),
    where=lambda xp, out, c, x, y: (
        None,
        lambda g: xp.where(c, g, xp.zeros_like(g)),
        lambda g: xp.where(c, xp.zeros_like(g), g),
    ),
)


def _pow_base(xp, g, x, y):
    if type(y) in (int, float):
        return xp.zeros_like(g) if y == 0 else g * y * x ** (y - 1)
    return g * y * xp.pow(x, xp.where(y == 0, xp.ones_like(y), y - 1))


def _log_of_positive(xp, out, x):
    """log(x), or 0 where the power is 0 or has no real derivative in its exponent."""
    if type(x) in (int, float):
        return math.log(x) if x > 0 else 0.0
    return xp.log(xp.where(x > 0, x, xp.ones_like(x)))


def _share(xp, x, out, other):
    """1 where x was chosen, 0 where it was not, and a half where both were."""
    chosen = xp.astype(x == out, out.dtype)
    return chosen / (chosen + xp.astype(other == out, out.dtype))


def _clip(xp, out, x, min=None, max=None):
    inside = True
    if min is not None:
        inside = inside & (x >= min)
    if max is not None:
        inside = inside & (x <= max)
    if inside is True:
        return (lambda g: g, None, None)

    def bound(pick):
        return lambda g: xp.where(pick(), g, xp.zeros_like(g))

    return (
        lambda g: xp.where(inside, g, xp.zeros_like(g)),
        bound(lambda: x < min),
        bound(lambda: x > max),
    )


TABLE["clip"] = Function(shapes.elementwise, _clip, names=("x", "min", "max"))

# The derivative of these is 0 wherever there is one, or they are not of real numbers.
without_gradient(
    shapes.elementwise,
    """
    floor ceil round trunc sign signbit floor_divide nextafter isfinite isnan isinf
    equal not_equal less less_equal greater greater_equal
    logical_and logical_or logical_xor logical_not
    bitwise_and bitwise_or bitwise_xor bitwise_invert bitwise_left_shift bitwise_right_shift
    """,
)
