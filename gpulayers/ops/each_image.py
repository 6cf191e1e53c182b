"""Functions of batches of images in which no image depends on another."""

from __future__ import annotations

from ..arrays import Abstract, primitive


@primitive
def each_image(images, *drawn, function, dtype, rows=None):
    """A function of a batch of images, which may be taken apart.

    Args:
        images: (N, ., ., .).
        drawn: arrays (N, ...) of what was drawn for each image.
        function: (images, *drawn) -> images of the same shape, of any part of the batch.
        dtype: that of what the function gives.
        rows: an axis along which images may be taken apart too, if no pixel depends on others.
    """
    return function(images, *drawn)


@each_image.shape
def _(images, *drawn, function, dtype, rows=None):
    return Abstract(tuple(images.shape), dtype)
