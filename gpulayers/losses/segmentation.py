"""Losses of overlapping regions: how well a predicted area covers the true one."""

from __future__ import annotations

from .. import config
from ..arrays import namespace
from .base import StandardLoss, together


def dice(y_true, y_pred, axis=None):
    """1 - 2 Σ y_true y_pred / (Σ y_true + Σ y_pred + ε), the sums over `axis`.

    Args:
        y_true: 0 or 1 (or shares), of any shape.
        y_pred: predictions from 0 to 1 of the same shape.
        axis: axis or axes of one region; None for all, which gives one number.

    Source: F. Milletari et al., V-Net, arXiv:1606.04797 (there with squares in the divisor).
    """
    y_true, y_pred = together("dice", y_true, y_pred)
    xp, axis = namespace(y_true, y_pred), _axes(axis)
    shared = xp.sum(y_true * y_pred, axis=axis)
    total = xp.sum(y_true, axis=axis) + xp.sum(y_pred, axis=axis)
    return 1.0 - 2.0 * shared / (total + config.epsilon())


def tversky(y_true, y_pred, alpha=0.5, beta=0.5, axis=None):
    """1 - S / (S + α Σ y_true (1 - y_pred) + β Σ y_pred (1 - y_true) + ε), S = Σ y_true y_pred.

    Args:
        y_true: 0 or 1 (or shares), of any shape.
        y_pred: predictions from 0 to 1 of the same shape.
        alpha: weight of what was missed.
        beta: weight of what was predicted wrongly.
        axis: axis or axes of one region; None for all, which gives one number.

    Source: S. S. M. Salehi et al., Tversky loss function, arXiv:1706.05721.
    """
    y_true, y_pred = together("tversky", y_true, y_pred)
    xp, axis = namespace(y_true, y_pred), _axes(axis)
    shared = xp.sum(y_true * y_pred, axis=axis)
    missed = xp.sum(y_true * (1.0 - y_pred), axis=axis)
    wrong = xp.sum(y_pred * (1.0 - y_true), axis=axis)
    return 1.0 - shared / (shared + alpha * missed + beta * wrong + config.epsilon())


def _axes(axis):
    return tuple(axis) if isinstance(axis, list) else axis


class Dice(StandardLoss):
    """One minus Dice's coefficient of overlap; see `dice` and `Loss` for the arguments."""

    in_config = ("axis",)

    def __init__(self, reduction="sum_over_batch_size", name="dice", axis=None, dtype=None):
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(StandardLoss):
    """One minus Tversky's index, Dice with a weight for each kind of error; see `tversky`."""

    in_config = ("alpha", "beta", "axis")

    def __init__(
        self,
        alpha=0.5,
        beta=0.5,
        reduction="sum_over_batch_size",
        name="tversky",
        axis=None,
        dtype=None,
    ):
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
