"""Losses of numbers: how far a prediction is from a measured value."""

from __future__ import annotations

import math

from .. import config
from ..arrays import namespace
from .base import StandardLoss, together


def mean_squared_error(y_true, y_pred):
    """mean((y_true - y_pred)²) over the last axis.

    Args:
        y_true: targets of shape (batch, d0, ..., dn).
        y_pred: predictions of the same shape (a last axis of size 1 may be missing in one).

    Returns an array of shape (batch, d0, ..., dn-1).
    """
    y_true, y_pred = together("mean_squared_error", y_true, y_pred, same_rank=True)
    xp = namespace(y_true, y_pred)
    return xp.mean(xp.square(y_true - y_pred), axis=-1)


def mean_absolute_error(y_true, y_pred):
    """mean(|y_true - y_pred|) over the last axis.

    Args:
        y_true: targets of shape (batch, d0, ..., dn).
        y_pred: predictions of the same shape (a last axis of size 1 may be missing in one).

    Returns an array of shape (batch, d0, ..., dn-1).
    """
    y_true, y_pred = together("mean_absolute_error", y_true, y_pred, same_rank=True)
    xp = namespace(y_true, y_pred)
    return xp.mean(xp.abs(y_true - y_pred), axis=-1)


def mean_absolute_percentage_error(y_true, y_pred):
    """100 mean(|y_true - y_pred| / max(|y_true|, ε)) over the last axis, ε = `config.epsilon()`.

    Args:
        y_true: targets of shape (batch, d0, ..., dn).
        y_pred: predictions of the same shape (a last axis of size 1 may be missing in one).

    Returns an array of shape (batch, d0, ..., dn-1).
    """
    y_true, y_pred = together("mean_absolute_percentage_error", y_true, y_pred, same_rank=True)
    xp = namespace(y_true, y_pred)
    size = xp.maximum(xp.abs(y_true), config.epsilon())
    return 100.0 * xp.mean(xp.abs((y_true - y_pred) / size), axis=-1)


def mean_squared_logarithmic_error(y_true, y_pred):
    """mean((log(1 + y_true) - log(1 + y_pred))²) over the last axis; values below ε count as ε.

    Args:
        y_true: targets of shape (batch, d0, ..., dn).
        y_pred: predictions of the same shape (a last axis of size 1 may be missing in one).

    Returns an array of shape (batch, d0, ..., dn-1).
    """
    y_true, y_pred = together("mean_squared_logarithmic_error", y_true, y_pred, same_rank=True)
    xp = namespace(y_true, y_pred)
    low = config.epsilon()
    difference = xp.log1p(xp.maximum(y_pred, low)) - xp.log1p(xp.maximum(y_true, low))
    return xp.mean(xp.square(difference), axis=-1)


def cosine_similarity(y_true, y_pred, axis=-1):
    """-Σ l2(y_true) l2(y_pred): -1 for the same direction, 0 for orthogonal, 1 for opposite ones.

    Args:
        y_true: targets of shape (batch, d0, ..., dn).
        y_pred: predictions of the same shape (a last axis of size 1 may be missing in one).
        axis: along which the vectors lie.

    Returns an array of that shape without `axis`.
    """
    y_true, y_pred = together("cosine_similarity", y_true, y_pred, same_rank=True)
    return -cosine(y_true, y_pred, axis)


def cosine(x, y, axis):
    """The cosine of the angle between vectors along `axis`; 0 if one of them is 0."""
    xp = namespace(x, y)
    return xp.sum(_unit(x, axis) * _unit(y, axis), axis=axis)


def _unit(x, axis):
    xp = namespace(x)
    square = xp.sum(xp.square(x), axis=axis, keepdims=True)
    return x / xp.sqrt(xp.maximum(square, config.epsilon() ** 2))


def huber(y_true, y_pred, delta=1.0):
    """Mean over the last axis of e²/2 where |e| <= δ, of δ|e| - δ²/2 beyond, e = y_pred - y_true.

    Args:
        y_true: targets of shape (batch, d0, ..., dn).
        y_pred: predictions of the same shape (a last axis of size 1 may be missing in one).
        delta: δ, where the square turns into a line, in the units of `y_true`.

    Returns an array of shape (batch, d0, ..., dn-1).
    Source: P. J. Huber, Robust estimation of a location parameter, 1964.
    """
    y_true, y_pred = together("huber", y_true, y_pred, same_rank=True)
    xp = namespace(y_true, y_pred)
    error = y_pred - y_true
    size = xp.abs(error)
    line = delta * size - 0.5 * delta**2
    return xp.mean(xp.where(size <= delta, 0.5 * xp.square(error), line), axis=-1)


def log_cosh(y_true, y_pred):
    """mean(log(cosh(y_pred - y_true))) over the last axis: e²/2 for small, |e| - log 2 for large e.

    Args:
        y_true: targets of shape (batch, d0, ..., dn).
        y_pred: predictions of the same shape (a last axis of size 1 may be missing in one).

    Returns an array of shape (batch, d0, ..., dn-1).
    """
    y_true, y_pred = together("log_cosh", y_true, y_pred, same_rank=True)
    xp = namespace(y_true, y_pred)
    error = y_pred - y_true
    return xp.mean(error + xp.logaddexp(-2.0 * error, 0.0 * error) - math.log(2.0), axis=-1)


class MeanSquaredError(StandardLoss):
    """The mean of squared errors; see `mean_squared_error` and `Loss` for the arguments."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(StandardLoss):
    """The mean of absolute errors; see `mean_absolute_error` and `Loss` for the arguments."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None):
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(StandardLoss):
    """The mean of errors in percent of targets; see `mean_absolute_percentage_error`, `Loss`."""

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_absolute_percentage_error", dtype=None
    ):
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(StandardLoss):
    """The mean of squared errors of logarithms; see `mean_squared_logarithmic_error`, `Loss`."""

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_squared_logarithmic_error", dtype=None
    ):
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class CosineSimilarity(StandardLoss):
    """The cosine of the angle to the target, negated; see `cosine_similarity` and `Loss`."""

    def __init__(
        self, axis=-1, reduction="sum_over_batch_size", name="cosine_similarity", dtype=None
    ):
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


class Huber(StandardLoss):
    """Squared for small, linear for large errors; see `huber` and `Loss` for the arguments."""

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(StandardLoss):
    """The logarithm of the error's hyperbolic cosine; see `log_cosh` and `Loss`."""

    def __init__(self, reduction="sum_over_batch_size", name="log_cosh", dtype=None):
        super().__init__(log_cosh, reduction, name, dtype)
