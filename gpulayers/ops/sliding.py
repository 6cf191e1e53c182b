"""How windows slide over the axes of an array: sizes, margins, what each place of one sees.

A window has a size k and a dilation d, so that it spans (k - 1) d + 1 elements; it moves by a
stride s over an axis with margins (low, high).  All sizes are tuples with one entry for each axis.
"""

from __future__ import annotations

import itertools
import math
import operator

from .. import config
from ..arrays import namespace
from .padding import padded


def each(who: str, name: str, value, rank: int, least: int = 1) -> tuple[int, ...]:
    """`value` as one whole number for each of `rank` axes.

    Raises ValueError unless it is one number or `rank` of them, each at least `least`.
    """
    given = (value,) * rank if hasattr(value, "__index__") else value
    try:
        found = tuple(operator.index(one) for one in given)
    except TypeError:
        found = ()
    if len(found) != rank or min(found) < least:
        raise ValueError(
            f"{who}: {name} must be a whole number of at least {least}, or {rank} of them, got "
            f"{value!r}."
        )
    return found


def require_padding(who: str, padding, *more: str) -> None:
    """Raise ValueError unless `padding` is "valid", "same" or one of `more`."""
    if padding not in ("valid", "same", *more):
        known = ", ".join(map(repr, ("valid", "same", *more)))
        raise ValueError(f"{who}: padding must be one of {known}, got {padding!r}.")


def channels_last(x, data_format):
    """`x` with its channels at the end, and the function that brings them back to their place."""
    if config.standardize_data_format(data_format) == "channels_last" or x.ndim < 3:
        return x, lambda y: y
    last = tuple(range(1, x.ndim - 1))

    def back(y):
        return namespace(y).permute_dims(y, (0, y.ndim - 1, *last))

    return namespace(x).permute_dims(x, (0, *(axis + 1 for axis in last), 1)), back


def span(size: int, dilation: int = 1) -> int:
    """How many elements a window covers."""
    return (size - 1) * dilation + 1


def margins(padding: str, sizes, windows, strides, dilations) -> tuple[tuple[int, int], ...]:
    """The (low, high) margins that Keras's `padding` means for axes of these sizes.

    "same" gives ceil(n / s) windows, with the odd element of its margins at the end; "causal" puts
    all of the margin at the start; "valid" has none.
    """
    found = []
    for n, k, s, d in zip(sizes, windows, strides, dilations, strict=True):
        total = 0
        if padding == "same":
            total = max((math.ceil(n / s) - 1) * s + span(k, d) - n, 0)
        elif padding == "causal":
            total = span(k, d) - 1
        low = total if padding == "causal" else total // 2
        found.append((low, total - low))
    return tuple(found)


def counts(sizes, windows, strides, padding, dilations) -> tuple[int, ...]:
    """How many places a window has along each axis."""
    return tuple(
        max((n + low + high - span(k, d)) // s + 1, 0)
        for n, k, s, (low, high), d in zip(sizes, windows, strides, padding, dilations, strict=True)
    )


def with_margins(x, padding, value=0):
    """`x` with margins of `value` around its inner axes (not the first, not the last).

    A negative margin takes elements away, those of the other margin too.
    """
    widths = tuple((max(low, 0), max(high, 0)) for low, high in padding)
    if any(map(any, widths)):
        x = padded(x, widths=((0, 0), *widths, (0, 0)), mode="constant", value=value)
    kept = tuple(
        slice(max(-low, 0), n - max(-high, 0))
        for n, (low, high) in zip(x.shape[1:-1], padding, strict=True)
    )
    whole = all(part == slice(0, n) for part, n in zip(kept, x.shape[1:-1], strict=True))
    return x if whole else x[(slice(None), *kept, slice(None))]


def places(windows):
    """The places of a window, in the order of its elements."""
    return itertools.product(*map(range, windows))


def seen_from(x, place, count, strides, dilations):
    """What one place of the window sees of `x` (with margins) as the window slides."""
    inner = (
        slice(p * d, p * d + (n - 1) * s + 1 if n else p * d, s)
        for p, n, s, d in zip(place, count, strides, dilations, strict=True)
    )
    return x[(slice(None), *inner, slice(None))]


def spread_to(y, place, sizes, strides, dilations):
    """The inverse of `seen_from`: zeros of inner `sizes`, with `y` where that place saw it from."""
    xp = namespace(y)
    for axis, (n, s) in enumerate(zip(y.shape[1:-1], strides, strict=True), 1):
        if s > 1 and n:  # s - 1 zeros behind each element but the last.
            shape = y.shape
            y = xp.reshape(y, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
            zeros = xp.zeros_like(y)
            y = xp.concat([y] + [zeros] * (s - 1), axis=axis + 1)
            y = xp.reshape(y, (*shape[:axis], n * s, *shape[axis + 1 :]))
            y = y[(*(slice(None),) * axis, slice(0, (n - 1) * s + 1), ...)]
    starts = [p * d for p, d in zip(place, dilations, strict=True)]
    ends = [n - m - a for n, m, a in zip(sizes, y.shape[1:-1], starts, strict=True)]
    return with_margins(y, tuple(zip(starts, ends, strict=True)))
