"""Numbers that are equal but for a tolerance."""

from __future__ import annotations

from ..arrays import namespace
from .calling import array_function, as_floats, together

__all__ = ["allclose", "isclose"]


@array_function("x1", "x2")
def isclose(x1, x2, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False):
    """Whether |x1 - x2| <= atol + rtol |x2|, elementwise.

    Infinities are close to themselves, and with `equal_nan` so is NaN.
    """
    xp, (x1, x2) = together((as_floats(x1)[1], as_floats(x2)[1]))
    finite = xp.isfinite(x1) & xp.isfinite(x2)
    near = finite & (xp.abs(x1 - x2) <= atol + rtol * xp.abs(x2))
    same = near | (x1 == x2)
    return same | (xp.isnan(x1) & xp.isnan(x2)) if equal_nan else same


@array_function("x1", "x2")
def allclose(x1, x2, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False):
    """Whether all elements are close, as `isclose` has it."""
    close = isclose(x1, x2, rtol, atol, equal_nan)
    return namespace(close).all(close)
