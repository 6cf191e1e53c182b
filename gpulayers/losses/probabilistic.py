"""Losses of probabilities: how surprising the true outcome is to the prediction."""

from __future__ import annotations

import warnings

import numpy as np

from .. import config
from ..arrays import as_array, dtypes, namespace, plain, set_mask
from ..ops import cross_entropy
from .base import StandardLoss, check_shapes, together


def kl_divergence(y_true, y_pred):
    """Σ y_true log(y_true / y_pred) over the last axis, both clipped to [ε, 1].

    Args:
        y_true: probabilities of shape (batch, d0, ..., classes).
        y_pred: predicted probabilities of the same shape.

    Returns an array of shape (batch, d0, ...).
    """
    y_true, y_pred = together("kl_divergence", y_true, y_pred)
    xp = namespace(y_true, y_pred)
    y_true = xp.clip(y_true, config.epsilon(), 1.0)
    y_pred = xp.clip(y_pred, config.epsilon(), 1.0)
    return xp.sum(y_true * xp.log(y_true / y_pred), axis=-1)


def poisson(y_true, y_pred):
    """mean(y_pred - y_true log(y_pred + ε)) over the last axis.

    Args:
        y_true: counts of shape (batch, d0, ..., dn).
        y_pred: predicted rates (above 0) of the same shape.

    Returns an array of shape (batch, d0, ..., dn-1).
    """
    y_true, y_pred = together("poisson", y_true, y_pred)
    xp = namespace(y_true, y_pred)
    return xp.mean(y_pred - y_true * xp.log(y_pred + config.epsilon()), axis=-1)


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Mean over `axis` of -y_true log(p) - (1 - y_true) log(1 - p).

    Args:
        y_true: 0 or 1 (or probabilities), of shape (batch, d0, ..., dn).
        y_pred: p of the same shape (clipped to [ε, 1 - ε]), or logits of it.
        from_logits: whether `y_pred` holds logits: any numbers, whose sigmoid is p.
        label_smoothing: s in [0, 1]; targets become y_true (1 - s) + s / 2.
        axis: over which the mean is taken.

    Returns an array of that shape without `axis`.
    """
    y_true, y_pred = together("binary_crossentropy", y_true, y_pred)
    check_shapes("binary_crossentropy", y_true, y_pred, exact=True)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    losses = cross_entropy.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    return namespace(losses).mean(losses, axis=axis)


def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """-Σ y_true log(p) over `axis`.

    Args:
        y_true: one-hot targets (or probabilities) of shape (batch, d0, ..., classes).
        y_pred: predicted probabilities of the same shape (scaled to the sum 1 and clipped to
            [ε, 1 - ε]), or logits of them.
        from_logits: whether `y_pred` holds logits: any numbers, whose softmax is p.
        label_smoothing: s in [0, 1]; targets become y_true (1 - s) + s / classes.
        axis: where the classes lie.

    Returns an array of that shape without `axis`.
    """
    y_true, y_pred = classes_together(
        "categorical_crossentropy", y_true, y_pred, label_smoothing, axis
    )
    return cross_entropy.categorical_crossentropy(
        y_true, y_pred, from_logits=from_logits, axis=axis
    )


def classes_together(who, y_true, y_pred, label_smoothing, axis):
    """Targets, smoothed, and predictions of classes, checked for their shapes."""
    if isinstance(axis, bool):
        raise ValueError(f"{who}: axis must be an integer, got {axis}.")
    y_true, y_pred = together(who, y_true, y_pred)
    check_shapes(who, y_true, y_pred, exact=True)
    if y_pred.shape[-1] == 1:
        warnings.warn(
            f"{who}: expected y_pred of shape (batch, classes) with more than one class, got "
            f"{tuple(y_pred.shape)}. For two classes in one number use 'binary_crossentropy'.",
            SyntaxWarning,
            stacklevel=3,
        )
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]
    return y_true, y_pred


def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """-log of the probability that was given to the true class.

    Args:
        y_true: class numbers from 0 to classes - 1, of shape (batch, d0, ...), or with an axis of
            size 1 in the place of the classes.
        y_pred: predicted probabilities of shape (batch, d0, ..., classes), or logits of them.
        from_logits: whether `y_pred` holds logits: any numbers, whose softmax is p.
        ignore_class: a number in `y_true` that marks samples without a class (such as -1 or 255);
            their loss is 0, and they do not count in the mean.
        axis: where the classes lie.

    Returns an array of the shape of `y_pred` without `axis`.
    Raises ValueError if shapes do not fit, or class numbers (in host memory) are out of range.
    """
    who = "sparse_categorical_crossentropy"
    y_true, y_pred = class_numbers(who, y_true, y_pred, axis)
    valid = None
    if ignore_class is not None:
        xp, valid = namespace(y_true, y_pred), y_true != ignore_class
        y_true = xp.where(valid, y_true, xp.zeros_like(y_true))
        y_pred = xp.where(xp.expand_dims(valid, axis=axis), y_pred, xp.ones_like(y_pred))
    losses = cross_entropy.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=from_logits, axis=axis
    )
    if valid is not None:
        losses = xp.where(valid, losses, xp.zeros_like(losses))
        set_mask(losses, valid)
    return losses


sparse_categorical_crossentropy.keeps_integers = True
for _function in (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
):
    _function.operation = getattr(cross_entropy, _function.__name__)


def class_numbers(who: str, y_true, y_pred, axis: int):
    """Class numbers, one for each row of `y_pred` along `axis`, and the float array `y_pred`.

    Raises ValueError if the shapes do not fit.
    """
    y_pred = as_array(y_pred)
    if not dtypes.is_floating(y_pred):
        y_pred = as_array(y_pred, config.floatx())
    if axis == -1 and type(y_true) is np.ndarray and y_true.dtype.kind in "iu":
        if y_true.shape == y_pred.shape[:-1]:
            return y_true, y_pred
    y_true = as_array(y_true, like=y_pred)
    if not dtypes.is_integer(y_true):
        _check_whole(who, y_true)
        y_true = as_array(y_true, "int32")
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1:
        y_true = namespace(y_true).squeeze(y_true, axis=axis)
    expected = list(y_pred.shape)
    expected.pop(axis)
    if tuple(y_true.shape) != tuple(expected) and None not in (*y_true.shape, *expected):
        raise ValueError(
            f"{who}: y_true of shape {tuple(y_true.shape)} does not fit y_pred of shape "
            f"{tuple(y_pred.shape)}: expected one class number for each row, {tuple(expected)}. "
            "For one-hot targets use 'categorical_crossentropy'."
        )
    return y_true, y_pred


def _check_whole(who: str, y_true) -> None:
    """Raise ValueError if floats in host memory that stand for class numbers are not whole."""
    y_true = plain(y_true)
    if type(y_true) is np.ndarray and y_true.dtype.kind == "f":
        broken = y_true[y_true != np.rint(y_true)]
        if broken.size:
            raise ValueError(
                f"{who}: expected class numbers in y_true, whole numbers, got {broken.flat[0]}."
            )


class KLDivergence(StandardLoss):
    """The information lost by taking the prediction for the truth; see `kl_divergence`, `Loss`."""

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(StandardLoss):
    """The negative log-likelihood of counts; see `poisson` and `Loss` for the arguments."""

    def __init__(self, reduction="sum_over_batch_size", name="poisson", dtype=None):
        super().__init__(poisson, reduction, name, dtype)


class BinaryCrossentropy(StandardLoss):
    """The crossentropy of yes-or-no questions; see `binary_crossentropy` and `Loss`."""

    in_config = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
        dtype=None,
    ):
        super().__init__(
            binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(StandardLoss):
    """The crossentropy of one-hot targets; see `categorical_crossentropy` and `Loss`."""

    in_config = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(StandardLoss):
    """The crossentropy of class numbers; see `sparse_categorical_crossentropy` and `Loss`."""

    in_config = ("from_logits", "ignore_class")

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
