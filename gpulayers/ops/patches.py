"""Patches of images and volumes, laid out as channels."""

from __future__ import annotations

from ..arrays import namespace
from .calling import array_function
from .image_layout import channel_axis
from .padding import pad
from .rearranging import windows

__all__ = ["extract_patches", "extract_patches_3d"]


@array_function(computes=False)
def extract_patches(
    images,
    size,
    strides=None,
    dilation_rate=1,
    padding: str = "valid",
    data_format: str | None = None,
):
    """The patches of images, each as the channels of one pixel.

    Args:
        images: (H, W, C), or a batch (N, H, W, C), or channels first.
        size: of a patch, an integer or (height, width); three integers are for volumes, as in
            `extract_patches_3d`.
        strides: how far apart they begin; `size` by default.
        dilation_rate: how far apart the pixels of a patch are.
        padding: "valid" for patches inside the images, "same" for margins of zeros.
        data_format: `config.image_data_format()` by default.

    Gives (N, rows, columns, height width C), or channels first: first the channels of a patch's
    first pixel. Raises ValueError for other ranks, sizes or names.
    """
    axes = 2 if isinstance(size, int) else len(size)
    if axes not in (2, 3):
        raise ValueError(f"extract_patches: size must have 2 or 3 integers, got {size}.")
    return _patches(images, axes, size, strides, dilation_rate, padding, data_format)


def extract_patches_3d(
    volumes,
    size,
    strides=None,
    dilation_rate=1,
    padding: str = "valid",
    data_format: str | None = None,
):
    """The patches of volumes (D, H, W, C), one or a batch, each as the channels of one place.

    The arguments are those of `extract_patches`, with three integers for two.
    """
    size = _several("extract_patches_3d", "size", size, 3)
    return extract_patches(volumes, size, strides, dilation_rate, padding, data_format)


def _several(who, name, value, axes):
    value = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(value) != axes:
        raise ValueError(f"{who}: {name} must have {axes} integers, got {value}.")
    return value


def _patches(x, axes, size, strides, dilation, padding, data_format):
    who = "extract_patches" if axes == 2 else "extract_patches_3d"
    size = _several(who, "size", size, axes)
    strides = _several(who, "strides", strides or size, axes)
    dilation = _several(who, "dilation_rate", dilation, axes)
    if padding not in ("valid", "same"):
        raise ValueError(f"{who}: padding must be 'valid' or 'same', got {padding!r}.")
    if x.ndim not in (axes + 1, axes + 2):
        raise ValueError(f"{who}: needs rank {axes + 1} or {axes + 2}, got {tuple(x.shape)}.")
    xp, first = namespace(x), channel_axis(data_format) == -3
    single = x.ndim == axes + 1
    x = xp.expand_dims(x, axis=0) if single else x
    x = xp.moveaxis(x, 1, -1) if first else x
    if padding == "same":
        margins = map(_same_margins, x.shape[1:-1], size, strides, dilation)
        x = pad(x, [(0, 0), *margins, (0, 0)])
    parts = windows(x, size, strides, dilation)
    parts = xp.reshape(parts, (*parts.shape[:-2], parts.shape[-2] * parts.shape[-1]))
    parts = xp.moveaxis(parts, -1, 1) if first else parts
    return parts[0, ...] if single else parts


def _same_margins(n, size, stride, dilation):
    """What is missing for ceil(n / stride) windows, half on each side, the odd one behind."""
    missing = max((-(-n // stride) - 1) * stride + (size - 1) * dilation + 1 - n, 0)
    return missing // 2, missing - missing // 2
