"""Right and wrong positives and negatives, precision and recall."""

from __future__ import annotations

from ..arrays import limits, namespace, plain
from ..losses.base import divide_no_nan
from .counting import BELOW_ALL, Thresholds, count
from .metric import Metric
from .reduction import add

NAMES = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def parse_thresholds(who: str, thresholds, default: float) -> list:
    """A list of thresholds from one, several or None.  Raises ValueError outside of [0, 1]."""
    if thresholds is None:
        return [default]
    values = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    if any(t is None or t < 0 or t > 1 for t in values) or not values:
        raise ValueError(f"{who}: thresholds must be between 0 and 1, got {thresholds}.")
    return values


class Counting(Metric):
    """Base of metrics that keep some of the four counts at one or several thresholds."""

    counted: tuple[str, ...] = NAMES
    top_k: int | None = None
    class_id: int | None = None

    def _count(self, thresholds, padded=False):
        """Make the variables, of one number for each threshold."""
        self.thresholds = thresholds
        self._limits = Thresholds(thresholds, padded)
        for name in self.counted:
            setattr(self, name, self.add_variable((len(thresholds),), name=name))

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in targets (0 or not) and predictions of one shape, and weights."""
        counts = count(
            type(self).__name__,
            y_true,
            y_pred,
            self._limits,
            sample_weight,
            top_k=self.top_k,
            class_id=self.class_id,
        )
        for name in self.counted:
            add(getattr(self, name), getattr(counts, name))

    def _share(self, part: str, other: str):
        """part / (part + other) for each threshold, 0 where both are 0."""
        part, other = plain(getattr(self, part)), plain(getattr(self, other))
        return divide_no_nan(namespace(part), part, part + other)

    def _recalls(self):
        return self._share("true_positives", "false_negatives")

    def _precisions(self):
        return self._share("true_positives", "false_positives")


class _OneCount(Counting):
    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = parse_thresholds(type(self).__name__, thresholds, 0.5)
        self._limits = Thresholds(self.thresholds)
        self.accumulator = self.add_variable((len(self.thresholds),), name="accumulator")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in targets (0 or not) and predictions of one shape, and weights."""
        counts = count(type(self).__name__, y_true, y_pred, self._limits, sample_weight)
        add(self.accumulator, getattr(counts, self.counted[0]))

    def result(self):
        total = plain(self.accumulator)
        return total[0] if len(self.thresholds) == 1 else total

    def get_config(self) -> dict:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_OneCount):
    """The weight of positive targets that are predicted as such.

    Args:
        thresholds: above which a prediction is positive: one, or a list, from 0 to 1; 0.5 by
            default. A list gives an array of results.
        name, dtype: of the metric.

    Raises ValueError for thresholds outside of [0, 1].
    """

    counted = ("true_positives",)


class TrueNegatives(_OneCount):
    """The weight of negative targets that are predicted as such.  Arguments: `TruePositives`."""

    counted = ("true_negatives",)


class FalsePositives(_OneCount):
    """The weight of negative targets predicted as positive.  Arguments: `TruePositives`."""

    counted = ("false_positives",)


class FalseNegatives(_OneCount):
    """The weight of positive targets predicted as negative.  Arguments: `TruePositives`."""

    counted = ("false_negatives",)


class _Quotient(Counting):
    _direction = "up"

    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        default = 0.5 if top_k is None else BELOW_ALL
        self._count(parse_thresholds(type(self).__name__, thresholds, default))

    def result(self):
        shares = self._share(*self.counted)
        return shares[0] if len(self.thresholds) == 1 else shares

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


class Precision(_Quotient):
    """What share of positive predictions is right: TP / (TP + FP), or 0 without any.

    Args:
        thresholds: above which a prediction is positive: one, or a list, from 0 to 1. 0.5 by
            default; with `top_k`, no threshold.
        top_k: count only the k highest predictions of a row as positive.
        class_id: look at this element of the last axis only.
        name, dtype: of the metric.

    Raises ValueError for thresholds outside of [0, 1].
    """

    counted = ("true_positives", "false_positives")


class Recall(_Quotient):
    """What share of positive targets is found: TP / (TP + FN), or 0 without any.

    Args:
        thresholds: above which a prediction is positive: one, or a list, from 0 to 1. 0.5 by
            default; with `top_k`, no threshold.
        top_k: count only the k highest predictions of a row as positive.
        class_id: look at this element of the last axis only.
        name, dtype: of the metric.

    Raises ValueError for thresholds outside of [0, 1].
    """

    counted = ("true_positives", "false_negatives")


class _BestAt(Counting):
    """The best of one share among the thresholds at which another is large enough."""

    _direction = "up"
    wanted: str  # The argument: what share has to be reached.

    def __init__(self, value, num_thresholds=200, class_id=None, name=None, dtype=None):
        who = type(self).__name__
        if not 0 <= value <= 1:
            raise ValueError(f"{who}: {self.wanted} must be between 0 and 1, got {value}.")
        if num_thresholds <= 0:
            raise ValueError(f"{who}: num_thresholds must be positive, got {num_thresholds}.")
        super().__init__(name=name, dtype=dtype)
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        setattr(self, self.wanted, value)
        self._count(even_thresholds(num_thresholds))

    def _specificities(self):
        return self._share("true_negatives", "false_positives")

    def _best(self, shares, among):
        xp = namespace(shares)
        return xp.max(xp.where(among >= self.value, shares, xp.zeros_like(shares)))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "class_id": self.class_id,
            "num_thresholds": self.num_thresholds,
            self.wanted: self.value,
        }


def even_thresholds(number: int) -> list[float]:
    """0, 1 and what lies evenly between; 0.5 for one."""
    limits.spend("num_thresholds", (number,))
    return [0.5] if number == 1 else [i / (number - 1) for i in range(number)]


class SensitivityAtSpecificity(_BestAt):
    """The best sensitivity TP / (TP + FN) where the specificity TN / (TN + FP) is large enough.

    Args:
        specificity: to be reached, from 0 to 1.
        num_thresholds: how many thresholds, evenly from 0 to 1, are tried.
        class_id: look at this element of the last axis only.
        name, dtype: of the metric.

    Raises ValueError for a specificity outside of [0, 1] or no thresholds.
    """

    wanted = "specificity"

    def __init__(self, specificity, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def result(self):
        return self._best(self._recalls(), among=self._specificities())


class SpecificityAtSensitivity(_BestAt):
    """The best specificity TN / (TN + FP) where the sensitivity TP / (TP + FN) is large enough.

    Args:
        sensitivity: to be reached, from 0 to 1.
        num_thresholds: how many thresholds, evenly from 0 to 1, are tried.
        class_id: look at this element of the last axis only.
        name, dtype: of the metric.

    Raises ValueError for a sensitivity outside of [0, 1] or no thresholds.
    """

    wanted = "sensitivity"

    def __init__(self, sensitivity, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def result(self):
        return self._best(self._specificities(), among=self._recalls())


class PrecisionAtRecall(_BestAt):
    """The best precision TP / (TP + FP) where the recall TP / (TP + FN) is large enough.

    Args:
        recall: to be reached, from 0 to 1.
        num_thresholds: how many thresholds, evenly from 0 to 1, are tried.
        class_id: look at this element of the last axis only.
        name, dtype: of the metric.

    Raises ValueError for a recall outside of [0, 1] or no thresholds.
    """

    wanted = "recall"

    def __init__(self, recall, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def result(self):
        return self._best(self._precisions(), among=self._recalls())


class RecallAtPrecision(_BestAt):
    """The best recall TP / (TP + FN) where the precision TP / (TP + FP) is large enough.

    Args:
        precision: to be reached, from 0 to 1.
        num_thresholds: how many thresholds, evenly from 0 to 1, are tried.
        class_id: look at this element of the last axis only.
        name, dtype: of the metric.

    Raises ValueError for a precision outside of [0, 1] or no thresholds.
    """

    wanted = "precision"

    def __init__(self, precision, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def result(self):
        return self._best(self._recalls(), among=self._precisions())
