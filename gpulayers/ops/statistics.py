"""Means with weights, medians and other quantiles, counts, correlations."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import as_array, dtypes, namespace, plain
from ..arrays.devices import device_of
from ..arrays.shapes import counted, reduced_shape
from .calling import array_function, as_floats, together
from .reductions import axes_of
from .scattering import combine

__all__ = [
    "average",
    "bincount",
    "corrcoef",
    "histogram",
    "median",
    "nanmedian",
    "nanpercentile",
    "nanquantile",
    "percentile",
    "psnr",
    "quantile",
]


@array_function("x", "weights")
def average(x, axis=None, weights=None):
    """The mean with weights: sum(x weights) / sum(weights).

    Args:
        axis: an integer, several, or None for all axes.
        weights: of the shape of `x`, or of its size along `axis`; equal ones by default.
    """
    xp, x = as_floats(x)
    axis = axes_of(axis)
    if weights is None:
        return xp.mean(x, axis=axis)
    xp, (x, weights) = together((x, weights))
    if weights.ndim < x.ndim and isinstance(axis, int):
        weights = xp.reshape(
            weights, (-1,) + (1,) * (x.ndim - counted(axis, x.ndim, "average") - 1)
        )
    weights = xp.broadcast_to(weights, x.shape)
    return xp.sum(x * weights, axis=axis) / xp.sum(weights, axis=axis)


# Quantiles.

METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


@array_function()
@array_function()
def quantile(x, q, axis=None, method: str = "linear", keepdims: bool = False):
    """The numbers below which the parts `q` of the elements lie.

    Args:
        x: an array. Integers become floatx.
        q: a number between 0 and 1, or an array of them, whose axes stand first in the result.
        axis: an integer, several, or None for all axes.
        method: what to give between two elements: "linear" (interpolated), "lower", "higher",
            "midpoint" or "nearest".
        keepdims: keep the reduced axes with size 1.

    Raises ValueError for another method.
    """
    return _quantile(x, q, axis, method, keepdims, False)


@array_function()
def nanquantile(x, q, axis=None, method: str = "linear", keepdims: bool = False):
    """`quantile` of the elements that are not NaN; NaN where there are none."""
    return _quantile(x, q, axis, method, keepdims, True)


def percentile(x, q, axis=None, method: str = "linear", keepdims: bool = False):
    """`quantile` of q / 100."""
    return quantile(x, _hundredths(q), axis, method, keepdims)


def nanpercentile(x, q, axis=None, method: str = "linear", keepdims: bool = False):
    """`nanquantile` of q / 100."""
    return nanquantile(x, _hundredths(q), axis, method, keepdims)


def _hundredths(q):
    return q / 100 if isinstance(q, (int, float)) else as_array(q) / 100.0


def median(x, axis=None, keepdims: bool = False):
    """The middle one of the sorted elements, or the mean of the two in the middle."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


def nanmedian(x, axis=None, keepdims: bool = False):
    """`median` of the elements that are not NaN; NaN where there are none."""
    return nanquantile(x, 0.5, axis, keepdims=keepdims)


def _quantile(x, q, axis, method, keepdims, skip):
    if method not in METHODS:
        raise ValueError(f"quantile: method must be one of {', '.join(METHODS)}, got {method!r}.")
    xp, x = as_floats(x)
    axis = axes_of(axis)
    if axis == ():
        return x
    q = q if isinstance(q, (int, float)) else plain(as_array(q, like=x))
    rows, shape = _in_rows(xp, x, axis), reduced_shape(x.shape, axis, keepdims)
    missing = xp.isnan(rows)
    if skip:
        count = xp.sum(xp.astype(~missing, x.dtype), axis=-1, keepdims=True)
        none = count == 0
        rows = xp.where(missing, math.inf, rows)
    else:
        count, none = float(rows.shape[-1]), xp.any(missing, axis=-1, keepdims=True)
    parts = [q] if isinstance(q, (int, float)) else xp.unstack(xp.reshape(q, (-1,)))
    rows = xp.sort(rows, axis=-1)
    found = [xp.reshape(_at(xp, rows, (count - 1) * p, none, method), shape) for p in parts]
    if isinstance(q, (int, float)):
        return found[0]
    return xp.reshape(xp.stack(found), (*q.shape, *shape))


def _in_rows(xp, x, axis):
    """`x` with the reduced axes as one, the last."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = [counted(a, x.ndim, "quantile") for a in axes]
    kept = [i for i in range(x.ndim) if i not in axes]
    x = xp.permute_dims(x, (*kept, *axes))
    return xp.reshape(x, (*x.shape[: len(kept)], math.prod(x.shape[len(kept) :])))


def _at(xp, rows, place, none, method):
    """The elements of sorted rows at a place between 0 and their size - 1; NaN for `none`."""
    shape = (*rows.shape[:-1], 1)
    place = xp.broadcast_to(xp.asarray(place, dtype=rows.dtype), shape)
    place = xp.maximum(place, 0.0)
    below, above = xp.floor(place), xp.ceil(place)
    if method == "nearest":
        below = above = xp.round(place)
    lower, upper = (
        xp.take_along_axis(rows, xp.astype(i, xp.int64), axis=-1) for i in (below, above)
    )
    if method in ("lower", "nearest"):
        out = lower
    elif method == "higher":
        out = upper
    else:
        share = 0.5 if method == "midpoint" else place - below
        same = below == above  # Of infinities, the difference would be NaN.
        step = xp.where(same, 0.0, upper) - xp.where(same, 0.0, lower)
        out = lower + step * share
    return xp.where(none, math.nan, out)


# Counts.


@array_function("x", "weights")
def bincount(x, weights=None, minlength: int = 0, sparse: bool = False):
    """How often each integer from 0 on occurs in a vector, or in each row of a matrix.

    Args:
        weights: of the shape of `x`, what each one counts; 1 by default, and then counts are int32.
        minlength: the least number of counts; their number is the largest integer plus 1, for which
            the values are looked at.
        sparse: must be False.
    """
    if sparse:
        raise ValueError("bincount: sparse arrays are not supported, got sparse=True.")
    xp = namespace(x, weights)
    size = max(int(plain(xp.max(x))) + 1 if x.size else 0, minlength)
    if weights is None:
        weights = xp.ones_like(x, dtype=xp.int32)
    else:
        dtype = dtypes.of(xp, dtypes.promote(x, weights))
        weights = xp.astype(weights, dtype)
    if x.ndim == 2:
        rows = zip(xp.unstack(x), xp.unstack(weights), strict=True)
        return xp.stack([_counts(xp, a, w, size) for a, w in rows])
    return _counts(xp, x, weights, size)


def _counts(xp, x, weights, size):
    start = xp.zeros((size, 1), dtype=weights.dtype)
    out = combine(start, xp.astype(x, xp.int64), xp.expand_dims(weights, axis=1), how="add")
    return xp.reshape(out, (size,))


@array_function()
def histogram(x, bins: int = 10, range=None):
    """How many elements lie in each of `bins` intervals of equal width, and the intervals' edges.

    range: (first edge, last edge); by default the smallest and the largest element. Elements
        outside are left out; those at the last edge belong to the last interval.

    Raises ValueError for a range that goes down or fewer bins than one, TypeError unless `bins` is
    an integer.
    """
    if not isinstance(bins, int):
        raise TypeError(f"histogram: bins must be a positive integer, got {bins!r}.")
    if bins < 1:
        raise ValueError(f"histogram: bins must be a positive integer, got {bins}.")
    if range is not None and (len(range) != 2 or range[1] < range[0]):
        raise ValueError(f"histogram: range must be two numbers that go up, got {tuple(range)}.")
    xp, x = as_floats(x)
    x = xp.reshape(x, (-1,))
    if range is None:
        empty = x.shape[0] == 0
        low, high = (0.0, 1.0) if empty else (float(plain(f(x))) for f in (xp.min, xp.max))
    else:
        low, high = map(float, range)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = xp.asarray(np.linspace(low, high, bins + 1), dtype=x.dtype, device=device_of(x))
    above = xp.searchsorted(edges, x, side="right") - 1
    place = xp.where(x == edges[-1], bins - 1, above)
    inside = (x >= edges[0]) & (x <= edges[-1])
    counts = _counts(xp, xp.where(inside, place, bins), xp.ones_like(x), bins + 1)
    return counts[:bins], edges


@array_function()
def corrcoef(x):
    """The correlations of all pairs of rows of a matrix: (rows, rows), 1 on the diagonal."""
    xp, x = as_floats(x)
    rows = x if x.ndim == 2 else xp.reshape(x, (1, -1))
    rows = rows - xp.mean(rows, axis=1, keepdims=True)
    length = xp.sqrt(xp.sum(rows * rows, axis=1))
    out = xp.matmul(rows, xp.matrix_transpose(rows)) / length / xp.expand_dims(length, axis=1)
    return out if x.ndim == 2 else xp.reshape(out, ())


@array_function("x1", "x2")
def psnr(x1, x2, max_val: float):
    """The peak signal-to-noise ratio in decibels: 20 log10(max_val) - 10 log10(mean((x1 - x2)^2)).

    Raises ValueError unless both arrays have the same shape.
    """
    if tuple(x1.shape) != tuple(x2.shape):
        raise ValueError(
            f"psnr: both arrays must have one shape, got {tuple(x1.shape)} and {tuple(x2.shape)}."
        )
    xp, (x1, x2) = together((as_floats(x1)[1], as_floats(x2)[1]))
    difference = x1 - x2
    return 20 * math.log10(max_val) - 10 * xp.log10(xp.mean(difference * difference))
