"""Parts of images, each cut out at a place of its own."""

from __future__ import annotations

import numpy as np

from ..arrays import Abstract, devices, namespace, plain, primitive
from ..arrays.short_floats import cast
from .image_layout import batch_of


@primitive
def cut(images, top, left, *, size, dtype=None):
    """The parts (N, *size, C) of images (N, H, W, C) that begin at rows `top`, columns `left`.

    Args:
        images: at least of that size.
        top, left: (N,) of NumPy's intp, contiguous. A part that would reach beyond its image begins
            at the nearest place where it does not.
        size: (height, width).
        dtype: of the result, that of the images by default.
    """
    xp, (height, width) = namespace(images), size
    found = []
    for i, (y, x) in enumerate(starts(images.shape, top, left, size)):
        found.append(images[i, y : y + height, x : x + width, :])
    made = xp.stack(found) if found else images[:, :height, :width, :]
    return made if dtype is None else cast(made, dtype)


@cut.shape
def _(images, top, left, *, size, dtype=None):
    return Abstract((images.shape[0], *size, images.shape[3]), dtype or images.dtype)


def starts(shape, top, left, size) -> list[tuple[int, int]]:
    """Where parts of images of a shape begin that are all within them."""
    down, across = shape[1] - size[0], shape[2] - size[1]
    places = zip(top.tolist(), left.tolist(), strict=True)
    return [(min(max(y, 0), down), min(max(x, 0), across)) for y, x in places]


def parts(images, top, left, size, dtype=None, data_format: str | None = None):
    """Parts of a batch of images, or of one, as copies.

    Args:
        images: (N, H, W, C), or channels first, or without N.
        top, left: the first row and column of the parts, whole numbers or (N,) of them. A part that
            would reach beyond its image begins at the nearest place where it does not.
        size: (height, width) of the parts.
        dtype: of the result; that of the images by default.
        data_format: `config.image_data_format()` by default.

    Raises ValueError if the images are smaller than that.
    """
    batch, restored = batch_of("parts", images, data_format)
    n, height, width, _ = batch.shape
    if height < size[0] or width < size[1]:
        raise ValueError(f"parts: images {(height, width)} are smaller than their parts {size}.")
    made = cut(batch, _each(top, n), _each(left, n), size=size, dtype=dtype)
    return restored(made if dtype is None else cast(made, dtype))  # float16 comes back as such.


def _each(values, count: int):
    """A number, or one for each image, as an array of whole numbers on the CPU."""
    each = np.empty(count, np.intp)
    each[:] = values if isinstance(values, int) else devices.to_numpy(plain(values))
    return each
