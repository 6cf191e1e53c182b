"""Elementwise functions of two arrays, generated from tables: name, function, meaning."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import as_array, dtypes, namespace, primitive
from ..arrays.primitive import is_symbolic
from ..arrays.short_floats import in_float32, is_short
from ..arrays.symbolic import connect
from .calling import binary, booleans, floats, numbers, of_bits, together

# With the names of the tables, which are added below.
__all__ = ["clip", "gcd", "lcm", "ldexp", "nextafter", "where"]

LN2 = math.log(2)
PLAIN = {int, float}

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


def _numbers_first(choose):
    """`choose` of two arrays, and the other one where one is NaN."""

    def compute(xp, x1, x2):
        if dtypes.is_integer(x1):
            return getattr(xp, choose)(x1, x2)
        other = xp.where(xp.isnan(x2), x1, getattr(xp, choose)(x1, x2))
        return xp.where(xp.isnan(x1), x2, other)

    return compute


def _heaviside(xp, x1, x2):
    step = xp.where(x1 == 0, x2, xp.astype(x1 > 0, x2.dtype))
    return xp.where(xp.isnan(x1), x1, step)


FORMULAS = {
    "divide_no_nan": (_divide_no_nan, "x1 / x2, and 0 where x2 is 0", floats),
    "fmax": (_numbers_first("maximum"), "The larger of x1 and x2, numbers before NaN", numbers),
    "fmin": (_numbers_first("minimum"), "The smaller of x1 and x2, numbers before NaN", numbers),
    "fmod": (
        lambda xp, x1, x2: xp.sign(x1) * xp.remainder(xp.abs(x1), xp.abs(x2)),
        "The remainder of x1 / x2 with the sign of x1",
        numbers,
    ),
    "heaviside": (_heaviside, "0 where x1 < 0, x2 where x1 = 0, 1 where x1 > 0", floats),
    "logaddexp2": (
        lambda xp, x1, x2: xp.logaddexp(x1 * LN2, x2 * LN2) / LN2,
        "log2(2^x1 + 2^x2), without overflow",
        floats,
    ),
}


def _tables():
    tables = {PROMOTING: dtypes.promote, COMPARING: dtypes.promote, BITWISE: dtypes.promote,
              COUNTING: numbers, FLOATING: floats, LOGICAL: booleans}  # fmt: skip
    for table, rule in tables.items():
        for line in table.strip().splitlines():
            name, function, meaning = line.split(None, 2)
            make = of_bits if table is BITWISE else binary
            yield name, make(name, function, meaning, rule)
    for name, (function, meaning, rule) in FORMULAS.items():
        yield name, binary(name, function, meaning, rule)


_made = dict(_tables())
globals().update(_made)
__all__ += [*_made]


def ldexp(x1, x2):
    """x1 2^x2, elementwise.  Raises TypeError unless x2 holds integers."""
    if is_symbolic(x1, x2):
        return connect(ldexp, x1, x2)
    if not (dtypes.is_integer(x2) or isinstance(x2, (list, tuple))):
        raise TypeError(f"ldexp: x2 must hold integers, got {x2!r:.60}.")
    return _scaled(x1, x2)


_scaled = binary("ldexp", lambda xp, x1, x2: x1 * xp.pow(2.0, x2), "x1 2^x2", floats)


def nextafter(x1, x2):
    """The next number of the dtype after x1 towards x2, elementwise."""
    if is_symbolic(x1, x2):
        return connect(nextafter, x1, x2)
    xp, (x1, x2) = together((x1, x2), floats)  # 16-bit floats have neighbours of their own.
    return xp.nextafter(x1, x2)


def clip(x, x_min, x_max):
    """x where it lies between `x_min` and `x_max`, else the nearer of them, elementwise.

    The bounds are numbers, or arrays that broadcast; None for no bound.
    """
    if type(x) is np.ndarray and x.dtype.char in "fd" and {type(x_min), type(x_max)} <= PLAIN:
        return np.minimum(np.maximum(x, x_min), x_max)
    if is_symbolic(x, x_min, x_max):
        return connect(clip, x, x_min, x_max)
    bounds = [b for b in (x_min, x_max) if b is not None]
    xp, (x, *bounds) = together((as_array(x), *bounds), numbers)
    x_min = None if x_min is None else bounds[0]
    x_max = None if x_max is None else bounds[-1]
    return in_float32(xp.clip, (x, x_min, x_max), {})


def _match(x1, x2) -> bool:
    """Whether NumPy promotes these as Keras does."""
    if type(x1) in PLAIN:
        x1, x2 = x2, x1
    if type(x1) is not np.ndarray:
        return False
    return x1.dtype.char in "fd" if type(x2) in PLAIN else getattr(x2, "dtype", None) is x1.dtype


def where(condition, x1=None, x2=None):
    """x1 where the condition holds, x2 elsewhere, elementwise.

    Without `x1` and `x2`: the places where it holds, as `nonzero` gives them. Raises ValueError if
    only one of them is given.
    """
    if type(condition) is np.ndarray and condition.dtype.char == "?" and _match(x1, x2):
        return np.where(condition, x1, x2)
    if x1 is None and x2 is None:
        from .indexing import nonzero

        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError("where: x1 and x2 must be given together.")
    if is_symbolic(condition, x1, x2):
        return connect(where, condition, x1, x2)
    condition = as_array(condition, like=x1)
    xp, (x1, x2) = together((x1, x2))
    xp = namespace(condition, x1, x2)
    if not dtypes.is_bool(condition):
        condition = xp.astype(condition, xp.bool)
    if not any(map(is_short, (x1, x2))):
        return xp.where(condition, x1, x2)
    return in_float32(lambda x1, x2: xp.where(condition, x1, x2), (x1, x2), {})


@primitive
def common_divisor(x1, x2):
    """`gcd` of two integer arrays of one dtype: Euclid's algorithm, all elements at once."""
    xp = namespace(x1, x2)
    a, b = xp.broadcast_arrays(xp.abs(x1), xp.abs(x2))
    bits = xp.iinfo(a.dtype).bits
    for _ in range(int(bits * 1.5)):  # Fibonacci numbers take longest.
        rest = xp.remainder(a, xp.where(b == 0, xp.ones_like(b), b))
        a, b = xp.where(b == 0, a, b), xp.where(b == 0, b, rest)
    return a


@common_divisor.vjp
def _(xp, out, x1, x2):
    return None, None


@common_divisor.shape
def _(x1, x2):
    return x1 + x2


gcd = binary(
    "gcd",
    lambda xp, x1, x2: common_divisor(x1, x2),
    "The greatest common divisor of integers",
    numbers,
)


def _lcm(xp, x1, x2):
    divisor = common_divisor(x1, x2)
    return xp.abs(xp.floor_divide(x1, xp.where(divisor == 0, xp.ones_like(x1), divisor)) * x2)


lcm = binary("lcm", _lcm, "The least common multiple of integers", numbers)
