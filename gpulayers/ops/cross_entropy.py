"""Cross-entropies between labels and predictions, for each sample.

Predictions are logits (`from_logits=True`) or probabilities.  Probabilities are kept `epsilon`
(`config.epsilon()`, 1e-7) away from 0 and 1; where that changes them, their gradient is 0.
"""

from __future__ import annotations

import math

import numpy as np

from .. import config
from ..arrays import as_array, dtypes, namespace, primitive
from .floating import floating
from .softmax import log_softmax, softmax

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
]


def require_equal_shapes(who: str, target, output) -> None:
    """Raise ValueError unless labels and predictions have the same shape."""
    if tuple(target.shape) != tuple(output.shape):
        raise ValueError(
            f"{who}: target and output must have the same shape, "
            f"got {tuple(target.shape)} and {tuple(output.shape)}."
        )


def require_axis(who: str, output, axis: int) -> int:
    """`axis` counted from the front.  Raises ValueError if `output` lacks it."""
    if not -output.ndim <= axis < output.ndim:
        raise ValueError(
            f"{who}: output needs the axis {axis}, got the shape {tuple(output.shape)}."
        )
    return axis % output.ndim


def _pair(target, output):
    """Both as arrays of one library, the labels in the dtype of the predictions."""
    output = floating(as_array(output))[1]
    target = as_array(target, like=output)
    if target.dtype != output.dtype:
        target = namespace(target).astype(target, output.dtype)
    return namespace(target, output), target, output


@primitive
def binary_crossentropy(target, output, from_logits=False):
    """-(target log(p) + (1 - target) log(1 - p)), elementwise.

    Args:
        target: labels between 0 and 1.
        output: probabilities p, or with `from_logits` logits of which p is the sigmoid; of the
            shape of `target`, and of the result.

    Raises ValueError if the shapes differ.
    """
    xp, target, output = _pair(target, output)
    require_equal_shapes("binary_crossentropy", target, output)
    if from_logits:
        rest = xp.log1p(xp.exp(-xp.abs(output)))
        return xp.maximum(output, 0.0) - output * target + rest
    epsilon = config.epsilon()
    p = xp.clip(output, epsilon, 1 - epsilon)
    return -(target * xp.log(p) + (1 - target) * xp.log(1 - p))


@binary_crossentropy.vjp
def _(xp, out, target, output, from_logits=False):
    from .activation import sigmoid

    xp, target, output = _pair(target, output)
    if from_logits:
        return lambda g: -g * output, lambda g: g * (sigmoid(output) - target)
    epsilon = config.epsilon()
    p = xp.clip(output, epsilon, 1 - epsilon)
    return (
        lambda g: g * (xp.log(1 - p) - xp.log(p)),
        lambda g: g * xp.where(p == output, (p - target) / (p * (1 - p)), 0.0),
    )


@primitive
def categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-sum(target log(p)) along `axis`, the classes'.

    Args:
        target: a probability for each class: one-hot labels, or softer ones.
        output: probabilities, which are divided by their sum, or with `from_logits` logits of
            which p is the softmax; of the shape of `target`. The result lacks `axis`.

    Raises ValueError if the shapes differ, or if there is no such axis.
    """
    xp, target, output = _pair(target, output)
    require_equal_shapes("categorical_crossentropy", target, output)
    axis = require_axis("categorical_crossentropy", output, axis)
    return -xp.sum(target * _log_probabilities(xp, output, from_logits, axis), axis=axis)


def _log_probabilities(xp, output, from_logits, axis):
    if from_logits:
        return log_softmax(output, axis=axis)
    epsilon = config.epsilon()
    p = output / xp.sum(output, axis=axis, keepdims=True)
    return xp.log(xp.clip(p, epsilon, 1 - epsilon))


@categorical_crossentropy.vjp
def _(xp, out, target, output, from_logits=False, axis=-1):
    xp, target, output = _pair(target, output)
    axis %= output.ndim

    def dtarget(g):
        return -xp.expand_dims(g, axis=axis) * _log_probabilities(xp, output, from_logits, axis)

    def doutput(g):
        g = xp.expand_dims(g, axis=axis)
        if from_logits:
            total = xp.sum(target, axis=axis, keepdims=True)
            return g * (softmax(output, axis=axis) * total - target)
        return g * _slopes(xp, target, output, axis)

    return dtarget, doutput


def _slopes(xp, target, output, axis):
    """The derivative of -sum(target log(clip(output / sum(output)))) for each output."""
    epsilon, total = config.epsilon(), xp.sum(output, axis=axis, keepdims=True)
    p = output / total
    weights = xp.where((p >= epsilon) & (p <= 1 - epsilon), target, 0.0)
    share = xp.sum(weights, axis=axis, keepdims=True)
    return share / total - weights / xp.where(weights == 0, 1.0, output)


@primitive
def sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """-log(p[label]) along `axis`, the classes'.

    Args:
        target: the number of the right class, of any integer or floating dtype; of the shape of
            `output` without `axis`, or with 1 there.
        output: probabilities, which are divided by their sum, or with `from_logits` logits of
            which p is the softmax. The result lacks `axis`.

    Raises ValueError if the shapes don't fit, or if there is no such axis. A label that is no
    class raises ValueError too on the CPU; elsewhere, where looking would halt the device, its
    loss is NaN.
    """
    xp, output = floating(as_array(output))
    axis = require_axis("sparse_categorical_crossentropy", output, axis)
    labels = class_labels(target, output, axis)
    log_p = _log_probabilities(xp, output, from_logits, axis)
    known = xp.clip(labels, 0, output.shape[axis] - 1)
    picked = xp.take_along_axis(log_p, xp.expand_dims(known, axis=axis), axis=axis)
    return xp.where(known == labels, -xp.squeeze(picked, axis=axis), math.nan)


def class_labels(target, output, axis: int):
    """Labels as integers, of the shape of `output` without `axis`."""
    expected = (*output.shape[:axis], *output.shape[axis + 1 :])
    if type(target) is np.ndarray and target.shape == expected:
        return target.astype(np.int64, copy=False)
    target = as_array(target, like=output)
    xp = namespace(target)
    given = tuple(target.shape)
    if len(given) == output.ndim and given[axis] == 1:
        target = xp.squeeze(target, axis=axis)
    if tuple(target.shape) != expected:
        raise ValueError(
            "sparse_categorical_crossentropy: target must have the shape of output without axis "
            f"{axis}, {expected}, got {given} for an output of shape {tuple(output.shape)}."
        )
    return xp.astype(target, dtypes.of(xp, "int64"))


@sparse_categorical_crossentropy.vjp
def _(xp, out, target, output, from_logits=False, axis=-1):
    xp, output = floating(as_array(output))
    axis %= output.ndim

    def doutput(g):
        labels = xp.expand_dims(class_labels(target, output, axis), axis=axis)
        classes = xp.arange(output.shape[axis], dtype=labels.dtype)
        classes = xp.reshape(classes, (-1,) + (1,) * (output.ndim - axis - 1))
        hot = xp.astype(classes == labels, output.dtype)
        g = xp.expand_dims(g, axis=axis)
        if from_logits:
            return g * (softmax(output, axis=axis) - hot)
        return g * _slopes(xp, hot, output, axis)

    return None, doutput
