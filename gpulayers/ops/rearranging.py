"""Blocks, windows and named axes: elements of images and sequences in other arrangements."""

from __future__ import annotations

import re
from itertools import product
from math import prod

from ..arrays import as_array, devices, namespace
from ..arrays.scatter import scatter_add
from .calling import array_function
from .padding import pad

__all__ = [
    "depth_to_space",
    "extract_sequences",
    "fold",
    "rearrange",
    "space_to_depth",
    "unfold",
]

moves = array_function(computes=False)


# Axes by name, as in einops.


@moves
def rearrange(tensor, pattern: str, **axes_lengths):
    """Split, reorder and join axes by name: "b (h p) c -> b h (p c)".

    Args:
        tensor: an array.
        pattern: the names of its axes, "->", the same names in the new order. Names in parentheses
            are one axis, the last of them runs fastest.
        axes_lengths: sizes of axes in parentheses; one of each group may be left out.

    Raises ValueError if the pattern does not fit the array. Rogozhnikov, "Einops: clear and
    reliable tensor manipulations with Einstein-like notation", 2022.
    """
    left, arrow, right = pattern.partition("->")
    before, after = _groups(left), _groups(right)
    names = [name for group in before for name in group]
    wanted = [name for group in after for name in group]
    if not arrow or sorted(names) != sorted(wanted) or len(set(names)) < len(names):
        raise ValueError(f"rearrange: both sides of {pattern!r} must have the same names, once.")
    if len(before) != tensor.ndim:
        raise ValueError(
            f"rearrange: {pattern!r} names {len(before)} axes, the array has the shape "
            f"{tuple(tensor.shape)}."
        )
    sizes = {}
    for group, size in zip(before, tensor.shape, strict=True):
        sizes.update(_sizes(group, size, axes_lengths, pattern))
    xp = namespace(tensor)
    out = xp.reshape(tensor, tuple(sizes[name] for name in names))
    out = xp.permute_dims(out, tuple(names.index(name) for name in wanted))
    return xp.reshape(out, tuple(prod(sizes[name] for name in group) for group in after))


def _groups(side):
    return [part.strip("()").split() for part in re.findall(r"\(.*?\)|\w+", side)]


def _sizes(group, size, known, pattern):
    """The sizes of the axes that make one of `size`."""
    open_names = [name for name in group if name not in known]
    if len(group) == 1:
        return {group[0]: size}
    given = prod(known[name] for name in group if name in known)
    if len(open_names) > 1 or size % given or (not open_names and given != size):
        raise ValueError(f"rearrange: an axis of {size} elements does not fit {group} ({pattern}).")
    return {name: known.get(name, size // given) for name in group}


# Blocks of images.


def _check_block(name, block_size):
    if block_size < 2:
        raise ValueError(f"{name}: block_size must be 2 or more, got {block_size}.")


@moves
def space_to_depth(x, block_size: int, data_format: str = "channels_last"):
    """Blocks of pixels as channels: (N, H, W, C) gives (N, H/b, W/b, b b C).

    data_format: "channels_last", or "channels_first" for (N, C, H, W) to (N, C b b, H/b, W/b), as
        Keras 3.15 has it. Raises ValueError if b is below 2 or does not divide the sizes.
    """
    _check_block("space_to_depth", block_size)
    if data_format == "channels_first":
        return rearrange(x, "n c (h a) (w b) -> n (c a b) h w", a=block_size, b=block_size)
    return rearrange(x, "n (h a) (w b) c -> n h w (a b c)", a=block_size, b=block_size)


@moves
def depth_to_space(x, block_size: int, data_format: str = "channels_last"):
    """Channels as blocks of pixels: (N, H, W, b b C) gives (N, b H, b W, C).

    data_format: "channels_last", or "channels_first" for (N, C b b, H, W) to (N, C, b H, b W), as
        Keras 3.15 has it. Raises ValueError if b is below 2 or b b does not divide the channels.
    """
    _check_block("depth_to_space", block_size)
    if data_format == "channels_first":
        return rearrange(x, "n (c a b) h w -> n c (h a) (w b)", a=block_size, b=block_size)
    return rearrange(x, "n h w (a b c) -> n (h a) (w b) c", a=block_size, b=block_size)


# Windows.


def _pair(value):
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def windows(x, size, strides, dilation):
    """The windows of an array (N, ..., C) over the axes between, as (N, ..., windows, C).

    Each of `size`, `strides` and `dilation` has one integer for each axis between.
    """
    xp = namespace(x)
    counts = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(x.shape[1:-1], size, strides, dilation, strict=True)
    ]
    parts = []
    for place in product(*map(range, size)):
        key = tuple(
            slice(i * d, i * d + (n - 1) * s + 1, s)
            for i, n, s, d in zip(place, counts, strides, dilation, strict=True)
        )
        parts.append(x[(slice(None), *key, slice(None))])
    return xp.stack(parts, axis=-2)


@moves
def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of images as columns: (N, C, H, W) gives (N, C kh kw, windows).

    Args:
        kernel_size, dilation, stride: of the windows, an integer or (vertical, horizontal).
        padding: margins of zeros on both sides, likewise.
    """
    xp = namespace(x)
    size, dilation, padding, stride = map(_pair, (kernel_size, dilation, padding, stride))
    x = xp.permute_dims(x, (0, 2, 3, 1))
    x = pad(x, [(0, 0), *((p, p) for p in padding), (0, 0)]) if any(padding) else x
    parts = windows(x, size, stride, dilation)  # (N, H', W', kh kw, C)
    parts = xp.permute_dims(parts, (0, 4, 3, 1, 2))
    return xp.reshape(parts, (*_merged(parts.shape, 1), -1))


def _merged(shape, axis):
    return (*shape[:axis], shape[axis] * shape[axis + 1])


@array_function()
def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Images from windows that are added up where they overlap: the transpose of `unfold`.

    Args:
        x: (N, C kh kw, windows).
        output_size: (H, W) of the result (N, C, H, W).
        kernel_size, dilation, padding, stride: as for `unfold`.

    Raises ValueError if the number of windows is another.
    """
    xp, n = namespace(x), x.shape[0]
    size, dilation, padding, stride = map(_pair, (kernel_size, dilation, padding, stride))
    whole = [m + 2 * p for m, p in zip(_pair(output_size), padding, strict=True)]
    places = as_array(_window_places(whole, size, stride, dilation), like=x)
    if places.shape[0] != prod(size) * x.shape[2]:
        raise ValueError(
            f"fold: {x.shape[2]} windows do not make images of the size {_pair(output_size)}."
        )
    values = xp.reshape(x, (n, x.shape[1] // prod(size), places.shape[0]))
    out = scatter_add(values, places, axis=2, size=prod(whole))
    out = xp.reshape(out, (*out.shape[:2], *whole))
    key = [slice(p, m - p) for m, p in zip(whole, padding, strict=True)]
    return out[(slice(None), slice(None), *key)]


def _window_places(sizes, kernel, strides, dilation):
    """Flat indices of the elements of all windows: first by place in the window."""
    rows = [
        [[i * d + w * s for w in range((n - (k - 1) * d - 1) // s + 1)] for i in range(k)]
        for n, k, s, d in zip(sizes, kernel, strides, dilation, strict=True)
    ]
    return [
        row * sizes[1] + column
        for vertical in rows[0]
        for horizontal in rows[1]
        for row in vertical
        for column in horizontal
    ]


@moves
def extract_sequences(x, sequence_length: int, sequence_stride: int):
    """The windows along the last axis: (..., T) gives (..., windows, sequence_length).

    Raises ValueError unless `sequence_stride` is a positive integer.
    """
    if not isinstance(sequence_stride, int) or sequence_stride < 1:
        raise ValueError(
            f"extract_sequences: sequence_stride must be a positive integer, got {sequence_stride}."
        )
    xp, size = namespace(x), x.shape[-1]
    count = (size - sequence_length) // sequence_stride + 1
    device = devices.device_of(x)
    starts = xp.expand_dims(xp.arange(count, device=device) * sequence_stride, axis=1)
    places = xp.reshape(starts + xp.arange(sequence_length, device=device), (-1,))
    return xp.reshape(xp.take(x, places, axis=-1), (*x.shape[:-1], count, sequence_length))
