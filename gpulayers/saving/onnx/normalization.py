"""Layers that scale their inputs, as nodes of ONNX."""

from __future__ import annotations

import numpy as np

from ... import config
from ... import layers as made
from ...layers.normalization import SMALLEST_LENGTH
from .activations import activated
from .writer import NotCovered, Value, Writer, numbers


def batch_normalization(writer: Writer, layer, x: Value) -> Value:
    """By the moving statistics."""
    mean, variance = numbers(layer.moving_mean), numbers(layer.moving_variance)
    gamma = np.ones_like(mean) if layer.gamma is None else numbers(layer.gamma)
    beta = np.zeros_like(mean) if layer.beta is None else numbers(layer.beta)
    y = _by_statistics(writer, layer, writer.cast(x, "float32"), mean, variance, gamma, beta)
    return activated(writer, y, layer.activation)


def _by_statistics(writer, layer, x, mean, variance, gamma, beta):
    axis = layer.axis % x.ndim
    turned = axis == x.ndim - 1 and x.prefers_turned
    if turned or axis == 1:
        weights = [writer.constant(w) for w in (gamma, beta, mean, variance)]
        name = x.turned if turned else writer.plain(x)
        name = writer.node("BatchNormalization", name, *weights, epsilon=layer.epsilon)
        return Value(x.shape, turned=name) if turned else Value(x.shape, plain=name)
    shape = _spread(x, [axis])
    scale = gamma / np.sqrt(variance.astype(np.float64) + layer.epsilon)
    shift = (beta - mean * scale).reshape(shape)
    return writer.each("Add", writer.each("Mul", x, scale.reshape(shape)), shift)


def _spread(x, axes):
    """The shape of weights of some axes' sizes that broadcasts with `x`."""
    return tuple(n if i in axes else 1 for i, n in enumerate(x.shape))


def _affine(writer, x, gamma, beta, shape):
    x = x if gamma is None else writer.each("Mul", x, numbers(gamma).reshape(shape))
    return x if beta is None else writer.each("Add", x, numbers(beta).reshape(shape))


def layer_normalization(writer, layer, x):
    x = writer.cast(x, "float32")
    axes = sorted(axis % x.ndim for axis in layer.axis)
    if axes == list(range(axes[0], x.ndim)) and not layer.rms_scaling:
        sizes = [x.shape[axis] for axis in axes]
        scale = np.ones(sizes, np.float32) if layer.gamma is None else layer.gamma
        beta = None if layer.beta is None else writer.constant(layer.beta)
        options = {"axis": axes[0], "epsilon": layer.epsilon}
        return writer.single(
            "LayerNormalization", x, writer.constant(scale), beta, shape=x.shape, **options
        )
    away = writer.each("Sub", x, writer.along("ReduceMean", x, axes, keepdims=True))
    kept = x if layer.rms_scaling else away
    y = _divided(writer, kept, _mean_square(writer, away, axes), layer.epsilon)
    return _affine(writer, y, layer.gamma, layer.beta, _spread(x, axes))


def _mean_square(writer, x, axes):
    return writer.along("ReduceMean", writer.each("Mul", x, x), axes, keepdims=True)


def _divided(writer, x, square, epsilon):
    return writer.each("Div", x, writer.each("Sqrt", writer.each("Add", square, epsilon)))


def root_mean_square(writer, layer, x):
    x = writer.cast(x, "float32")
    axes = sorted(axis % x.ndim for axis in layer.axis)
    y = _divided(writer, x, _mean_square(writer, x, axes), layer.epsilon)
    return _affine(writer, y, layer.scale, None, _spread(x, axes))


def group_normalization(writer, layer, x):
    x = writer.cast(x, "float32")
    axis = layer.axis % x.ndim
    last = axis == x.ndim - 1
    if axis != 1 and not last:
        raise NotCovered(f"has its channels in axis {axis}: only 1 and the last are covered")
    name = writer.turned(x) if last else writer.plain(x)
    shape = writer.node("Shape", name)
    grouped = writer.node("Reshape", name, writer.integers(0, layer.groups, -1))
    grouped = Value((x.shape[0], layer.groups, None), plain=grouped)
    away = writer.each("Sub", grouped, writer.along("ReduceMean", grouped, [2], keepdims=True))
    y = _divided(writer, away, _mean_square(writer, away, [2]), layer.epsilon)
    name = writer.node("Reshape", y, shape)
    turned = last and x.ndim > 2
    y = Value(x.shape, turned=name) if turned else Value(x.shape, plain=name)
    return _affine(writer, y, layer.gamma, layer.beta, _spread(x, [axis]))


def unit_normalization(writer, layer, x):
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return unit_length(writer, writer.cast(x, "float32"), axes, SMALLEST_LENGTH)


def unit_length(writer, x, axes, least):
    """`x` divided by its length along axes, or by `least` if that is more."""
    squares = writer.along("ReduceSum", writer.each("Mul", x, x), axes, keepdims=True)
    length = writer.each("Sqrt", squares)
    return writer.each("Div", x, writer.each("Max", length, least))


def layer_scale(writer, layer, x):
    return writer.each("Mul", x, numbers(layer.gamma))


def rescaling(writer, layer, x):
    x = writer.cast(x, layer.compute_dtype)
    return writer.each("Add", writer.each("Mul", x, numbers(layer.scale)), numbers(layer.offset))


def feature_normalization(writer, layer, x):
    x = writer.cast(x, layer.compute_dtype)
    mean = numbers(layer.mean)
    deviation = np.maximum(np.sqrt(numbers(layer.variance)), config.epsilon())
    if layer.invert:
        return writer.each("Add", writer.each("Mul", x, deviation), mean)
    return writer.each("Div", writer.each("Sub", x, mean), deviation)


LAYERS = {
    made.BatchNormalization: batch_normalization,
    made.LayerNormalization: layer_normalization,
    made.RMSNormalization: root_mean_square,
    made.GroupNormalization: group_normalization,
    made.UnitNormalization: unit_normalization,
    made.LayerScale: layer_scale,
    made.Rescaling: rescaling,
    made.Normalization: feature_normalization,
}
