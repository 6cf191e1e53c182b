"""Colours of images in other terms: shades of grey, hue and saturation."""

from __future__ import annotations

import numpy as np

from ..arrays import Abstract, dtypes, namespace, primitive
from ..arrays.short_floats import cast
from .calling import array_function
from .image_layout import channel_axis, require_images

__all__ = ["hsv_to_rgb", "rgb_to_grayscale", "rgb_to_hsv"]

GREY = (0.2989, 0.587, 0.114)  # Of red, green and blue: ITU-R BT.601.


@array_function()
def rgb_to_grayscale(images, data_format: str | None = None):
    """Images in shades of grey: 0.2989 red + 0.587 green + 0.114 blue.

    Args:
        images: one image or a batch, of 3 channels, or of 1 that stays as it is. Integers stay
            integers.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other ranks and numbers of channels.
    """
    require_images("rgb_to_grayscale", images)
    axis = channel_axis(data_format)
    if images.shape[axis] == 1:
        return images
    if images.shape[axis] != 3:
        raise ValueError(f"rgb_to_grayscale: needs 3 channels or 1, got {images.shape[axis]}.")
    xp, dtype = namespace(images), dtypes.name(images.dtype)
    wide = cast(images, "float32") if dtypes.is_integer(images) else images
    red, green, blue = xp.unstack(wide, axis=axis)
    grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue
    grey = xp.expand_dims(grey, axis=axis)
    return cast(grey, dtype) if wide is not images else grey


def _planes(who, images, data_format):
    """The namespace, the three channels of floating images, and their axis."""
    require_images(who, images)
    axis = channel_axis(data_format)
    if not dtypes.is_floating(images) or images.shape[axis] != 3:
        raise ValueError(
            f"{who}: needs floats of 3 channels, got {dtypes.name(images.dtype)} of the shape "
            f"{tuple(images.shape)}."
        )
    xp = namespace(images)
    return xp, *xp.unstack(images, axis=axis), axis


@array_function()
def rgb_to_hsv(images, data_format: str | None = None):
    """Red, green and blue from 0 to 1 as hue, saturation and value, each from 0 to 1.

    data_format: `config.image_data_format()` by default. Raises ValueError for other ranks, dtypes
        and numbers of channels. A. R. Smith, "Color gamut transform pairs", 1978.
    """
    tiny = float(np.finfo(dtypes.name(images.dtype)).eps) if dtypes.is_floating(images) else 0.0
    xp, *channels, axis = _planes("rgb_to_hsv", images, data_format)
    red, green, blue = (xp.where(xp.abs(c) < tiny, 0.0, c) for c in channels)
    value = xp.maximum(xp.maximum(red, green), blue)
    spread = value - xp.minimum(xp.minimum(red, green), blue)
    coloured = spread > 0
    sixth = 1 / (6 * xp.where(coloured, spread, 1.0))
    hue = xp.where(value == green, (blue - red) * sixth + 1 / 3, (red - green) * sixth + 2 / 3)
    hue = xp.where(value == red, (green - blue) * sixth, hue)
    hue = xp.where(hue < 0, hue + 1, hue)
    saturation = spread / xp.where(value > 0, value, 1.0)
    hue, saturation = xp.where(coloured, hue, 0.0), xp.where(value > 0, saturation, 0.0)
    return xp.stack([hue, saturation, value], axis=axis)


@array_function()
def hsv_to_rgb(images, data_format: str | None = None):
    """Hue, saturation and value as red, green and blue: the inverse of `rgb_to_hsv`."""
    xp, hue, saturation, value, axis = _planes("hsv_to_rgb", images, data_format)
    sixths = xp.remainder(hue, xp.ones_like(hue)) * 6

    def channel(ramp):
        return value * (1 - saturation + saturation * xp.clip(ramp, 0.0, 1.0))

    red = channel(xp.abs(sixths - 3) - 1)
    green = channel(2 - xp.abs(sixths - 2))
    blue = channel(2 - xp.abs(sixths - 4))
    return xp.stack([red, green, blue], axis=axis)


def saturated(images, factor, low: float, high: float, axis: int):
    """Images of three channels, their saturation times a factor, clipped to low ... high.

    As between `rgb_to_hsv` and `hsv_to_rgb`, without the hue: a channel c of a pixel whose greatest
    one is v becomes v - (v - c) times the change of the saturation (v - least) / v.

    Args:
        images: (N, ., ., .), floats.
        factor: (N, 1, 1).
        low: 0 or less, so that grey stays grey.
        axis: that of the channels.
    """
    xp = namespace(images)
    channels = xp.unstack(images, axis=axis)
    value, spread = _value_and_spread(xp, channels)
    above = xp.astype(value > 0, value.dtype)
    changed = xp.minimum(xp.maximum(spread * factor, value * low), value * high) * above
    ratio = changed / _not_0(xp, spread)
    return xp.stack([value - (value - channel) * ratio for channel in channels], axis=axis)


def with_hue_turned(images, turn, least: float, axis: int):
    """Images of three channels, their hue plus `turn`, where 1 is the whole circle of colours.

    As between `rgb_to_hsv` and `hsv_to_rgb`, of values from `least` on.

    Args:
        images: (N, ., ., .), floats.
        turn: (N, 1, 1), from -1 to 1.
        axis: that of the channels.
    """
    xp = namespace(images)
    red, green, blue = channels = _three(xp.unstack(images, axis=axis))
    value, spread = _value_and_spread(xp, channels)
    is_red = xp.astype(value == red, value.dtype)
    is_green = xp.astype(value == green, value.dtype) * (1 - is_red)
    is_blue = 1 - is_red - is_green
    sixths = (green - blue) * is_red + (blue - red) * is_green + (red - green) * is_blue
    sixths = sixths / _not_0(xp, spread) + (is_green * 2 + is_blue * 4) + turn * 6
    sixths = sixths - xp.floor(sixths / 6) * 6
    spread = spread * xp.astype(value > least, value.dtype)

    def channel(ramp):
        return value - spread * (1 - xp.clip(ramp, 0.0, 1.0))

    made = [xp.abs(sixths - 3) - 1, 2 - xp.abs(sixths - 2), 2 - xp.abs(sixths - 4)]
    return xp.stack([channel(ramp) for ramp in made], axis=axis)


def _three(channels):
    if len(channels) != 3:
        raise ValueError(f"images must have 3 channels, got {len(channels)}.")
    return channels


def _value_and_spread(xp, channels):
    """The greatest of three channels, and how far it is from the least."""
    red, green, blue = _three(channels)
    value = xp.maximum(xp.maximum(red, green), blue)
    return value, value - xp.minimum(xp.minimum(red, green), blue)


def _not_0(xp, x):
    """What is not negative, as a divisor of what is 0 where it is."""
    return xp.maximum(x, xp.full_like(x[:1, :1, :1], 1e-30))


@primitive
def posterized(images, step):
    """Values from 0 to 255, others clipped, without what is less than `step`.

    Args:
        images: (N, ., ., .), floats of the dtype of `step`, or bytes.
        step: (N, 1, 1, 1), floats: powers of 2, of which values become whole multiples.
    """
    xp = namespace(images, step)
    images = xp.clip(cast(images, dtypes.name(step.dtype)), 0.0, 255.0)
    return xp.floor(images * (1 / step)) * step


@posterized.shape
def _(images, step):
    return Abstract(tuple(images.shape), step.dtype)
