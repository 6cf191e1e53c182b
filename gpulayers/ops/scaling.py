"""Arrays scaled and moved along axes, with interpolation between their elements."""

from __future__ import annotations

import math

from ..arrays import dtypes, namespace
from ..arrays.short_floats import cast
from .calling import array_function, as_floats, together

__all__ = ["scale_and_translate"]


def _linear(xp, t):
    return xp.maximum(1 - t, 0.0)


def _cubic(xp, t):
    """Keys's kernel, a = -1/2."""
    near, far = ((1.5 * t - 2.5) * t) * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return xp.where(t < 1, near, xp.where(t < 2, far, 0.0))


def _lanczos(radius):
    def weight(xp, t):
        safe = math.pi * xp.where(t > 1e-3, t, 1.0)
        wave = radius * xp.sin(safe) * xp.sin(safe / radius) / (safe * safe)
        return xp.where(t > radius, 0.0, xp.where(t > 1e-3, wave, 1.0))

    return weight


KERNELS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), _linear),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}


@array_function("images", "scale", "translation")
def scale_and_translate(
    images, output_shape, scale, translation, spatial_dims, method: str, antialias: bool = True
):
    """An array scaled and moved along some of its axes.

    Place p of an axis of the result, counted from the edge of its first element, is read at
    (p - translation) / scale; what lies outside is 0.

    Args:
        images: an array. Integers are rounded, and stay within their own smallest and largest.
        output_shape: the sizes of the result; along other axes than these it keeps its own.
        scale, translation: one number for each of these axes.
        spatial_dims: these axes.
        method: "linear", "cubic", "lanczos3" or "lanczos5" (or "bilinear", "trilinear", "bicubic",
            "tricubic").
        antialias: when shrinking, widen the kernel to the size of an output element.

    Raises ValueError for another method.
    """
    if method not in KERNELS:
        raise ValueError(
            f"scale_and_translate: method must be one of {', '.join(KERNELS)}, got {method!r}."
        )
    xp, x = as_floats(images)
    _, (scale, translation) = together((as_floats(scale)[1], as_floats(translation)[1]))
    for i, axis in enumerate(spatial_dims):
        axis %= x.ndim
        weights = _weights(
            x.shape[axis], output_shape[axis], scale[i], translation[i], KERNELS[method], antialias
        )
        product = xp.tensordot(x, cast(weights, dtypes.name(x.dtype)), axes=((axis,), (0,)))
        x = xp.moveaxis(product, -1, axis)
    if not dtypes.is_integer(images):
        return x
    low, high = (cast(f(images), dtypes.name(x.dtype)) for f in (xp.min, xp.max))
    return cast(xp.minimum(xp.maximum(xp.round(x), low), high), dtypes.name(images.dtype))


def _weights(old, new, scale, translation, kernel, antialias):
    """The weight of each of `old` elements in each of `new` ones, (old, new)."""
    xp = namespace(scale, translation)
    inverse = 1 / scale
    width = xp.maximum(inverse, xp.ones_like(inverse)) if antialias else 1.0
    centres = (xp.arange(new, dtype=scale.dtype) + 0.5) * inverse - translation * inverse - 0.5
    places = xp.expand_dims(xp.arange(old, dtype=scale.dtype), axis=1)
    weights = kernel(xp, xp.abs(centres - places) / width)
    total = xp.sum(weights, axis=0, keepdims=True)
    some = xp.abs(total) > 1000 * 2.0**-23
    inside = (centres >= -0.5) & (centres <= old - 0.5)
    return xp.where(inside & some, weights / xp.where(some, total, 1.0), 0.0)
