"""Images in one layout, whichever one they come in."""

from __future__ import annotations

from .. import config
from ..arrays import namespace


def require_images(who: str, images) -> None:
    """Raise ValueError unless `images` is one image (rank 3) or a batch of them (rank 4)."""
    if images.ndim not in (3, 4):
        raise ValueError(
            f"{who}: images must have rank 3 (one image) or 4 (a batch), got an array of shape "
            f"{tuple(images.shape)}."
        )


def channel_axis(data_format: str | None) -> int:
    """The axis of the channels, counted from the end."""
    return -3 if config.standardize_data_format(data_format) == "channels_first" else -1


def batch_of(who: str, images, data_format: str | None):
    """`images` as (N, height, width, channels), and the function that undoes this for a result."""
    if images.ndim == 4 and data_format == "channels_last":
        return images, _unchanged
    require_images(who, images)
    xp, single, axis = namespace(images), images.ndim == 3, channel_axis(data_format)

    def restored(y):
        y = xp.moveaxis(y, 3, 1) if axis == -3 else y
        return y[0, ...] if single else y

    batch = xp.expand_dims(images, axis=0) if single else images
    return (xp.moveaxis(batch, 1, 3) if axis == -3 else batch), restored


def _unchanged(y):
    return y
