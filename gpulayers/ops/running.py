"""Running totals along an axis, differences of neighbours, and areas under curves."""

from __future__ import annotations

import math

from ..arrays import dtypes, namespace
from ..arrays.short_floats import cast
from .calling import array_function, as_floats
from .elementwise import nan_to_num

__all__ = ["cumprod", "cumsum", "diff", "nancumprod", "nancumsum", "trapezoid"]


def _running(name):
    @array_function()
    def total(x, axis):
        xp = namespace(x)
        if axis is None:
            x, axis = xp.reshape(x, (-1,)), 0
        return getattr(xp, name)(x, axis=axis, dtype=x.dtype)

    return total


_sums, _products = _running("cumulative_sum"), _running("cumulative_prod")


def _wanted(x, dtype):
    if dtype is None:
        return cast(x, "int32") if x.dtype == namespace(x).bool else x
    return cast(x, dtypes.standardize(dtype))


@array_function(computes=False)
def cumsum(x, axis: int | None = None, dtype: str | None = None):
    """Running sums along an axis; of the flat array for None.

    dtype: what to compute in, and give; by default that of `x` (int32 for booleans).
    """
    return _sums(_wanted(x, dtype), axis)


@array_function(computes=False)
def cumprod(x, axis: int | None = None, dtype: str | None = None):
    """Running products along an axis; of the flat array for None.

    dtype: what to compute in, and give; by default that of `x` (int32 for booleans).
    """
    return _products(_wanted(x, dtype), axis)


def nancumsum(x, axis: int | None = None, dtype: str | None = None):
    """`cumsum` with 0 in the place of NaN."""
    return cumsum(nan_to_num(x, posinf=math.inf, neginf=-math.inf), axis, dtype)


def nancumprod(x, axis: int | None = None, dtype: str | None = None):
    """`cumprod` with 1 in the place of NaN."""
    return cumprod(nan_to_num(x, 1.0, posinf=math.inf, neginf=-math.inf), axis, dtype)


@array_function()
def diff(a, n: int = 1, axis: int = -1):
    """Differences of neighbours along an axis, a[i + 1] - a[i], `n` times over.

    Of booleans: whether neighbours differ. Raises ValueError for a negative `n`.
    """
    if n < 0:
        raise ValueError(f"diff: n must be 0 or more, got {n}.")
    xp = namespace(a)
    if a.dtype != xp.bool:
        return xp.diff(a, axis=axis, n=n)
    before = (slice(None),) * (axis % a.ndim)
    for _ in range(n):
        a = a[(*before, slice(1, None), ...)] != a[(*before, slice(None, -1), ...)]
    return a


@array_function("y", "x")
def trapezoid(y, x=None, dx: float = 1.0, axis: int = -1):
    """The area under `y` along an axis by the trapezoidal rule: sum of (y[i] + y[i+1]) / 2 dx.

    x: the places of the values (along the axis, or of y's shape); without them, `dx` apart.
    """
    xp, y = as_floats(y)
    before = (slice(None),) * (axis % y.ndim)
    first, last = (*before, slice(None, -1), ...), (*before, slice(1, None), ...)
    if x is None:
        steps = dx
    elif x.ndim == 1:
        steps = xp.reshape(xp.diff(as_floats(x)[1]), (-1,) + (1,) * (y.ndim - len(before) - 1))
    else:
        steps = xp.diff(as_floats(x)[1], axis=axis)
    return xp.sum((y[first] + y[last]) / 2 * steps, axis=axis)
