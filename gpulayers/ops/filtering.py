"""Images seen through small windows: blurred, as edges, compared."""

from __future__ import annotations

from functools import reduce

import numpy as np

from ..arrays import namespace, plain
from .calling import array_function, as_floats, together
from .image_layout import batch_of
from .padding import pad

__all__ = ["gaussian_blur", "sobel_edges", "ssim"]


def _sizes(value, count=2):
    value = plain(value)
    value = value.tolist() if hasattr(value, "tolist") else value
    return list(value) if isinstance(value, (list, tuple)) else [value] * count


def filtered(x, weights, axis: int):
    """Weighted sums of neighbours along an axis of `x`, where all of them are inside."""
    count = x.shape[axis] - len(weights) + 1
    before = (slice(None),) * axis
    xp = namespace(x)
    parts = (float(w) * x[(*before, slice(i, i + count), ...)] for i, w in enumerate(weights) if w)
    return reduce(xp.add, parts)


def bell(size: int, sigma: float) -> np.ndarray:
    """The weights exp(-t^2 / (2 sigma^2)) around the middle of `size` places, of the sum 1."""
    t = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (t / sigma) ** 2)
    return weights / weights.sum()


@array_function()
def gaussian_blur(images, kernel_size=(3, 3), sigma=(1.0, 1.0), data_format: str | None = None):
    """Images blurred with a bell of weights exp(-(x^2 / sx^2 + y^2 / sy^2) / 2).

    Args:
        images: one image or a batch. Margins count as 0.
        kernel_size: how many pixels it spans, (horizontally, vertically): so Keras 3.15 computes
            on NumPy and JAX, though its documentation says height and width.
        sigma: its widths sx and sy in pixels.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other ranks.
    """
    width, height = (int(n) for n in _sizes(kernel_size))
    across, down = (float(s) for s in _sizes(sigma))
    x, restored = batch_of("gaussian_blur", as_floats(images)[1], data_format)
    x = pad(x, [(0, 0), _around(height), _around(width), (0, 0)])
    x = filtered(x, bell(height, down), 1)
    return restored(filtered(x, bell(width, across), 2))


def _around(size):
    return ((size - 1) // 2, size // 2)


SMOOTH, SLOPE = (1, 2, 1), (-1, 0, 1)


@array_function()
def sobel_edges(images, data_format: str | None = None):
    """How fast images change downwards and to the right, by Sobel's weights (1, 2, 1), (-1, 0, 1).

    Args:
        images: (N, H, W, C), or channels first. Margins count as 0.
        data_format: `config.image_data_format()` by default.

    Gives the two directions in a new last axis.
    """
    x, restored = batch_of("sobel_edges", as_floats(images)[1], data_format)
    x = pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    down = filtered(filtered(x, SLOPE, 1), SMOOTH, 2)
    right = filtered(filtered(x, SMOOTH, 1), SLOPE, 2)
    return namespace(x).stack([restored(down), restored(right)], axis=-1)


@array_function("image1", "image2")
def ssim(
    image1,
    image2,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
):
    """The structural similarity of images: 1 for equal ones, one number for each pair.

    (2 m1 m2 + c1) (2 s12 + c2) / ((m1^2 + m2^2 + c1) (s1^2 + s2^2 + c2)), averaged over pixels and
    channels, with means m and (co)variances s under a bell of weights, c = (k max_val)^2. Wang,
    Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", 2004.

    Args:
        image1, image2: one image or a batch each, of one shape.
        max_val: the range of the values.
        filter_size, filter_sigma: of the bell, in pixels.
        k1, k2: keep the quotient stable.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other ranks.
    """
    xp, (image1, image2) = together((as_floats(image1)[1], as_floats(image2)[1]))
    (x, _), (y, _) = (batch_of("ssim", image, data_format) for image in (image1, image2))
    weights = bell(filter_size, filter_sigma)

    def local_mean(a):
        return filtered(filtered(a, weights, 1), weights, 2)

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mx, my = local_mean(x), local_mean(y)
    covariance = local_mean(x * y) - mx * my
    variances = local_mean(x * x) - mx * mx + local_mean(y * y) - my * my
    means = mx * mx + my * my + c1
    similarity = (2 * mx * my + c1) * (2 * covariance + c2) / (means * (variances + c2))
    out = xp.mean(similarity, axis=(1, 2, 3))
    return out[0] if image1.ndim == 3 else out
