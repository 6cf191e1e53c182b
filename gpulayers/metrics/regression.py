"""How far predictions are from measured values."""

from __future__ import annotations

import math
import warnings

from .. import losses
from ..arrays import as_array, namespace, plain
from ..losses.base import squeeze_or_expand_to_same_rank, together
from ..losses.regression import cosine
from .metric import Metric
from .reduction import Mean, StandardMetric, add


class MeanSquaredError(StandardMetric):
    """The mean of squared errors; see `mean_squared_error`."""

    _direction = "down"

    def __init__(self, name="mean_squared_error", dtype=None):
        super().__init__(losses.mean_squared_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The root of the mean of squared errors."""

    _direction = "down"

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in targets and predictions of one shape, and weights of a shape that leads it."""
        y_pred = as_array(y_pred, self.dtype)
        y_true = as_array(y_true, self.dtype, like=y_pred)
        y_true, y_pred = together("root_mean_squared_error", y_true, y_pred, same_rank=True)
        self._accumulate(namespace(y_pred).square(y_pred - y_true), sample_weight)

    def result(self):
        mean = super().result()
        return namespace(mean).sqrt(mean)


class MeanAbsoluteError(StandardMetric):
    """The mean of absolute errors; see `mean_absolute_error`."""

    _direction = "down"

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(StandardMetric):
    """The mean of errors in percent of the targets; see `mean_absolute_percentage_error`."""

    _direction = "down"

    def __init__(self, name="mean_absolute_percentage_error", dtype=None):
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(StandardMetric):
    """The mean of squared errors of logarithms; see `mean_squared_logarithmic_error`."""

    _direction = "down"

    def __init__(self, name="mean_squared_logarithmic_error", dtype=None):
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(StandardMetric):
    """The mean logarithm of the error's hyperbolic cosine; see `log_cosh`."""

    _direction = "down"

    def __init__(self, name="logcosh", dtype=None):
        super().__init__(losses.log_cosh, name, dtype)


def cosine_similarity(y_true, y_pred, axis=-1):
    """The cosine of the angle between target and prediction: 1 for the same direction.

    Args:
        y_true: targets of shape (batch, d0, ..., dn).
        y_pred: predictions of the same shape (a last axis of size 1 may be missing in one).
        axis: along which the vectors lie.
    """
    y_true, y_pred = together("cosine_similarity", y_true, y_pred, same_rank=True)
    return cosine(y_true, y_pred, axis)


class CosineSimilarity(StandardMetric):
    """The mean cosine of the angle between targets and predictions along `axis`."""

    _direction = "up"

    def __init__(self, name="cosine_similarity", dtype=None, axis=-1):
        super().__init__(cosine_similarity, name, dtype, axis=axis)


class R2Score(Metric):
    """The coefficient of determination: 1 - Σ (y_true - y_pred)² / Σ (y_true - mean(y_true))².

    1 is the best value, 0 that of always predicting the mean; worse predictions are below 0.

    Args:
        class_aggregation: how the outputs' scores become one: "uniform_average",
            "variance_weighted_average", or None for one score per output.
        num_regressors: p > 0 gives the adjusted score 1 - (1 - R²)(n - 1)/(n - p - 1).
        name, dtype: of the metric.

    Raises ValueError for an unknown aggregation or a negative number.
    Source: https://en.wikipedia.org/wiki/Coefficient_of_determination; n counts all elements of
    the targets, as in Keras.
    """

    _direction = "up"

    def __init__(
        self, class_aggregation="uniform_average", num_regressors=0, name="r2_score", dtype=None
    ):
        super().__init__(name=name, dtype=dtype)
        known = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in known:
            raise ValueError(
                f"R2Score: class_aggregation must be one of {known}, got {class_aggregation!r}."
            )
        if num_regressors < 0:
            raise ValueError(f"R2Score: num_regressors must be at least 0, got {num_regressors}.")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable((), name="num_samples")
        self._built = False

    def _build(self, y_true, y_pred):
        if y_true.ndim != 2 or y_pred.ndim != 2:
            raise ValueError(
                "R2Score: expected targets and predictions of shape (batch, outputs), got "
                f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        shape = (y_pred.shape[-1],)
        self.squared_sum = self.add_variable(shape, name="squared_sum")
        self.sum = self.add_variable(shape, name="sum")
        self.total_mse = self.add_variable(shape, name="residual")
        self.count = self.add_variable(shape, name="count")
        self._built = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in arrays of shape (batch, outputs), and weights of shape (batch,) or the same."""
        y_pred = as_array(y_pred, self.dtype)
        y_true = as_array(y_true, self.dtype, like=y_pred)
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        if not self._built:
            self._build(y_true, y_pred)
        y_true, y_pred = together("R2Score", y_true, y_pred)
        xp = namespace(y_true)
        weight = as_array(1 if sample_weight is None else sample_weight, self.dtype, like=y_true)
        if weight.ndim == 1:
            weight = xp.expand_dims(weight, axis=1)
        weight = xp.broadcast_to(weight, y_true.shape)
        add(self.sum, xp.sum(y_true * weight, axis=0))
        add(self.squared_sum, xp.sum(y_true * y_true * weight, axis=0))
        add(self.total_mse, xp.sum(xp.square(y_true - y_pred) * weight, axis=0))
        add(self.count, xp.sum(weight, axis=0))
        add(self.num_samples, math.prod(y_true.shape))

    def result(self):
        if not self._built:
            raise ValueError("R2Score: result() needs at least one update_state().")
        total_mse, sums = plain(self.total_mse), plain(self.sum)
        xp = namespace(total_mse)
        variation = plain(self.squared_sum) - sums * (sums / plain(self.count))
        constant = variation == 0  # Scores of constant targets: NaN if exactly met, else 0.
        scores = 1 - total_mse / xp.where(constant, xp.ones_like(variation), variation)
        met = xp.where(total_mse == 0, xp.full_like(scores, float("nan")), xp.zeros_like(scores))
        scores = xp.where(constant, met, scores)
        if self.class_aggregation == "uniform_average":
            scores = xp.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = xp.sum(variation * scores) / xp.sum(variation)
        return self._adjusted(scores) if self.num_regressors else scores

    def _adjusted(self, score):
        n, p = float(self.num_samples), self.num_regressors
        if p >= n - 1:
            warnings.warn(
                f"R2Score: {p} regressors are too many for {n:.0f} samples; this is the score "
                "without adjustment.",
                stacklevel=3,
            )
            return score
        return 1 - (1 - score) * ((n - 1) / (n - p - 1))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
