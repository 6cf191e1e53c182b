"""Means of precision and recall."""

from __future__ import annotations

from .. import config
from ..arrays import as_array, namespace, plain
from ..losses.base import check_shapes
from .metric import Metric
from .reduction import add


class FBetaScore(Metric):
    """(1 + β²) precision recall / (β² precision + recall), each class against the rest.

    Args:
        average: None for one score per class; "micro" counts all classes together; "macro" is the
            mean of the classes' scores; "weighted" weighs them by their number of targets.
        beta: β > 0, a float: how much more recall matters than precision.
        threshold: above which a prediction is positive, a float in (0, 1]; None takes the highest
            one of each row (unless it is 0).
        name, dtype: of the metric.

    Raises ValueError for other values.
    """

    _direction = "up"

    def __init__(self, average=None, beta=1.0, threshold=None, name="fbeta_score", dtype=None):
        super().__init__(name=name, dtype=dtype)
        who = type(self).__name__
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"{who}: average must be None, 'micro', 'macro' or 'weighted', got {average!r}."
            )
        if not isinstance(beta, float) or beta <= 0.0:
            raise ValueError(f"{who}: beta must be a float above 0, got {beta!r}.")
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            raise ValueError(f"{who}: threshold must be a float in (0, 1], got {threshold!r}.")
        self.average, self.beta, self.threshold = average, beta, threshold
        self._built = False

    def _build(self, classes):
        shape = () if self.average == "micro" else (classes,)
        for name in ("true_positives", "false_positives", "false_negatives"):
            setattr(self, name, self.add_variable(shape, dtype=self.dtype, name=name))
        name = "intermediate_weights"
        self.intermediate_weights = self.add_variable(shape, dtype=self.dtype, name=name)
        self._built = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in 0 or 1 and predictions of shape (batch, classes), and weights of shape (batch,).

        Raises ValueError for other shapes.
        """
        y_pred = as_array(y_pred, self.dtype)
        y_true = as_array(y_true, self.dtype, like=y_pred)
        if y_true.ndim != 2 or y_pred.ndim != 2:
            raise ValueError(
                f"{type(self).__name__}: expected targets and predictions of shape (batch, "
                f"classes), got {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        check_shapes(type(self).__name__, y_true, y_pred, exact=True)
        if not self._built:
            self._build(y_pred.shape[-1])
        xp = namespace(y_pred)
        if self.threshold is None:
            top = xp.max(y_pred, axis=-1, keepdims=True)
            positive = (y_pred >= top) & (xp.abs(y_pred) > 1e-9)
        else:
            positive = y_pred > self.threshold
        found = xp.astype(positive, y_true.dtype)
        weight = 1.0
        if sample_weight is not None:
            weight = as_array(sample_weight, self.dtype, like=y_pred)
            weight = xp.expand_dims(weight, axis=1) if weight.ndim == 1 else weight
        axis = None if self.average == "micro" else 0
        add(self.true_positives, xp.sum(found * y_true * weight, axis=axis))
        add(self.false_positives, xp.sum(found * (1.0 - y_true) * weight, axis=axis))
        add(self.false_negatives, xp.sum((1.0 - found) * y_true * weight, axis=axis))
        add(self.intermediate_weights, xp.sum(y_true * weight, axis=axis))

    def result(self):
        if not self._built:
            raise ValueError(f"{type(self).__name__}: result() needs at least one update_state().")
        tp, small = plain(self.true_positives), config.epsilon()
        xp = namespace(tp)
        precision = tp / (tp + plain(self.false_positives) + small)
        recall = tp / (tp + plain(self.false_negatives) + small)
        squared = self.beta**2
        scores = precision * recall / (squared * precision + recall + small) * (1 + squared)
        if self.average == "weighted":
            weights = plain(self.intermediate_weights)
            return xp.sum(scores * (weights / (xp.sum(weights) + small)))
        return scores if self.average is None else xp.mean(scores)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: `FBetaScore` with β = 1.

    Args:
        average: None for one score per class; "micro" counts all classes together; "macro" is the
            mean of the classes' scores; "weighted" weighs them by their number of targets.
        threshold: above which a prediction is positive, a float in (0, 1]; None takes the highest
            one of each row (unless it is 0).
        name, dtype: of the metric.

    Raises ValueError for other values.
    """

    def __init__(self, average=None, threshold=None, name="f1_score", dtype=None):
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)

    def get_config(self) -> dict:
        config = super().get_config()
        del config["beta"]
        return config
