"""Keras's activation functions, by name or to be called."""

from __future__ import annotations

from functools import partial
from types import FunctionType

from . import registry
from .arrays import primitive
from .ops.activation import (
    celu,
    elu,
    exponential,
    glu,
    log_sigmoid,
    mish,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    squareplus,
    tanh,
    tanh_shrink,
)
from .ops.activation import gelu as _gelu
from .ops.dense import FUSED_NAMES
from .ops.rectifier import (
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    relu,
    relu6,
    soft_shrink,
    sparse_plus,
    sparse_sigmoid,
    threshold,
)
from .ops.rectifier import leaky_relu as _leaky_relu
from .ops.softmax import log_softmax, softmax, sparsemax

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]

hard_swish = hard_silu
swish = silu


def linear(x):
    """`x` itself."""
    return x


def gelu(x, approximate: bool = False):
    """x times the normal distribution's probability below x, elementwise.

    approximate: True for the approximation by tanh, which `ops.gelu` has by default; Keras 2's
        default too. False: exactly, by erf.
    """
    return _gelu(x, approximate=approximate)


def leaky_relu(x, negative_slope: float = 0.2, *, alpha: float | None = None):
    """x above 0, negative_slope x below, elementwise.

    alpha: the older name of `negative_slope`; it wins if given.
    """
    return _leaky_relu(x, negative_slope=negative_slope if alpha is None else alpha)


# Functions of each element by itself, which a product may take in, as the primitives they are.
CURVES = {
    function: function
    for function in (
        *(_gelu, celu, elu, exponential, log_sigmoid, mish, relu, selu, sigmoid, silu, softplus),
        *(softsign, squareplus, tanh, tanh_shrink, _leaky_relu, hard_shrink, hard_sigmoid),
        *(hard_silu, hard_tanh, relu6, soft_shrink, sparse_plus, sparse_sigmoid),
    )
} | {
    gelu: partial(_gelu, approximate=False),
    leaky_relu: partial(_leaky_relu, negative_slope=0.2),
}


def taken_in(activation):
    """What `ops.dense.product` takes for an activation function; None for what it does not."""
    return FUSED_NAMES.get(activation) or CURVES.get(activation)


def get(identifier):
    """The activation function that a name, a config or a callable means; `linear` for None.

    Raises ValueError for an unknown name, TypeError for something that is no activation.
    """
    return linear if identifier is None else registry.get("activations", identifier)


def serialize(activation):
    """The name of an activation of this module; the description of any other object.

    Raises TypeError for something that has neither.
    """
    description = registry.serialize(activation)
    if isinstance(activation, (FunctionType, primitive)) and isinstance(description, dict):
        if description.get("class_name") == "function":
            return description["config"]
    return description


def deserialize(config, custom_objects: dict | None = None):
    """The activation function that `serialize` described.

    Raises ValueError for an unknown name.
    """
    return registry.deserialize(config, custom_objects, kind="activations")
