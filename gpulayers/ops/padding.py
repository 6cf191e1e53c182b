"""Margins around an array: of one value, of its own values again, or of their statistics."""

from __future__ import annotations

import operator

from ..arrays import as_array, devices, dtypes, namespace, operation, primitive

__all__ = ["pad"]

REPEATING = ("edge", "reflect", "symmetric", "wrap", "circular")
STATISTICS = ("maximum", "mean", "median", "minimum")
MODES = ("constant", "empty", "linear_ramp", *REPEATING, *STATISTICS)


@operation
def pad(x, pad_width, mode: str = "constant", constant_values=None):
    """Add margins to an array.

    Args:
        x: an array.
        pad_width: ((before, after), ...) for each axis; one pair, or one integer for both sides,
            stands for all axes.
        mode: what the margins hold. "constant": `constant_values`; "edge": the outermost values;
            "reflect": the mirrored inside without the edge; "symmetric": with the edge; "wrap" or
            "circular": the other end; "maximum", "mean", "median", "minimum": of the axis;
            "linear_ramp": a ramp from the edge to 0; "empty": zeros. Axis after axis, as
            `numpy.pad`.
        constant_values: a number, 0 by default; only with "constant".

    Raises ValueError for an unknown mode, widths that are negative or don't fit the axes,
    `constant_values` with another mode, or margins of nothing.
    """
    x = as_array(x)
    if mode not in MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(MODES)}, got {mode!r}.")
    if constant_values is not None and mode != "constant":
        raise ValueError(f"pad: constant_values goes with mode='constant', not with {mode!r}.")
    widths = _widths(pad_width, x.ndim)
    mode = {"circular": "wrap", "empty": "constant"}.get(mode, mode)
    if mode != "constant":
        for size, width in zip(x.shape, widths, strict=True):
            if size == 0 and any(width):
                raise ValueError(
                    f"pad: mode {mode!r} cannot extend an empty axis: shape {tuple(x.shape)}."
                )
    return padded(x, widths=widths, mode=mode, value=constant_values or 0)


def _widths(pad_width, ndim):
    """`pad_width` as one (before, after) pair for each axis."""
    given = pad_width.tolist() if hasattr(pad_width, "tolist") else pad_width
    try:
        if not hasattr(given, "__len__"):
            given = (given,)
        if not any(hasattr(pair, "__len__") for pair in given):
            given = (given,)
        pairs = [tuple(operator.index(n) for n in pair) for pair in given]
    except TypeError:
        pairs = []
    pairs = [pair * 2 if len(pair) == 1 else pair for pair in pairs]
    if len(pairs) == 1:
        pairs *= ndim
    if len(pairs) != ndim or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(
            f"pad: pad_width must be a non-negative integer, a pair (before, after), or such a "
            f"pair for each of the array's {ndim} axes, got {pad_width!r}."
        )
    return tuple(pairs)


@primitive
def padded(x, *, widths, mode, value):
    """`x` with (before, after) `widths` added to each axis, one axis after the other."""
    xp = namespace(x)
    margins = _constant if mode == "constant" else _ramp if mode == "linear_ramp" else _statistic
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        if mode in REPEATING:
            runs = repeating_runs(x.shape[axis], before, after, mode)
            parts = [_run(xp, x, axis, *run) for run in runs]
        else:
            extra = value if mode == "constant" else mode
            left, right = margins(xp, x, axis, before, after, extra)
            parts = [part for part in (left, x, right) if part.shape[axis]]
        x = xp.concat(parts, axis=axis)
    return x


def repeating_runs(size, before, after, mode):
    """The indices -before ... size + after of an axis, as runs (start, count, step) inside it.

    `step` is 1, -1 or 0. The axis goes on as a cycle of equally long runs: itself, or itself and
    its mirror image, without the values at the turns for "reflect".
    """
    if mode == "edge" or (size == 1 and mode == "reflect"):
        runs = [(0, before, 0), (0, size, 1), (size - 1, after, 0)]
        return [run for run in runs if run[1]]
    cycle = [(0, 1)] if mode == "wrap" else [(0, 1), (size - 1, -1)]
    length = size - 1 if mode == "reflect" else size
    runs, place, end = [], -before, size + after
    while place < end:
        turn, offset = divmod(place, length)
        start, step = cycle[turn % len(cycle)]
        count = min(length - offset, end - place)
        runs.append((start + step * offset, count, step))
        place += count
    return runs


def _run(xp, x, axis, start, count, step):
    """`count` entries of an axis of `x` from `start` on: forwards, backwards or all the same."""
    if step > 0:
        return _part(x, axis, start, start + count)
    if step < 0:
        return xp.flip(_part(x, axis, start - count + 1, start + 1), axis=axis)
    one = _part(x, axis, start, start + 1)
    return xp.broadcast_to(one, (*x.shape[:axis], count, *x.shape[axis + 1 :]))


def _part(x, axis, start, stop):
    return x[(slice(None),) * axis + (slice(start, stop), ...)]


def _block(xp, x, axis, count, value):
    """Entries for one axis of `x` that are all `value`."""
    if dtypes.is_bool(x):
        value = bool(value)
    elif dtypes.is_integer(x):
        value = int(value)
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    return xp.full(shape, value, dtype=x.dtype, device=devices.device_of(x))


def _constant(xp, x, axis, before, after, value):
    return _block(xp, x, axis, before, value), _block(xp, x, axis, after, value)


def _ramp(xp, x, axis, before, after, _):
    """Straight lines from 0 to either edge, rounded towards -infinity for integers."""

    def line(edge, count):
        dtype = dtypes.of(xp, "float64") if dtypes.is_integer(x) else x.dtype
        steps = xp.arange(count, dtype=dtype, device=devices.device_of(x)) / max(count, 1)
        steps = xp.reshape(steps, (-1,) + (1,) * (x.ndim - axis - 1))
        if dtypes.is_integer(x):
            return xp.astype(xp.floor(xp.astype(edge, dtype) * steps), x.dtype)
        return edge * steps

    first, last = _part(x, axis, 0, 1), _part(x, axis, x.shape[axis] - 1, x.shape[axis])
    return line(first, before), xp.flip(line(last, after), axis=axis)


def _statistic(xp, x, axis, before, after, mode):
    """A statistic of the axis, rounded for integers."""
    work = xp.astype(x, dtypes.of(xp, "float64")) if dtypes.is_integer(x) else x
    if mode == "maximum":
        value = xp.max(x, axis=axis, keepdims=True)
    elif mode == "minimum":
        value = xp.min(x, axis=axis, keepdims=True)
    elif mode == "mean":
        value = xp.mean(work, axis=axis, keepdims=True)
    else:
        ordered, half = xp.sort(work, axis=axis), x.shape[axis] // 2
        value = _part(ordered, axis, half, half + 1)
        if x.shape[axis] % 2 == 0:
            value = (_part(ordered, axis, half - 1, half) + value) / 2
    if value.dtype != x.dtype:
        value = xp.astype(xp.round(value), x.dtype)
    shape = list(x.shape)
    return tuple(
        xp.broadcast_to(value, (*shape[:axis], count, *shape[axis + 1 :]))
        for count in (before, after)
    )
