"""Channels scaled by the mean and the variance of a batch, or by given ones.

Channels are the places of one axis; mean and variance are taken over all other axes.  16-bit floats
are computed in float32, in which statistics come too.
"""

from __future__ import annotations

import math

from .. import config
from ..arrays import Abstract, capturing, dtypes, namespace, primitive
from ..arrays.short_floats import cast
from .dense import FUSED, before_activation

__all__: list[str] = []  # What layers use; `normalization` has the public functions.


def wide(x):
    """`x` in float32 if it has 16-bit floats."""
    return cast(x, "float32") if dtypes.name(x.dtype) in dtypes.SHORT_FLOATS else x


@primitive
def batch_moments(x, mask=None, *, axis):
    """The mean and the variance of each channel: two arrays (channels,).

    Args:
        x: an array.
        mask: what counts (boolean): the shape of `x` without its last axis.
        axis: the axis of the channels.

    With a mask, sums are divided by the number of what counts plus `config.epsilon()`.
    """
    xp, x = namespace(x), wide(x)
    axes = others(x, axis)
    if mask is None:
        mean = xp.mean(x, axis=axes, keepdims=True)
        variance = xp.mean((x - mean) ** 2, axis=axes)
        return xp.reshape(mean, variance.shape), variance
    weights = _weights(xp, mask, x)
    count = xp.sum(weights, axis=axes, keepdims=True) + config.epsilon()
    mean = xp.sum(weights * x, axis=axes, keepdims=True) / count
    variance = xp.sum(weights * (x - mean) ** 2, axis=axes, keepdims=True) / count
    return xp.reshape(mean, (-1,)), xp.reshape(variance, (-1,))


@batch_moments.vjp
def _(xp, out, x, mask=None, *, axis):
    def pullback(gs):
        d_mean, d_variance = gs
        return through_moments(xp, x, mask, out[0], d_mean, d_variance, axis), None

    return pullback


@primitive
def summed_over_processes(x):
    """The sum of the arrays that all processes have here: see `config.set_all_reduce`.

    Raises ValueError if what that gives is no array like `x`.
    """
    function = config.all_reduce()
    if function is None:
        return x
    capturing.refuse("processes add up arrays through a Python function.")
    total = function(x)
    if type(total) is not type(x) or (total.shape, total.dtype) != (x.shape, x.dtype):
        raise ValueError(
            f"set_all_reduce: expected sums like the arrays, of shape {tuple(x.shape)} and dtype "
            f"{x.dtype}, got {total!r}."
        )
    return total


@summed_over_processes.vjp
def _(xp, out, x):
    return (summed_over_processes,)  # Each process's results depend on each one's array.


@summed_over_processes.shape
def _(x):
    return Abstract(x.shape, x.dtype)


@primitive
def followed(mean, variance, new_mean, new_variance, *, momentum):
    """Both moving statistics, each old * momentum + new * (1 - momentum)."""
    pairs = (mean, new_mean), (variance, new_variance)
    return tuple(old * momentum + new * (1.0 - momentum) for old, new in pairs)


def joint_moments(x, mask=None, *, axis):
    """`batch_moments` of the arrays that all processes have here."""
    xp, (mean, variance) = namespace(x), batch_moments(x, mask, axis=axis)
    if mask is None:
        count = xp.full_like(mean[:1], math.prod(x.shape) / x.shape[axis])
    else:
        counted = _weights(xp, mask, wide(x))
        count = xp.reshape(xp.sum(counted, axis=others(x, axis)), (-1,))[:1] + config.epsilon()
    sums = summed_over_processes(xp.concat([mean * count, count]))
    joint, total = sums[:-1] / sums[-1:], sums[-1:]
    squares = summed_over_processes((variance + (mean - joint) ** 2) * count)
    return joint, squares / total


@primitive
def normalized_by(x, mean, variance, offset=None, scale=None, *, axis, epsilon, activation=None):
    """scale (x - mean) / sqrt(variance + epsilon) + offset, all of shape (channels,) but for x.

    activation: a name in `dense.FUSED` ("relu", "sigmoid", "tanh") of what follows, or None.
    """
    xp, x, dtype = namespace(x, mean, variance), wide(x), x.dtype
    out = standardized(xp, x, mean, variance, axis, epsilon)
    return finished(xp, out, scale, offset, axis, dtype, activation)


@normalized_by.vjp
def _(xp, out, x, mean, variance, offset=None, scale=None, *, axis, epsilon, activation=None):
    def pullback(g):
        g = before_activation(xp, wide(g), wide(out), activation)
        dx, d_scale, d_offset, factor, inverse = through_scale(
            xp, g, x, mean, variance, scale, axis, epsilon
        )
        d_variance = -0.5 * inverse * factor * d_scale
        return dx, -factor * d_offset, d_variance, d_offset, d_scale

    return pullback


@primitive
def normalized_in_batch(x, gamma=None, beta=None, mask=None, *, axis, epsilon, activation=None):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, with the moments of `x` itself.

    Args:
        x: an array.
        gamma, beta: (channels,), 1 and 0 by default.
        mask: what counts in the moments; see `batch_moments`.
        axis: the axis of the channels.
        activation: a name in `dense.FUSED` ("relu", "sigmoid", "tanh") of what follows, or None.

    Gives the result, the mean and the variance.  Ioffe and Szegedy, "Batch normalization", 2015.
    """
    xp, dtype, x = namespace(x), x.dtype, wide(x)
    mean, variance = batch_moments.reference(x, mask, axis=axis)
    out = standardized(xp, x, mean, variance, axis, epsilon)
    return finished(xp, out, gamma, beta, axis, dtype, activation), mean, variance


@normalized_in_batch.vjp
def _(xp, out, x, gamma=None, beta=None, mask=None, *, axis, epsilon, activation=None):
    y, mean, variance = out

    def pullback(gs):
        g, d_mean, d_variance = gs
        g = before_activation(xp, wide(g), wide(y), activation)
        dx, d_gamma, d_beta, factor, inverse = through_scale(
            xp, g, x, mean, variance, gamma, axis, epsilon
        )
        d_mean = d_mean - factor * d_beta
        d_variance = d_variance - 0.5 * inverse * factor * d_gamma
        dx = dx + through_moments(xp, x, mask, mean, d_mean, d_variance, axis)
        return dx, d_gamma, d_beta, None

    return pullback


def others(x, axis) -> tuple[int, ...]:
    """All axes of `x` but one."""
    return tuple(i for i in range(x.ndim) if i != axis % x.ndim)


def along(xp, values, x, axis):
    """Values (channels,) in a shape that broadcasts with `x`."""
    return xp.reshape(values, (-1,) + (1,) * (x.ndim - axis % x.ndim - 1))


def standardized(xp, x, mean, variance, axis, epsilon):
    """(x - mean) / sqrt(variance + epsilon)."""
    centred = x - along(xp, mean, x, axis)
    return centred / along(xp, xp.sqrt(variance + epsilon), x, axis)


def finished(xp, x, scale, offset, axis, dtype, activation=None):
    """activation(scale x + offset), in a dtype."""
    x = x if scale is None else x * along(xp, scale, x, axis)
    x = x if offset is None else x + along(xp, offset, x, axis)
    x = x if activation is None else FUSED[activation](x)
    return x if x.dtype == dtype else xp.astype(x, dtype)


def through_scale(xp, g, x, mean, variance, scale, axis, epsilon):
    """Gradients of `normalized_by` by x, scale and offset, and scale / sqrt(...), 1 / sqrt(...)."""
    x, g = wide(x), wide(g)
    inverse = 1 / xp.sqrt(variance + epsilon)
    factor = inverse if scale is None else inverse * scale
    axes = others(x, axis)
    d_offset = xp.sum(g, axis=axes)
    d_scale = xp.sum(g * (x - along(xp, mean, x, axis)), axis=axes) * inverse
    return g * along(xp, factor, x, axis), d_scale, d_offset, factor, inverse


def through_moments(xp, x, mask, mean, d_mean, d_variance, axis):
    """The gradient by x of the mean and the variance."""
    x = wide(x)
    count, weights = math.prod(x.shape) / max(x.shape[axis], 1), None
    if mask is not None:
        weights = _weights(xp, mask, x)
        count = xp.sum(weights, axis=others(x, axis)) + config.epsilon()
    centred = x - along(xp, mean, x, axis)
    dx = along(xp, d_mean / count, x, axis) + centred * along(xp, 2 * d_variance / count, x, axis)
    return dx if weights is None else dx * weights


def _weights(xp, mask, x):
    """A mask as numbers 0 and 1 of the shape of `x`."""
    return xp.broadcast_to(xp.astype(xp.expand_dims(mask, axis=-1), x.dtype), x.shape)
