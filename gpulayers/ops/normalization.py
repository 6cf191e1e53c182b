"""Arrays scaled to mean 0 and variance 1, or to length 1."""

from __future__ import annotations

from .. import config
from ..arrays import dtypes, namespace
from ..arrays.short_floats import cast
from .calling import array_function, as_floats, together
from .linalg import norm

__all__ = ["batch_normalization", "layer_normalization", "normalize", "rms_normalization"]


@array_function()
def normalize(x, axis=-1, order: int = 2, epsilon: float | None = None):
    """x / max(norm(x), epsilon), the norm taken along an axis.

    Args:
        axis: an integer, or None for the norm of all elements.
        order: p of the norm sum(|x|^p)^(1/p).
        epsilon: `config.epsilon()` by default.

    Raises ValueError unless `order` is a positive integer.
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"normalize: order must be a positive integer, got {order!r}.")
    epsilon = config.epsilon() if epsilon is None else epsilon
    xp, x = as_floats(x)
    x = xp.reshape(x, (1,)) if x.ndim == 0 else x
    if order != 2:
        return x / xp.maximum(norm(x, order, axis, True), epsilon)
    axis = tuple(axis) if isinstance(axis, list) else axis
    square = xp.sum(x * x, axis=axis, keepdims=True)
    return x / xp.sqrt(xp.maximum(square, epsilon**2))


@array_function("x", "mean", "variance", "offset", "scale")
def batch_normalization(
    x, mean, variance, axis: int, offset=None, scale=None, epsilon: float = 1e-3
):
    """scale (x - mean) / sqrt(variance + epsilon) + offset, for each place of an axis.

    Args:
        x: an array.
        mean, variance, offset, scale: (size of the axis,). No `offset` counts as 0, no `scale`
            as 1.
        axis: the axis of `x` to which these belong.
    """
    xp = namespace(x, mean, variance, offset, scale)
    _, (x, mean, variance) = together((as_floats(x)[1], mean, variance))
    shape = (-1,) + (1,) * (x.ndim - axis % x.ndim - 1)
    inverse = 1 / xp.sqrt(variance + epsilon)
    inverse = inverse if scale is None else inverse * scale
    out = (x - xp.reshape(mean, shape)) * xp.reshape(inverse, shape)
    return out if offset is None else out + xp.reshape(offset, shape)


@array_function("x", "gamma", "beta", computes=False)
def layer_normalization(
    x, gamma=None, beta=None, axis=-1, epsilon: float | None = None, *, rms_scaling: bool = False
):
    """gamma (x - mean(x)) / sqrt(var(x) + epsilon) + beta, along axes.

    Args:
        x: an array.
        gamma, beta: of the sizes of the axes; 1 and 0 by default.
        axis: an integer or several.
        epsilon: `config.epsilon()` by default.
        rms_scaling: do not subtract the mean, nor add `beta`.

    Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    xp, x, dtype, axes, epsilon = _prepared(x, axis, epsilon)
    centred = x - xp.mean(x, axis=axes, keepdims=True)
    variance = xp.mean(centred * centred, axis=axes, keepdims=True)
    out = (x if rms_scaling else centred) / xp.sqrt(variance + epsilon)
    if gamma is not None:
        out = out * _along(xp, gamma, x, axes)
    if beta is not None and not rms_scaling:
        out = out + _along(xp, beta, x, axes)
    return out if dtype is None else cast(out, dtype)


@array_function("x", "scale", computes=False)
def rms_normalization(x, scale=None, axis=-1, epsilon: float | None = None):
    """scale x / sqrt(mean(x^2) + epsilon), along axes.

    Args:
        x: an array.
        scale: of the sizes of the axes, or broadcast to `x`; 1 by default.
        axis: an integer or several.
        epsilon: `config.epsilon()` by default.

    Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """
    xp, x, dtype, axes, epsilon = _prepared(x, axis, epsilon)
    out = x / xp.sqrt(xp.mean(x * x, axis=axes, keepdims=True) + epsilon)
    out = out if scale is None else out * _along(xp, scale, x, axes)
    return out if dtype is None else cast(out, dtype)


def _prepared(x, axis, epsilon):
    """The namespace, `x` in float32 or longer, what to cast the result to (or None), axes, epsilon.

    Whatever the dtype of the weights, and on GPUs too, 16-bit floats are computed in float32.
    """
    xp, x = as_floats(x)
    x = xp.reshape(x, (1,)) if x.ndim == 0 else x
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    axes = tuple(sorted(a % x.ndim for a in axes))
    name = dtypes.name(x.dtype)
    short = name in dtypes.SHORT_FLOATS
    epsilon = config.epsilon() if epsilon is None else epsilon
    return xp, cast(x, "float32") if short else x, name if short else None, axes, epsilon


def _along(xp, weights, x, axes):
    """Weights in the dtype of `x`, their axes at the places `axes` of those of `x`."""
    weights = weights if weights.dtype == x.dtype else xp.astype(weights, x.dtype)
    if weights.ndim != len(axes):
        return weights
    return xp.reshape(weights, tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))
