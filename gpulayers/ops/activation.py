"""Smooth activation functions.

Each is written so that no intermediate overflows while the result is finite, and has a gradient
rule of its own where the derived one would lose digits or repeat work.  `rectifier` has those that
are made of straight lines, `softmax` those that look along an axis.
"""

from __future__ import annotations

import math

from ..arrays import primitive
from ..arrays.shapes import counted
from .error_function import erf
from .floating import floating

__all__ = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "glu",
    "log_sigmoid",
    "mish",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "squareplus",
    "tanh",
    "tanh_shrink",
]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
ROOT_HALF, ROOT_TWO_PI = math.sqrt(0.5), math.sqrt(2 * math.pi)
GELU_CUBIC, GELU_SCALE = 0.044715, math.sqrt(2 / math.pi)


@primitive
def sigmoid(x):
    """1 / (1 + exp(-x)), elementwise."""
    xp, x = floating(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1.0, e) / (1 + e)


@sigmoid.vjp
def _(xp, out, x):
    return (lambda g: g * out * (1 - out),)


@primitive
def log_sigmoid(x):
    """log(sigmoid(x)) = -softplus(-x), elementwise."""
    xp, x = floating(x)
    return xp.minimum(x, 0.0) - xp.log1p(xp.exp(-xp.abs(x)))


@log_sigmoid.vjp
def _(xp, out, x):
    return (lambda g: g * sigmoid(-x),)


@primitive
def tanh(x):
    """The hyperbolic tangent, elementwise."""
    xp, x = floating(x)
    return xp.tanh(x)


@tanh.vjp
def _(xp, out, x):
    return (lambda g: g * (1 - out * out),)


@primitive
def tanh_shrink(x):
    """x - tanh(x), elementwise."""
    xp, x = floating(x)
    return x - xp.tanh(x)


@tanh_shrink.vjp
def _(xp, out, x):
    return (lambda g: g * xp.tanh(x) ** 2,)


@primitive
def exponential(x):
    """exp(x), elementwise."""
    xp, x = floating(x)
    return xp.exp(x)


@exponential.vjp
def _(xp, out, x):
    return (lambda g: g * out,)


@primitive
def softplus(x):
    """log(1 + exp(x)), elementwise."""
    xp, x = floating(x)
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


@softplus.vjp
def _(xp, out, x):
    return (lambda g: g * sigmoid(x),)


@primitive
def softsign(x):
    """x / (1 + |x|), elementwise."""
    xp, x = floating(x)
    return x / (1 + xp.abs(x))


@softsign.vjp
def _(xp, out, x):
    return (lambda g: g / (1 + xp.abs(x)) ** 2,)


@primitive
def squareplus(x, b=4):
    """(x + sqrt(x^2 + b)) / 2, elementwise: a smooth relu without exp (Barron, 2021).

    b: how smooth; 4 gives softplus's curvature, 0 gives relu.
    """
    xp, x = floating(x)
    return (x + xp.sqrt(x * x + b)) / 2


@squareplus.vjp
def _(xp, out, x, b=4):
    return (lambda g: g * (1 + x / xp.sqrt(x * x + b)) / 2, None)


@primitive
def silu(x):
    """x sigmoid(x), elementwise: also called swish (Ramachandran et al., 2017)."""
    return floating(x)[1] * sigmoid(x)


@silu.vjp
def _(xp, out, x):
    def dx(g):
        s = sigmoid(x)
        return g * s * (1 + x * (1 - s))

    return (dx,)


@primitive
def mish(x):
    """x tanh(softplus(x)), elementwise (Misra, 2019)."""
    xp, x = floating(x)
    return x * _tanh_softplus(xp, x)


def _tanh_softplus(xp, x):
    """((1 + exp(x))^2 - 1) / ((1 + exp(x))^2 + 1), from the one exponential that is below 1."""
    e = xp.exp(-xp.abs(x))
    above = xp.where(x < 0, e * (e + 2), 1 + 2 * e)
    return above / (above + 2 * xp.where(x < 0, 1.0, e * e))


@mish.vjp
def _(xp, out, x):
    def dx(g):
        t = _tanh_softplus(xp, x)
        return g * (t + x * (1 - t * t) * sigmoid(x))

    return (dx,)


@primitive
def elu(x, alpha=1.0):
    """x above 0, alpha (exp(x) - 1) below, elementwise (Clevert et al., 2016)."""
    xp, x = floating(x)
    return xp.maximum(x, 0.0) + alpha * xp.expm1(xp.minimum(x, 0.0))


@elu.vjp
def _(xp, out, x, alpha=1.0):
    return (lambda g: g * xp.where(x > 0, 1.0, alpha * xp.exp(xp.minimum(x, 0.0))), None)


@primitive
def selu(x):
    """1.0507 elu(x, alpha=1.6733), elementwise.

    It keeps mean 0 and variance 1 from layer to layer, with LecunNormal weights (Klambauer et al.,
    "Self-normalizing neural networks", 2017).
    """
    return SELU_SCALE * elu(x, alpha=SELU_ALPHA)


@primitive
def celu(x, alpha=1.0):
    """x above 0, alpha (exp(x / alpha) - 1) below, elementwise (Barron, 2017)."""
    xp, x = floating(x)
    return xp.maximum(x, 0.0) + alpha * xp.expm1(xp.minimum(x, 0.0) / alpha)


@celu.vjp
def _(xp, out, x, alpha=1.0):
    return (lambda g: g * xp.exp(xp.minimum(x, 0.0) / alpha), None)


@primitive
def gelu(x, approximate=True):
    """x times the normal distribution's probability below x, elementwise.

    approximate: use (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 for that probability, which is
        right to 5e-4; False: (1 + erf(x / sqrt(2))) / 2. `ops.gelu` has True by default,
        `activations.gelu` False, as Keras has it. Hendrycks and Gimpel, "Gaussian error linear
        units", 2016.
    """
    xp, x = floating(x)
    return x * _probability(xp, x, approximate)


def _probability(xp, x, approximate):
    if approximate:
        return (1 + xp.tanh(GELU_SCALE * x * (1 + GELU_CUBIC * x * x))) / 2
    return (1 + erf(x * ROOT_HALF)) / 2


@gelu.vjp
def _(xp, out, x, approximate=True):
    def dx(g):
        p = _probability(xp, x, approximate)
        if approximate:
            density = 2 * p * (1 - p) * GELU_SCALE * (1 + 3 * GELU_CUBIC * x * x)
        else:
            density = xp.exp(-x * x / 2) / ROOT_TWO_PI
        return g * (p + x * density)

    return dx, None


@primitive
def glu(x, axis=-1):
    """The first half of an axis times the sigmoid of the second (Dauphin et al., 2016).

    Raises ValueError if the axis has an odd size.
    """
    x = floating(x)[1]
    axis = counted(axis, x.ndim, "glu")
    if x.shape[axis] % 2:
        raise ValueError(
            f"glu: axis {axis} must have an even size, got an array of shape {tuple(x.shape)}."
        )
    before, half = (slice(None),) * axis, x.shape[axis] // 2
    return x[(*before, slice(half), ...)] * sigmoid(x[(*before, slice(half, None), ...)])
