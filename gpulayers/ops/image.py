"""Operations on images: `keras.ops.image`.

Images are (height, width, channels), in a batch (N, ...) or not, or channels first.
"""

from __future__ import annotations

from .calling import array_function
from .colors import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from .filtering import gaussian_blur, sobel_edges, ssim
from .image_layout import channel_axis, require_images
from .padding import pad
from .patches import extract_patches, extract_patches_3d
from .resize import resize
from .sampling import affine_transform, elastic_transform, map_coordinates, perspective_transform
from .scaling import scale_and_translate

__all__ = [
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]


def _margins(who, size, before, after, target, sign):
    """Margins (before, after) of an axis, two of before, after and the target size given."""
    given = {"before": before, "after": after, "target": target}
    if sum(value is not None for value in given.values()) != 2:
        raise ValueError(f"{who}: give two of two margins and the size, got {given}.")
    if before is None:
        before = sign * (target - size) - after
    elif after is None:
        after = sign * (target - size) - before
    if before < 0 or after < 0 or size + sign * (before + after) < 0:
        raise ValueError(
            f"{who}: margins must not be negative, got {before} and {after} for an axis of {size}."
        )
    return before, after


def _both_axes(who, images, vertical, horizontal, sign, data_format):
    require_images(who, images)
    first = images.ndim - (2 if channel_axis(data_format) == -3 else 3)
    pairs = [(0, 0)] * images.ndim
    for axis, margins in enumerate((vertical, horizontal), first):
        pairs[axis] = _margins(who, images.shape[axis], *margins, sign)
    return pairs


@array_function(computes=False)
def pad_images(
    images,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
):
    """Images with margins of zeros.

    Args:
        images: one image or a batch.
        top_padding, bottom_padding, target_height: two of these.
        left_padding, right_padding, target_width: two of these.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other ranks, for negative margins, and unless two of each are given.
    """
    vertical = (top_padding, bottom_padding, target_height)
    horizontal = (left_padding, right_padding, target_width)
    return pad(images, _both_axes("pad_images", images, vertical, horizontal, 1, data_format))


@array_function(computes=False)
def crop_images(
    images,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
):
    """Images without their margins.

    Args:
        images: one image or a batch.
        top_cropping, bottom_cropping, target_height: two of these.
        left_cropping, right_cropping, target_width: two of these.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other ranks, for negative margins or sizes, and unless two of each are
    given.
    """
    vertical = (top_cropping, bottom_cropping, target_height)
    horizontal = (left_cropping, right_cropping, target_width)
    pairs = _both_axes("crop_images", images, vertical, horizontal, -1, data_format)
    sizes = zip(images.shape, pairs, strict=True)
    return images[tuple(slice(before, n - after) for n, (before, after) in sizes)]
