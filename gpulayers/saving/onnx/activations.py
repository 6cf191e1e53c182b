"""Activation functions as nodes of ONNX."""

from __future__ import annotations

import math

from ... import activations
from ... import layers as made
from .writer import NotCovered, Value, Writer, numbers, turned_axis


def activated(writer: Writer, x: Value, activation) -> Value:
    """An activation function, as layers have it, of a Value."""
    if activation is None:
        return x
    if isinstance(activation, made.Layer):
        return writer.call(activation, x)
    name = getattr(activation, "__name__", "")
    if name not in FUNCTIONS or getattr(activations, name, None) is not activation:
        raise NotCovered(f"has the activation {name or activation!r}, which is not covered")
    return x if name == "linear" else FUNCTIONS[name](writer, writer.floating(x))


def relu(writer, x, negative_slope=0.0, max_value=None, threshold=0.0):
    if negative_slope == threshold == 0:
        return writer.each("Relu", x) if max_value is None else clipped(writer, x, 0, max_value)
    if threshold == 0 and max_value is None:
        return writer.each("LeakyRelu", x, alpha=float(negative_slope))
    kept = x if max_value is None else clipped(writer, x, 0, max_value)
    below = writer.each("Mul", writer.each("Sub", x, threshold), negative_slope)
    return writer.each("Where", writer.each("Greater", x, threshold), kept, below)


def clipped(writer, x, low, high):
    """`x`, but at least `low` and at most `high` (None for no limit)."""
    x = x if low is None else writer.each("Max", x, low)
    return x if high is None else writer.each("Min", x, high)


def prelu(writer, layer, x):
    slopes = numbers(layer.alpha)
    negative = writer.each("Mul", writer.each("Min", x, 0), slopes[None])
    return writer.each("Add", writer.each("Relu", x), negative)


def gelu(writer, x, approximate=False):
    if approximate:
        cube = writer.each("Mul", writer.each("Mul", x, x), writer.each("Mul", x, 0.044715))
        inner = writer.each("Mul", writer.each("Add", x, cube), math.sqrt(2 / math.pi))
        bent = writer.each("Tanh", inner)
    else:
        bent = writer.each("Erf", writer.each("Mul", x, math.sqrt(0.5)))
    return writer.each("Mul", writer.each("Mul", x, 0.5), writer.each("Add", bent, 1))


def leaky_relu(writer, x, negative_slope=0.2):
    return writer.each("LeakyRelu", x, alpha=float(negative_slope))


def elu(writer, x, alpha=1.0):
    return writer.each("Elu", x, alpha=float(alpha))


def celu(writer, x, alpha=1.0):
    return writer.each("Mul", elu(writer, writer.each("Div", x, alpha)), alpha)


def silu(writer, x):
    return writer.each("Mul", x, writer.each("Sigmoid", x))


def mish(writer, x):
    return writer.each("Mul", x, writer.each("Tanh", writer.each("Softplus", x)))


def hard_sigmoid(writer, x):
    return writer.each("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def hard_silu(writer, x):
    return writer.each("Mul", x, hard_sigmoid(writer, x))


def log_sigmoid(writer, x):
    return writer.each("Neg", writer.each("Softplus", writer.each("Neg", x)))


def squareplus(writer, x, b=4):
    root = writer.each("Sqrt", writer.each("Add", writer.each("Mul", x, x), b))
    return writer.each("Mul", writer.each("Add", x, root), 0.5)


def tanh_shrink(writer, x):
    return writer.each("Sub", x, writer.each("Tanh", x))


def hard_shrink(writer, x, threshold=0.5):
    far = writer.each("Greater", writer.each("Abs", x), threshold)
    return writer.each("Where", far, x, 0)


def soft_shrink(writer, x, threshold=0.5):
    return writer.each("Sub", x, clipped(writer, x, -threshold, threshold))


def sparse_plus(writer, x):
    root = writer.each("Mul", clipped(writer, writer.each("Add", x, 1), 0, None), 0.5)
    bent = writer.each("Mul", root, root)
    return writer.each("Where", writer.each("GreaterOrEqual", x, 1), x, bent)


def sparse_sigmoid(writer, x):
    return clipped(writer, writer.each("Mul", writer.each("Add", x, 1), 0.5), 0, 1)


def threshold(writer, x, threshold, default_value):
    return writer.each("Where", writer.each("Greater", x, threshold), x, default_value)


def softmax(writer, x, axis=-1, operation="Softmax"):
    if isinstance(axis, (list, tuple)) and len(axis) > 1:
        largest = writer.along("ReduceMax", x, axis, keepdims=True)
        powers = writer.each("Exp", writer.each("Sub", x, largest))
        return writer.each("Div", powers, writer.along("ReduceSum", powers, axis, keepdims=True))
    axis = axis[0] if isinstance(axis, (list, tuple)) else axis
    if x.prefers_turned:
        place = turned_axis(axis, x.ndim)
        return Value(x.shape, x.dtype, turned=writer.node(operation, x.turned, axis=place))
    return Value(x.shape, x.dtype, plain=writer.node(operation, x, axis=axis))


def log_softmax(writer, x, axis=-1):
    return softmax(writer, x, axis, "LogSoftmax")


def glu(writer, x, axis=-1):
    sizes = list(x.shape)
    if sizes[axis] is None:
        raise NotCovered("needs to know the size of the axis that it halves")
    sizes[axis] //= 2
    a, b = writer.several("Split", x, count=2, axis=axis, num_outputs=2)
    a, b = Value(sizes, x.dtype, plain=a), Value(sizes, x.dtype, plain=b)
    return writer.each("Mul", a, writer.each("Sigmoid", b))


def _one(operation):
    return lambda writer, x: writer.each(operation, x)


FUNCTIONS = {
    "celu": celu, "elu": elu, "exponential": _one("Exp"), "gelu": gelu, "glu": glu,
    "hard_shrink": hard_shrink, "hard_sigmoid": hard_sigmoid, "hard_silu": hard_silu,
    "hard_tanh": lambda writer, x: clipped(writer, x, -1, 1), "leaky_relu": leaky_relu,
    "linear": lambda writer, x: x, "log_sigmoid": log_sigmoid, "log_softmax": log_softmax,
    "mish": mish, "relu": relu, "relu6": lambda writer, x: clipped(writer, x, 0, 6),
    "selu": _one("Selu"), "sigmoid": _one("Sigmoid"), "silu": silu, "soft_shrink": soft_shrink,
    "softmax": softmax, "softplus": _one("Softplus"), "softsign": _one("Softsign"),
    "sparse_plus": sparse_plus, "sparse_sigmoid": sparse_sigmoid, "squareplus": squareplus,
    "tanh": _one("Tanh"), "tanh_shrink": tanh_shrink, "threshold": threshold,
}  # fmt: skip


def _ramp(writer, layer, x):
    return relu(writer, x, layer.negative_slope, layer.max_value, layer.threshold)


def masked_softmax(writer, layer, x):
    if x.mask is None:
        return softmax(writer, x, layer.axis)
    mask = x.mask
    if mask.dtype != "bool":
        mask = writer.each("Greater", mask, 0.5 if mask.dtype.startswith("float") else 0)
    x = Value(x.shape, x.dtype, plain=writer.plain(x))
    outputs = softmax(writer, writer.each("Where", mask, x, -1e9), layer.axis)
    return writer.each("Where", mask, outputs, 0.0)


LAYERS = {
    made.Activation: lambda writer, layer, x: activated(writer, x, layer.activation),
    made.ReLU: _ramp,
    made.LeakyReLU: lambda writer, layer, x: leaky_relu(writer, x, layer.negative_slope),
    made.ELU: lambda writer, layer, x: elu(writer, x, layer.alpha),
    made.PReLU: prelu,
    made.Softmax: masked_softmax,
}
