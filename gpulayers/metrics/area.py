"""The area under a curve that the threshold draws."""

from __future__ import annotations

from .. import config
from ..arrays import as_array, namespace, plain
from ..losses.base import divide_no_nan
from .confusion import NAMES, even_thresholds, parse_thresholds
from .counting import Thresholds, count
from .metric import Metric
from .reduction import add

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATIONS = ("interpolation", "majoring", "minoring")


class AUC(Metric):
    """The area under a curve, from sums over thresholds.

    Args:
        num_thresholds: how many thresholds, evenly from 0 to 1; more are more exact.
        curve: "ROC" (recall over false positive rate), "PR" (precision over recall) or "PRGAIN"
            (the same in gains).
        summation_method: "interpolation" (of the middle; for PR that of Davis and Goadrich),
            "minoring" or "majoring" (the lower or the higher end of each interval).
        name, dtype: of the metric.
        thresholds: a list of one's own, from 0 to 1, instead of `num_thresholds`.
        multi_label: whether each element of the last axis has a curve of its own, whose areas are
            averaged; else all elements are counted together.
        num_labels: size of the last axis, to make the variables at once (with `multi_label`).
        label_weights: a weight for each element of the last axis.
        from_logits: whether predictions are logits, whose sigmoid is taken.

    Raises ValueError for unknown names, no thresholds, or arguments that exclude each other.
    Sources: J. Davis, M. Goadrich, The relationship between precision-recall and ROC curves, 2006;
    P. Flach, M. Kull, Precision-recall-gain curves, 2015.
    """

    _direction = "up"

    def __init__(
        self,
        num_thresholds=200,
        curve="ROC",
        summation_method="interpolation",
        name=None,
        dtype=None,
        thresholds=None,
        multi_label=False,
        num_labels=None,
        label_weights=None,
        from_logits=False,
    ):
        super().__init__(name=name, dtype=dtype)
        self.curve = _choose("curve", curve, CURVES)
        self.summation_method = _choose("summation_method", summation_method, SUMMATIONS)
        self._own_thresholds = thresholds is not None
        if thresholds is not None:
            inner = sorted(parse_thresholds("AUC", list(thresholds), 0.5))
        elif num_thresholds > 1:
            inner = even_thresholds(num_thresholds)[1:-1]
        else:
            raise ValueError(f"AUC: num_thresholds must be above 1, got {num_thresholds}.")
        self.num_thresholds = len(inner) + 2
        self._limits = Thresholds([-config.epsilon(), *inner, 1.0 + config.epsilon()], padded=True)
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights = None if label_weights is None else list(label_weights)
        self.from_logits = from_logits
        self._built = False
        if multi_label and num_labels:
            self._build((self.num_thresholds, num_labels))
        elif not multi_label:
            if num_labels:
                raise ValueError("AUC: num_labels needs multi_label=True.")
            self._build((self.num_thresholds,))

    @property
    def thresholds(self) -> list[float]:
        """All thresholds, the first just below 0 and the last just above 1."""
        return list(self._limits.values)

    def _build(self, shape):
        for name in NAMES:
            setattr(self, name, self.add_variable(shape, name=name))
        self._built = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in targets (0 or not) and predictions of one shape, and weights.

        Raises ValueError if the shapes do not fit.
        """
        y_pred = as_array(y_pred, self.dtype)
        if not self._built:
            if y_pred.ndim != 2:
                raise ValueError(
                    "AUC: multi_label=True needs predictions of shape (batch, labels), got "
                    f"{tuple(y_pred.shape)}."
                )
            self._build((self.num_thresholds, y_pred.shape[1]))
        if self.from_logits:
            from ..ops.activation import sigmoid

            y_pred = sigmoid(y_pred)
        counts = count(
            "AUC",
            y_true,
            y_pred,
            self._limits,
            sample_weight,
            multi_label=self.multi_label,
            label_weights=None if self.multi_label else self.label_weights,
        )
        for name in NAMES:
            add(getattr(self, name), getattr(counts, name))

    def result(self):
        if not self._built:
            raise ValueError("AUC: result() needs at least one update_state().")
        tp, fp, tn, fn = (plain(getattr(self, name)) for name in NAMES)
        xp = namespace(tp)
        if (self.curve, self.summation_method) == ("PR", "interpolation"):
            return self._over_labels(xp, _interpolated(xp, tp, fp, fn))
        if self.curve == "PRGAIN":
            x, y = _gains(xp, tp, fp, tn, fn)
        else:
            recall = divide_no_nan(xp, tp, tp + fn)
            if self.curve == "ROC":
                x, y = divide_no_nan(xp, fp, fp + tn), recall
            else:
                x, y = recall, divide_no_nan(xp, tp, tp + fp)
        left, right = y[:-1, ...], y[1:, ...]
        heights = {
            "interpolation": lambda: (left + right) / 2.0,
            "minoring": lambda: xp.minimum(left, right),
            "majoring": lambda: xp.maximum(left, right),
        }[self.summation_method]()
        return self._over_labels(xp, (x[:-1, ...] - x[1:, ...]) * heights)

    def _over_labels(self, xp, terms):
        """The sum over thresholds, averaged over the labels."""
        areas = xp.sum(terms, axis=0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return xp.mean(areas)
        weights = as_array(self.label_weights, self.dtype, like=areas)
        return divide_no_nan(xp, xp.sum(areas * weights), xp.sum(weights))

    def get_config(self) -> dict:
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        return config | ({"thresholds": self.thresholds[1:-1]} if self._own_thresholds else {})


def _choose(argument, value, known):
    found = {name.lower(): name for name in known}.get(str(value).lower())
    if found is None:
        raise ValueError(f"AUC: {argument} must be one of {', '.join(known)}, got {value!r}.")
    return found


def _interpolated(xp, tp, fp, fn):
    """The areas between thresholds under the precision-recall curve.

    Between two of them the positives found grow in a line with all that is called positive, p:
    tp = slope p + intercept; the integral of tp / p has a logarithm in it.
    """
    p = tp + fp
    tp, tp_next, p, p_next = tp[:-1, ...], tp[1:, ...], p[:-1, ...], p[1:, ...]
    found, zeros, ones = tp - tp_next, xp.zeros_like(tp_next), xp.ones_like(tp_next)
    slope = divide_no_nan(xp, found, xp.maximum(p - p_next, zeros))
    intercept = tp_next - slope * p_next
    both = (p > 0) & (p_next > 0)
    ratio = xp.where(both, p, ones) / xp.where(both, p_next, ones)
    positives = xp.maximum(tp_next + fn[1:, ...], zeros)
    return divide_no_nan(xp, slope * (found + intercept * xp.log(ratio)), positives)


def _gains(xp, tp, fp, tn, fn):
    """Recall gain and precision gain at each threshold."""
    odds = divide_no_nan(xp, tp + fn, tn + fp)
    recall = 1.0 - odds * divide_no_nan(xp, fn, tp)
    precision = 1.0 - odds * divide_no_nan(xp, fp, tp)
    none = tp == 0
    recall = xp.where(none, xp.zeros_like(recall), recall)
    return xp.maximum(recall, xp.zeros_like(recall)), xp.where(
        none, xp.ones_like(precision), precision
    )
