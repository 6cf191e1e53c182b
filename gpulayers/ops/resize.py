"""Images of another size: interpolation along one axis after the other."""

from __future__ import annotations

import math
from functools import lru_cache, reduce

import numpy as np

from .. import config
from ..arrays import Abstract, as_array, devices, dtypes, namespace, operation, primitive
from .padding import pad

__all__ = ["resize"]

# How far each kernel reaches, in pixels of the input.
REACH = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}
INTERPOLATIONS = ("nearest", *REACH)
WAYS = (*INTERPOLATIONS, "area")


@operation
def resize(
    images,
    size,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
):
    """Bring images to a given size.

    Pixels are areas: the centre of pixel i lies at i + 1/2, and output pixel i of n is
    interpolated where its centre falls among the m of the input, at (i + 1/2) m / n. Weights of
    pixels beyond the edges go to the others. Integers are rounded, and 8- and 16-bit ones clipped
    to their range.

    Args:
        images: (height, width, channels), with a batch axis before it or not, or channels first.
        size: (height, width) of the result.
        interpolation: "nearest", "bilinear" (the default), "bicubic" (a = -1/2), "lanczos3",
            "lanczos5", "area" (the mean of the part of the input that a pixel of the result covers,
            which Keras 3.15 does not have).
        antialias: when shrinking, widen the kernel to the size of an output pixel.
        crop_to_aspect_ratio: crop the middle of the images to the ratio of `size` first.
        pad_to_aspect_ratio: add margins of `fill_value` up to the ratio of `size` first.
        fill_mode: only "constant".
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other ranks, sizes or names, and for cropping and padding at once.

    Kernels: R. Keys, "Cubic convolution interpolation for digital image processing", 1981;
    C. Duchon, "Lanczos filtering in one and two dimensions", 1979.
    """
    images = as_array(images)
    size = tuple(size)
    require_way(interpolation, fill_mode, crop_to_aspect_ratio, pad_to_aspect_ratio)
    if len(size) != 2:
        raise ValueError(f"resize: size must be (height, width), got {size}.")
    if images.ndim not in (3, 4):
        raise ValueError(
            "resize: images must have rank 3 (one image) or 4 (a batch), got an array of shape "
            f"{tuple(images.shape)}."
        )
    channels_first = config.standardize_data_format(data_format) == "channels_first"
    height = images.ndim - (2 if channels_first else 3)
    if crop_to_aspect_ratio:
        images = _cropped(images, size, height)
    elif pad_to_aspect_ratio:
        images = _padded(images, size, height, fill_value)
    how = {"interpolation": interpolation, "antialias": bool(antialias)}
    return resized(images, size=size, first=height, **how)


def require_way(interpolation, fill_mode, crop_to_aspect_ratio, pad_to_aspect_ratio) -> None:
    """Raise ValueError for a name that `resize` does not know, and for cropping and padding."""
    if interpolation not in WAYS:
        raise ValueError(
            f"resize: interpolation must be one of {', '.join(WAYS)}, got {interpolation!r}."
        )
    if fill_mode != "constant":
        raise ValueError(f"resize: fill_mode must be 'constant', got {fill_mode!r}.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("resize: choose crop_to_aspect_ratio or pad_to_aspect_ratio, not both.")


def _ratio_sizes(images, size, first):
    """Height and width that would give the images the ratio of `size`, the other one kept."""
    height, width = images.shape[first : first + 2]
    return int(width * size[0] / size[1]), int(height * size[1] / size[0])


def _cropped(images, size, first):
    key = [slice(None)] * first
    for old, new in zip(images.shape[first:], _ratio_sizes(images, size, first), strict=False):
        new = max(min(old, new), 1)
        start = int((old - new) / 2)
        key.append(slice(start, start + new))
    return images[(*key, ...)]


def _padded(images, size, first, value):
    """Margins on both sides of the axis that is too short."""
    wanted = _ratio_sizes(images, size, first)
    widths = [(0, 0)] * images.ndim
    for axis, new in enumerate(wanted, first):
        margin = int(max(new - images.shape[axis], 0) / 2)
        widths[axis] = (margin, margin)
    return pad(images, widths, constant_values=value)


@primitive
def resized(images, *, size, first, interpolation, antialias=False):
    """Images with `size` from axis `first` on, interpolated in float32 if they hold less."""
    if interpolation == "nearest":
        # An axis that grows comes last, and if both do, the height: its rows are long pieces.
        grows = [count / images.shape[axis] for axis, count in enumerate(size, first)]
        for i in sorted((1, 0) if min(grows) > 1 else (0, 1), key=lambda i: grows[i] > 1):
            images = resampled_nearest(images, axis=first + i, size=size[i])
        return images
    xp, dtype = namespace(images), images.dtype
    exact = dtypes.name(dtype) in ("float32", "float64")
    x = images if exact else xp.astype(images, dtypes.of(xp, "float32"))
    for axis, count in enumerate(size, first):
        if x.shape[axis] != count:
            x = resampled(
                x, axis=axis, size=count, interpolation=interpolation, antialias=antialias
            )
    if x is images or exact:
        return x
    if dtypes.is_integer(dtype):
        x = xp.round(x)
        if dtypes.name(dtype) in ("int8", "uint8", "int16", "uint16"):
            limits = xp.iinfo(dtype)
            x = xp.clip(x, limits.min, limits.max)
    return xp.astype(x, dtype)


@resized.shape
def _(images, *, size, first, interpolation, antialias=False):
    shape = tuple(images.shape)
    return Abstract((*shape[:first], *size, *shape[first + 2 :]), images.dtype)


@primitive
def resampled_nearest(x, *, axis, size):
    """`x` with `size` entries along an axis: each the one whose area holds its centre."""
    old, xp = x.shape[axis], namespace(x)
    if old == size:
        return x
    if old and size % old == 0:
        return xp.repeat(x, size // old, axis=axis)
    places = xp.asarray(nearest_places(old, size).copy(), device=devices.device_of(x))
    return xp.take(x, places, axis=axis)


@lru_cache(maxsize=64)
def nearest_places(old: int, new: int):
    """Which of `old` entries each of `new` is: those whose areas hold the centres; read-only."""
    places = np.floor((np.arange(new) + 0.5) * old / new).astype(np.int64)
    places.flags.writeable = False
    return places


@primitive
def resampled(x, *, axis, size, interpolation, antialias=False):
    """`x` (float32 or float64) with `size` entries along an axis, interpolated."""
    xp, shape = namespace(x), tuple(x.shape)
    before, old, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    weights = interpolation_weights(old, size, interpolation, antialias, dtypes.name(x.dtype))
    weights = xp.asarray(weights.copy(), device=devices.device_of(x))
    if after == 1:
        y = xp.matmul(xp.reshape(x, (before, old)), xp.matrix_transpose(weights))
    else:
        y = xp.matmul(weights, xp.reshape(x, (before, old, after)))
    return xp.reshape(y, (*shape[:axis], size, *shape[axis + 1 :]))


@lru_cache(maxsize=64)
def interpolation_weights(old: int, new: int, interpolation: str, antialias: bool, dtype: str):
    """The (new, old) matrix of the weights of old entries in new ones: rows sum to 1, read-only."""
    if interpolation == "area":
        weights = _covered(old, new).astype(dtype)
        weights.flags.writeable = False
        return weights
    # In float32 the centres are rounded, as in other libraries: far from 0 that shows in results.
    scale = np.asarray(old, dtype) / np.asarray(new, dtype)
    centres = (np.arange(new, dtype=dtype) + np.asarray(0.5, dtype)) * scale - 0.5
    distance = np.abs(centres[:, None].astype("float64") - np.arange(old)[None, :])
    weights = _kernel(distance / (max(old / new, 1.0) if antialias else 1.0), interpolation)
    total = weights.sum(axis=1, keepdims=True)
    weights = (weights / np.where(total == 0, 1, total)).astype(dtype)
    weights.flags.writeable = False
    return weights


def _covered(old, new):
    """The part of each of `new` pixels that lies in each of `old` ones, (new, old)."""
    edges = np.arange(new + 1) * (old / new)
    before = np.arange(old)
    first = np.maximum(edges[:-1, None], before)
    last = np.minimum(edges[1:, None], before + 1)
    return np.maximum(last - first, 0) * (new / old)


def _kernel(x, interpolation):
    """The weight of a pixel at distance `x`."""
    reach = REACH[interpolation]
    if interpolation == "bilinear":
        return np.maximum(0, 1 - x)
    if interpolation == "bicubic":
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        return np.where(x < 1, near, np.where(x < reach, far, 0))
    return np.where(x <= reach, np.sinc(x) * np.sinc(x / reach), 0)


@primitive
def repeat_blocks(x, *, factors):
    """`x` with each entry repeated `factors[axis]` times along each axis."""
    xp = namespace(x)
    for axis in reversed(range(x.ndim)):  # From behind, where single numbers are copied.
        if factors[axis] != 1:
            x = xp.repeat(x, factors[axis], axis=axis)
    return x


@repeat_blocks.vjp
def _(xp, out, x, *, factors):
    def pullback(g):
        for axis, factor in enumerate(factors):
            if factor != 1:
                g = xp.reshape(g, (*g.shape[:axis], x.shape[axis], factor, *g.shape[axis + 1 :]))
                before = (slice(None),) * (axis + 1)
                # Three times as fast as a sum over an axis this short.
                g = reduce(xp.add, [g[(*before, i, ...)] for i in range(factor)])
        return g

    return (pullback,)
