"""How well predictions and targets vary together."""

from __future__ import annotations

from .. import config
from ..arrays import namespace
from ..losses.base import together
from .reduction import StandardMetric


def pearson_correlation(y_true, y_pred, axis=-1):
    """Pearson's correlation: the mean product of targets and predictions in standard units.

    Args:
        y_true, y_pred: arrays of one shape (a last axis of size 1 may be missing in one).
        axis: along which they are correlated.

    Returns an array of that shape without `axis`, from -1 to 1 (NaN for constant values).
    """
    y_true, y_pred = together("pearson_correlation", y_true, y_pred, same_rank=True)
    xp = namespace(y_true, y_pred)
    product = _standard(xp, y_true, axis) * _standard(xp, y_pred, axis)
    return xp.mean(product, axis=axis)


def _standard(xp, x, axis):
    centred = x - xp.mean(x, axis=axis, keepdims=True)
    scale = xp.std(centred, axis=axis, keepdims=True)
    return centred / xp.where(scale == 0, xp.full_like(scale, float("nan")), scale)


def concordance_correlation(y_true, y_pred, axis=-1):
    """2 cov / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))² + ε).

    Args:
        y_true, y_pred: arrays of one shape (a last axis of size 1 may be missing in one).
        axis: along which they are correlated.

    Returns an array of that shape without `axis`, from -1 to 1.
    Source: L. I. Lin, A concordance correlation coefficient to evaluate reproducibility, 1989.
    """
    y_true, y_pred = together("concordance_correlation", y_true, y_pred, same_rank=True)
    xp = namespace(y_true, y_pred)
    true_mean = xp.mean(y_true, axis=axis, keepdims=True)
    pred_mean = xp.mean(y_pred, axis=axis, keepdims=True)
    variances = xp.var(y_true, axis=axis, keepdims=True) + xp.var(y_pred, axis=axis, keepdims=True)
    scale = variances + xp.square(true_mean - pred_mean) + config.epsilon()
    covariance = (y_true - pred_mean) * (y_pred - pred_mean)
    return xp.mean(2.0 * covariance / scale, axis=axis)


class PearsonCorrelation(StandardMetric):
    """The mean of Pearson's correlation; see `pearson_correlation`."""

    _direction = "up"
    in_config = ("axis",)

    def __init__(self, name="pearson_correlation", dtype=None, axis=-1):
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(StandardMetric):
    """The mean of Lin's concordance correlation; see `concordance_correlation`."""

    _direction = "up"
    in_config = ("axis",)

    def __init__(self, name="concordance_correlation", dtype=None, axis=-1):
        super().__init__(concordance_correlation, name, dtype, axis=axis)
