"""How often a prediction is right."""

from __future__ import annotations

from .. import config
from ..arrays import as_array, namespace
from ..losses.base import check_shapes, squeeze_or_expand_to_same_rank
from ..ops.matching import among_highest, equal_in_dtype, highest_alike, highest_is, on_its_side
from .reduction import StandardMetric


def accuracy(y_true, y_pred):
    """1 where the prediction equals the target, 0 elsewhere.

    Args:
        y_true, y_pred: arrays of one shape (a last axis of size 1 may be missing in one).
    """
    y_true, y_pred = _pair("accuracy", y_true, y_pred)
    return _counted(equal_in_dtype, y_pred, y_true)


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """1 where (y_pred > threshold) equals the target, 0 elsewhere.

    Args:
        y_true: 0 or 1, of any shape.
        y_pred: numbers of the same shape (a last axis of size 1 may be missing in one).
        threshold: above which a prediction means 1.
    """
    y_true, y_pred = _pair("binary_accuracy", y_true, y_pred)
    return _counted(on_its_side, y_pred, y_true, threshold=threshold)


def categorical_accuracy(y_true, y_pred):
    """1 where the class of the highest prediction is the target's, 0 elsewhere.

    Args:
        y_true: one-hot targets of shape (batch, d0, ..., classes).
        y_pred: a number for each class, of the same shape.

    Returns an array of shape (batch, d0, ...).
    """
    y_pred = as_array(y_pred)
    y_true = as_array(y_true, like=y_pred)
    check_shapes("categorical_accuracy", y_true, y_pred)
    return _counted(highest_alike, y_pred, y_true)


def sparse_categorical_accuracy(y_true, y_pred):
    """1 where the class of the highest prediction is the target, 0 elsewhere.

    Args:
        y_true: class numbers of shape (batch, d0, ...) or (batch, d0, ..., 1).
        y_pred: a number for each class, of shape (batch, d0, ..., classes).

    Returns an array of shape (batch, d0, ...), without a last axis of size 1.
    """
    y_true, y_pred = _one_for_each_row("sparse_categorical_accuracy", y_true, y_pred)
    right = _counted(highest_is, y_pred, y_true)
    if right.ndim > 1 and right.shape[-1] == 1:
        right = namespace(right).squeeze(right, axis=-1)
    return right


def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """1 where the target's class is among the k highest predictions, 0 elsewhere.

    Args:
        y_true: one-hot targets of shape (batch, d0, ..., classes).
        y_pred: a number for each class, of the same shape.
        k: how many predictions count.

    Returns an array of shape (batch, d0, ...).
    """
    y_pred = as_array(y_pred)
    y_true = as_array(y_true, like=y_pred)
    check_shapes("top_k_categorical_accuracy", y_true, y_pred)
    classes = namespace(y_true).argmax(y_true, axis=-1)
    return _counted(among_highest, y_pred, classes, k=k)


def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5, from_sorted_ids=False):
    """1 where the target is among the k highest predictions, 0 elsewhere.

    Args:
        y_true: class numbers of shape (batch, d0, ...).
        y_pred: a number for each class, of shape (batch, d0, ..., classes); or class numbers,
            best first.
        k: how many predictions count.
        from_sorted_ids: whether `y_pred` holds class numbers.

    Returns an array of shape (batch, d0, ...).
    """
    y_true, y_pred = _one_for_each_row("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if not from_sorted_ids:
        return _counted(among_highest, y_pred, y_true, k=k)
    xp = namespace(y_pred)
    ids = xp.expand_dims(xp.astype(y_true, y_pred.dtype), axis=-1)
    return as_array(xp.any(ids == y_pred[..., :k], axis=-1), config.floatx())


def _one_for_each_row(who, y_true, y_pred):
    """Class numbers of the shape of `y_pred` without its last axis."""
    y_pred = as_array(y_pred)
    y_true = as_array(y_true, like=y_pred)
    given = y_true.shape
    if y_true.ndim == y_pred.ndim and given[-1] == 1:
        y_true = namespace(y_true).squeeze(y_true, axis=-1)
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"{who}: y_true of shape {tuple(given)} does not fit y_pred of shape "
            f"{tuple(y_pred.shape)}: expected one class number for each row."
        )
    return y_true, y_pred


def _pair(who, y_true, y_pred):
    y_pred = as_array(y_pred)
    y_true = as_array(y_true, like=y_pred)
    if y_true.shape != y_pred.shape:
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        check_shapes(who, y_true, y_pred)
    return y_true, y_pred


def _counted(op, y_pred, y_true, **options):
    dtype = config.floatx()
    return as_array(op(y_pred, y_true, dtype=dtype, **options), dtype)


class Accuracy(StandardMetric):
    """How often predictions equal targets; see `accuracy`."""

    _direction = "up"

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(StandardMetric):
    """How often predictions are on the right side of a threshold; see `binary_accuracy`."""

    _direction = "up"
    in_config = ("threshold",)

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(StandardMetric):
    """How often the highest prediction is the one-hot target's; see `categorical_accuracy`."""

    _direction = "up"

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(StandardMetric):
    """How often the highest prediction is the target's; see `sparse_categorical_accuracy`."""

    _direction = "up"

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(StandardMetric):
    """How often the target is among the k highest predictions; see `top_k_categorical_accuracy`."""

    _direction = "up"
    in_config = ("k",)

    def __init__(self, k=5, name="top_k_categorical_accuracy", dtype=None):
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(StandardMetric):
    """How often a class number is among k predictions; see `sparse_top_k_categorical_accuracy`."""

    _direction = "up"

    def __init__(
        self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None, from_sorted_ids=False
    ):
        super().__init__(
            sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids
        )

    def get_config(self) -> dict:
        config = {**super().get_config(), "k": self.k}
        return config | ({"from_sorted_ids": True} if self.from_sorted_ids else {})
