"""Reductions that leave NaN out.

`axis` and `keepdims` are as in `reductions`.  Where all elements are NaN there is nothing left: the
result is NaN (for `nansum` and `nanprod` 0 and 1, for positions -1).
"""

from __future__ import annotations

import math

from ..arrays import namespace
from . import reductions
from .calling import array_function, as_floats
from .reductions import axes_of

__all__ = [
    "nanargmax",
    "nanargmin",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
]


def _filled(x, value):
    """The namespace, where `x` is NaN (None if it cannot be), and `x` with `value` there."""
    xp = namespace(x)
    if as_floats(x)[1] is not x:
        return xp, None, x
    missing = xp.isnan(x)
    return xp, missing, xp.where(missing, value, x)


@array_function()
def nansum(x, axis=None, keepdims: bool = False):
    """The sum of the elements that are not NaN."""
    return reductions.sum(_filled(x, 0.0)[2], axis, keepdims)


@array_function()
def nanprod(x, axis=None, keepdims: bool = False):
    """The product of the elements that are not NaN."""
    return reductions.prod(_filled(x, 1.0)[2], axis, keepdims)


@array_function()
def nanmean(x, axis=None, keepdims: bool = False):
    """The mean of the elements that are not NaN."""
    return _mean(as_floats(x)[1], axis, keepdims)


def _mean(x, axis, keepdims):
    xp, missing, filled = _filled(x, 0.0)
    axis = axes_of(axis)
    count = xp.sum(xp.astype(~missing, x.dtype), axis=axis, keepdims=keepdims)
    total = xp.sum(filled, axis=axis, keepdims=keepdims)
    return xp.where(count > 0, total / xp.where(count > 0, count, 1.0), math.nan)


@array_function()
def nanvar(x, axis=None, keepdims: bool = False):
    """The variance of the elements that are not NaN."""
    x = as_floats(x)[1]
    difference = x - _mean(x, axis, True)
    return _mean(difference * difference, axis, keepdims)


@array_function()
def nanstd(x, axis=None, keepdims: bool = False):
    """The standard deviation of the elements that are not NaN."""
    return namespace(x).sqrt(nanvar(x, axis, keepdims))


@array_function()
def nanmax(x, axis=None, keepdims: bool = False):
    """The largest of the elements that are not NaN."""
    return _extremum(x, axis, keepdims, -math.inf, reductions.amax)


@array_function()
def nanmin(x, axis=None, keepdims: bool = False):
    """The smallest of the elements that are not NaN."""
    return _extremum(x, axis, keepdims, math.inf, reductions.amin)


def _extremum(x, axis, keepdims, worst, choose):
    xp, missing, filled = _filled(x, worst)
    out = choose(filled, axis, keepdims)
    if missing is None:
        return out
    return xp.where(xp.all(missing, axis=axes_of(axis), keepdims=keepdims), math.nan, out)


@array_function()
def nanargmax(x, axis: int | None = None, keepdims: bool = False):
    """The index (int32) of the largest element that is not NaN."""
    return _position(x, axis, keepdims, -math.inf, reductions.argmax)


@array_function()
def nanargmin(x, axis: int | None = None, keepdims: bool = False):
    """The index (int32) of the smallest element that is not NaN."""
    return _position(x, axis, keepdims, math.inf, reductions.argmin)


def _position(x, axis, keepdims, worst, choose):
    xp, missing, filled = _filled(x, worst)
    out = choose(filled, axis, keepdims)
    if missing is None:
        return out
    return xp.where(xp.all(missing, axis=axis, keepdims=keepdims), -1, out)
