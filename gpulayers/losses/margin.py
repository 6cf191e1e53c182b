"""Losses of margins: a prediction is to be on the right side, and some way from the border."""

from __future__ import annotations

from ..arrays import namespace
from .base import StandardLoss, together


def hinge(y_true, y_pred):
    """mean(max(1 - y_true y_pred, 0)) over the last axis.

    Args:
        y_true: -1 or 1, of shape (batch, d0, ..., dn); 0 and 1, if nothing else occurs, are read
            as -1 and 1.
        y_pred: predictions of the same shape.

    Returns an array of shape (batch, d0, ..., dn-1).
    """
    y_true, y_pred = together("hinge", y_true, y_pred)
    return _mean(_distance(y_true, y_pred))


def squared_hinge(y_true, y_pred):
    """mean(max(1 - y_true y_pred, 0)²) over the last axis.

    Args:
        y_true: -1 or 1, of shape (batch, d0, ..., dn); 0 and 1, if nothing else occurs, are read
            as -1 and 1.
        y_pred: predictions of the same shape.

    Returns an array of shape (batch, d0, ..., dn-1).
    """
    y_true, y_pred = together("squared_hinge", y_true, y_pred)
    distance = _distance(y_true, y_pred)
    return _mean(namespace(distance).square(distance))


def categorical_hinge(y_true, y_pred):
    """max(neg - pos + 1, 0) with pos = Σ y_true y_pred, neg = max((1 - y_true) y_pred).

    Args:
        y_true: 0 or 1 for each class, of shape (batch, d0, ..., classes).
        y_pred: scores of the same shape.

    Returns an array of shape (batch, d0, ...).
    """
    y_true, y_pred = together("categorical_hinge", y_true, y_pred)
    xp = namespace(y_true, y_pred)
    right = xp.sum(y_true * y_pred, axis=-1)
    wrong = xp.max((1.0 - y_true) * y_pred, axis=-1)
    return xp.maximum(wrong - right + 1.0, 0.0)


def _distance(y_true, y_pred):
    """How far each prediction is on the wrong side of its margin."""
    xp = namespace(y_true, y_pred)
    binary = xp.all((y_true == 0) | (y_true == 1))
    return xp.maximum(1.0 - xp.where(binary, 2.0 * y_true - 1.0, y_true) * y_pred, 0.0)


def _mean(x):
    return namespace(x).mean(x, axis=-1)


class Hinge(StandardLoss):
    """How far predictions are on the wrong side of a margin; see `hinge` and `Loss`."""

    def __init__(self, reduction="sum_over_batch_size", name="hinge", dtype=None):
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(StandardLoss):
    """The square of the hinge loss; see `squared_hinge` and `Loss` for the arguments."""

    def __init__(self, reduction="sum_over_batch_size", name="squared_hinge", dtype=None):
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(StandardLoss):
    """The margin between the right class and the best wrong one; see `categorical_hinge`."""

    def __init__(self, reduction="sum_over_batch_size", name="categorical_hinge", dtype=None):
        super().__init__(categorical_hinge, reduction, name, dtype)
