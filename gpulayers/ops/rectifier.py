"""Activation functions made of straight lines, and those that cut a range out.

At a kink the gradient is 0 for relu, and otherwise that of the side with the smaller slope, as in
most frameworks.
"""

from __future__ import annotations

from ..arrays import namespace, primitive
from .floating import floating

__all__ = [
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "prelu",
    "relu",
    "relu6",
    "soft_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "threshold",
]


@primitive
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """max(x, 0), elementwise; more generally, a ramp with a bend, a knee and an end.

    negative_slope: the slope below `threshold`: negative_slope (x - threshold).
    max_value: the largest result; None for no limit.
    threshold: up to it, x counts as negative; above it, the result is x.
    """
    if negative_slope == 0 and threshold == 0:
        if max_value is None:
            return namespace(x).maximum(x, 0)
        if max_value == 6:
            return relu6(x)
    xp, x = floating(x)
    kept = x if max_value is None else xp.clip(x, 0.0, float(max_value))
    return xp.where(
        x > threshold, kept, negative_slope * (x - threshold) if negative_slope else 0.0
    )


@relu.vjp
def _(xp, out, x, negative_slope=0.0, max_value=None, threshold=0.0):
    def dx(g):
        kept = g
        if max_value == 6 and negative_slope == 0 and threshold == 0:
            kept = xp.where(x < 6, g, 0.0)
        elif max_value is not None:
            kept = xp.where((x <= max_value) & (x >= 0), g, 0.0)
        return xp.where(x > threshold, kept, negative_slope * g if negative_slope else 0.0)

    return dx, None, None, None


@primitive
def leaky_relu(x, negative_slope=0.2):
    """x above 0, negative_slope x below, elementwise."""
    xp, x = floating(x)
    return xp.where(x > 0, x, negative_slope * x)


@leaky_relu.vjp
def _(xp, out, x, negative_slope=0.2):
    return (lambda g: xp.where(x > 0, g, negative_slope * g), None)


@primitive
def prelu(x, alpha):
    """x above 0, alpha x below, for an array of slopes `alpha` (He et al., 2015)."""
    xp, x = floating(x)
    return xp.where(x > 0, x, alpha * x)


@prelu.vjp
def _(xp, out, x, alpha):
    return (
        lambda g: g * xp.where(x > 0, 1.0, xp.where(x < 0, alpha, 0.0)),
        lambda g: g * xp.minimum(x, 0.0),
    )


@primitive
def relu6(x):
    """min(max(x, 0), 6), elementwise."""
    xp, x = floating(x)
    return xp.clip(x, 0.0, 6.0)


@relu6.vjp
def _(xp, out, x):
    return (lambda g: g * xp.astype((x > 0) & (x < 6), x.dtype),)


@primitive
def hard_sigmoid(x):
    """relu6(x + 3) / 6, elementwise: 0 up to -3, 1 from 3 on, a line between.

    This is Keras 3's; Keras 2 had clip(0.2 x + 0.5, 0, 1).
    """
    xp, x = floating(x)
    return xp.clip(x + 3, 0.0, 6.0) / 6


@hard_sigmoid.vjp
def _(xp, out, x):
    return (lambda g: g * xp.astype((x > -3) & (x < 3), x.dtype) / 6,)


@primitive
def hard_silu(x):
    """x hard_sigmoid(x), elementwise: also called hard_swish (Howard et al., 2019)."""
    xp, x = floating(x)
    return x * (xp.clip(x + 3, 0.0, 6.0) / 6)


@hard_silu.vjp
def _(xp, out, x):
    return (lambda g: g * xp.where(x <= -3, 0.0, xp.where(x < 3, x / 3 + 0.5, 1.0)),)


@primitive
def hard_tanh(x):
    """min(max(x, -1), 1), elementwise."""
    xp, x = floating(x)
    return xp.clip(x, -1.0, 1.0)


@hard_tanh.vjp
def _(xp, out, x):
    return (lambda g: g * xp.astype((x > -1) & (x < 1), x.dtype),)


@primitive
def hard_shrink(x, threshold=0.5):
    """x where |x| > threshold, 0 elsewhere, elementwise."""
    xp, x = floating(x)
    return xp.where(xp.abs(x) > threshold, x, 0.0)


@hard_shrink.vjp
def _(xp, out, x, threshold=0.5):
    return (lambda g: g * xp.astype(xp.abs(x) > threshold, x.dtype), None)


@primitive
def soft_shrink(x, threshold=0.5):
    """x pulled towards 0 by `threshold`: 0 where |x| <= threshold, elementwise."""
    xp, x = floating(x)
    return x - xp.clip(x, -threshold, threshold)


@soft_shrink.vjp
def _(xp, out, x, threshold=0.5):
    return (lambda g: g * xp.astype(xp.abs(x) > threshold, x.dtype), None)


@primitive
def sparse_plus(x):
    """0 up to -1, (x + 1)^2 / 4 up to 1, x from there on, elementwise."""
    xp, x = floating(x)
    middle = xp.clip(x, -1.0, 1.0) + 1
    return middle * middle / 4 + xp.maximum(x - 1, 0.0)


@sparse_plus.vjp
def _(xp, out, x):
    return (lambda g: g * (xp.clip(x, -1.0, 1.0) + 1) / 2,)


@primitive
def sparse_sigmoid(x):
    """0 up to -1, (x + 1) / 2 up to 1, 1 from there on, elementwise."""
    xp, x = floating(x)
    return (xp.clip(x, -1.0, 1.0) + 1) / 2


@sparse_sigmoid.vjp
def _(xp, out, x):
    return (lambda g: g * xp.astype((x > -1) & (x < 1), x.dtype) / 2,)


@primitive
def threshold(x, threshold, default_value):
    """x where x > threshold, default_value elsewhere, elementwise."""
    xp, x = floating(x)
    return xp.where(x > threshold, x, default_value)


@threshold.vjp
def _(xp, out, x, threshold, default_value):
    return (lambda g: g * xp.astype(x > threshold, x.dtype), None, None)
