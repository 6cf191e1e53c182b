"""Elementwise functions of two arrays, generated from tables: name, function, meaning."""

from __future__ import annotations

import math

from ..arrays import dtypes, primitive
from .calling import array_function, binary, booleans, floats, numbers, together

__all__ = ["clip", "gcd", "lcm", "ldexp", "where"]  # With the tables' names, added below.

# In the dtype that the arrays promote to.
PROMOTING = """
add         add         x1 + x2
maximum     maximum     The larger of x1 and x2, NaN if one is NaN
minimum     minimum     The smaller of x1 and x2, NaN if one is NaN
multiply    multiply    x1 x2
subtract    subtract    x1 - x2
"""

# The same, with booleans as int32.
COUNTING = """
floor_divide  floor_divide  x1 / x2, rounded down
mod           remainder     x1 - x2 floor(x1 / x2): the remainder with the sign of x2
power         pow           x1 to the power x2
"""

# In floats: integers become floatx.
FLOATING = """
arctan2    atan2      The angle of the point (x2, x1) in radians, from -pi to pi
copysign   copysign   |x1| with the sign of x2
divide     divide     x1 / x2
hypot      hypot      sqrt(x1^2 + x2^2), without overflow
logaddexp  logaddexp  log(exp(x1) + exp(x2)), without overflow
nextafter  nextafter  The next float after x1 towards x2
"""

# Comparisons, after promotion; they give booleans.
COMPARING = """
equal          equal          Whether x1 = x2
greater        greater        Whether x1 > x2
greater_equal  greater_equal  Whether x1 >= x2
less           less           Whether x1 < x2
less_equal     less_equal     Whether x1 <= x2
not_equal      not_equal      Whether x1 and x2 differ
"""

# Of truth values: numbers count as true unless they are 0.
LOGICAL = """
logical_and  logical_and  Whether x1 and x2 are both true
logical_or   logical_or   Whether x1 or x2 is true
logical_xor  logical_xor  Whether just one of x1 and x2 is true
"""

# Of the bits of integers.
BITWISE = """
bitwise_and          bitwise_and          The bits that are set in both x and y
bitwise_left_shift   bitwise_left_shift   The bits of x moved y places up
bitwise_or           bitwise_or           The bits that are set in x or y
bitwise_right_shift  bitwise_right_shift  The bits of x moved y places down
bitwise_xor          bitwise_xor          The bits that differ between x and y
"""


def _divide_no_nan(xp, x1, x2):
    zero = x2 == 0
    return xp.where(zero, 0.0, x1 / xp.where(zero, 1.0, x2))


def _fmod(xp, x1, x2):
    return x1 - x2 * _truncated(xp, x1, x2)


def _truncated(xp, x1, x2):
    """The quotient rounded towards 0: floor_divide's, one more where that lies below it."""
    down = xp.floor_divide(x1, x2)
    inexact = xp.astype((down * x2 != x1) & ((x1 < 0) != (x2 < 0)), down.dtype)
    return down + inexact


def _heaviside(xp, x1, x2):
    return xp.where(x1 == 0, x2, xp.astype(x1 > 0, dtypes.of(xp, floats(x1))) + 0 * x1)


def _logaddexp2(xp, x1, x2):
    return xp.logaddexp(x1 * math.log(2), x2 * math.log(2)) / math.log(2)
