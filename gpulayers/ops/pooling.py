"""Pooling: the largest or the mean value in windows that slide over an array.

Layouts as in `convolution`: x (N, *sizes, C), y (N, *counts, C).
"""

from __future__ import annotations

import math

from .. import config
from ..arrays import Abstract, devices, dtypes, namespace, primitive
from .calling import array_function
from .sliding import (
    channels_last,
    counts,
    each,
    margins,
    places,
    require_padding,
    seen_from,
    spread_to,
    with_margins,
)

__all__ = ["adaptive_average_pool", "adaptive_max_pool", "average_pool", "max_pool"]


@primitive
def max_pooling(x, *, windows, strides, padding):
    """The largest value in each window; the margins count as smaller than all.

    Args:
        x: (N, *sizes, C).
        windows, strides: a whole number for each inner axis.
        padding: a pair (low, high) for each inner axis.

    Gives (N, *counts, C).  The gradient goes to the first of equal values.
    """
    xp = namespace(x)
    wide, count, once = _wide(x, windows, strides, padding, _least(xp, x))
    y = None
    for place in places(windows):
        seen = seen_from(wide, place, count, strides, once)
        y = seen if y is None else xp.maximum(y, seen)
    return y


@max_pooling.vjp
def _(xp, out, x, *, windows, strides, padding):
    def dx(g):
        wide, count, once = _wide(x, windows, strides, padding, _least(xp, x))
        found, total = out != out, xp.zeros_like(wide)
        for place in places(windows):
            largest = (seen_from(wide, place, count, strides, once) == out) & ~found
            found = found | largest
            share = xp.where(largest, g, 0.0)
            total = total + spread_to(share, place, wide.shape[1:-1], strides, once)
        return _inside(total, padding)

    return (dx,)


@primitive
def average_pooling(x, *, windows, strides, padding):
    """The mean of what each window sees of x; the margins do not count.

    Args, result: see `max_pooling`.
    """
    wide, count, once = _wide(x, windows, strides, padding, 0)
    total = None
    for place in places(windows):
        seen = seen_from(wide, place, count, strides, once)
        total = seen if total is None else total + seen
    return total / _numbers_seen(x, windows, strides, padding, count)


@average_pooling.vjp
def _(xp, out, x, *, windows, strides, padding):
    def dx(g):
        wide, count, once = _wide(x, windows, strides, padding, 0)
        g = g / _numbers_seen(x, windows, strides, padding, count)
        total = xp.zeros_like(wide)
        for place in places(windows):
            total = total + spread_to(g, place, wide.shape[1:-1], strides, once)
        return _inside(total, padding)

    return (dx,)


@max_pooling.shape
@average_pooling.shape
def _(x, *, windows, strides, padding):
    count = counts(x.shape[1:-1], windows, strides, padding, (1,) * len(windows))
    return Abstract((x.shape[0], *count, x.shape[-1]), x.dtype)


def _wide(x, windows, strides, padding, value):
    """x with its margins, the numbers of windows, and the dilations of all axes: 1."""
    once = (1,) * len(windows)
    count = counts(x.shape[1:-1], windows, strides, padding, once)
    return with_margins(x, padding, value), count, once


def _inside(wide, padding):
    return with_margins(wide, tuple((-low, -high) for low, high in padding))


def _least(xp, x):
    return -math.inf if dtypes.is_floating(x) else xp.iinfo(x.dtype).min


def _numbers_seen(x, windows, strides, padding, count):
    """How many elements of x each window sees, as an array (*counts, 1)."""
    xp, numbers = namespace(x), None
    for n, k, s, (low, _), c in zip(x.shape[1:-1], windows, strides, padding, count, strict=True):
        starts = [s * i - low for i in range(c)]
        seen = [max(min(a + k, n) - max(a, 0), 1) for a in starts]
        seen = xp.asarray(seen, dtype=x.dtype, device=devices.device_of(x))
        if numbers is None:
            numbers = seen
        else:
            numbers = xp.expand_dims(numbers, axis=-1) * seen
    return xp.expand_dims(numbers, axis=-1)


# As Keras has them.


@array_function("inputs")
def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The largest value in each window.

    Args:
        inputs: (N, *sizes, C), or (N, C, *sizes) for `data_format="channels_first"`.
        pool_size: the window, one whole number or one for each axis.
        strides: how far it moves; `pool_size` by default.
        padding: "valid", or "same" for ceil(size / stride) windows.

    Gives (N, *counts, C), or (N, C, *counts).  Raises ValueError for sizes that do not fit.
    """
    return pooled("max_pool", max_pooling, inputs, pool_size, strides, padding, data_format)


@array_function("inputs")
def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The mean of each window; margins of "same" do not count.  See `max_pool`."""
    who = "average_pool"
    return pooled(who, average_pooling, inputs, pool_size, strides, padding, data_format)


def pooled(who, operation, x, pool_size, strides, padding, data_format):
    """`max_pool` or `average_pool`, for whoever is named in its errors."""
    rank = x.ndim - 2
    windows = each(who, "pool_size", pool_size, rank)
    strides = windows if strides is None else each(who, "strides", strides, rank)
    require_padding(who, padding)
    x, back = channels_last(x, data_format)
    if operation is average_pooling and not dtypes.is_floating(x):
        x = namespace(x).astype(x, dtypes.of(namespace(x), config.floatx()))
    sizes = x.shape[1:-1]
    if padding == "valid" and any(n < k for n, k in zip(sizes, windows, strict=True)):
        raise ValueError(
            f"{who}: inputs of sizes {tuple(sizes)} are smaller than windows of sizes "
            f"{tuple(windows)}; padding='same' would allow it."
        )
    around = margins(padding, sizes, windows, strides, (1,) * rank)
    return back(operation(x, windows=windows, strides=strides, padding=around))


@array_function("inputs")
def adaptive_average_pool(inputs, output_size, data_format=None):
    """The means of windows that divide each axis into so many parts.

    Args:
        inputs: (N, *sizes, C), or (N, C, *sizes) for `data_format="channels_first"`.
        output_size: how many parts, one whole number or one for each axis. Part i of m of an axis
            of size n goes from floor(i n / m) to ceil((i + 1) n / m).

    Gives (N, *output_size, C), or (N, C, *output_size).
    """
    return adapted("adaptive_average_pool", average_pooling, inputs, output_size, data_format)


@array_function("inputs")
def adaptive_max_pool(inputs, output_size, data_format=None):
    """The largest values of windows that divide each axis.  See `adaptive_average_pool`."""
    return adapted("adaptive_max_pool", max_pooling, inputs, output_size, data_format)


def adapted(who, operation, x, output_size, data_format):
    """`adaptive_average_pool` or `adaptive_max_pool`, for whoever is named in its errors."""
    rank = x.ndim - 2
    parts = each(who, "output_size", output_size, rank)
    x, back = channels_last(x, data_format)
    sizes = x.shape[1:-1]
    if all(n % m == 0 and n for n, m in zip(sizes, parts, strict=True)):
        windows = tuple(n // m for n, m in zip(sizes, parts, strict=True))
        none = ((0, 0),) * rank
        return back(operation(x, windows=windows, strides=windows, padding=none))
    xp = namespace(x)
    reduce = xp.mean if operation is average_pooling else xp.max
    for axis, (n, m) in enumerate(zip(sizes, parts, strict=True), 1):
        lead = (slice(None),) * axis
        windows = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        found = [reduce(x[(*lead, slice(a, b), ...)], axis=axis, keepdims=True) for a, b in windows]
        x = xp.concat(found, axis=axis)
    return back(x)
