"""From what `compile(metrics=...)` is given to a metric."""

from __future__ import annotations

from ..losses.resolving import kind_of_targets
from .accuracy import BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy
from .metric import Metric
from .probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from .reduction import MeanMetricWrapper

_ACCURACY = {
    "binary": BinaryAccuracy,
    "sparse": SparseCategoricalAccuracy,
    "categorical": CategoricalAccuracy,
}
_CROSSENTROPY = {
    "binary": BinaryCrossentropy,
    "sparse": SparseCategoricalCrossentropy,
    "categorical": CategoricalCrossentropy,
}
_BY_SHAPE = {
    "accuracy": _ACCURACY,
    "acc": _ACCURACY,
    "crossentropy": _CROSSENTROPY,
    "ce": _CROSSENTROPY,
}


def resolve(identifier, y_true_shape, y_pred_shape) -> Metric:
    """The metric that `identifier` names, for targets and predictions of these shapes.

    Args:
        identifier: what `get` takes; besides "accuracy" or "acc" and "crossentropy" or "ce", which
            become the binary, the categorical or the sparse categorical one. A string becomes the
            metric's name, a function is averaged.
        y_true_shape, y_pred_shape: whole shapes; sizes may be None.

    Raises ValueError for None and unknown names.
    """
    from . import get

    if identifier is None:
        raise ValueError("metrics: expected a metric, got None.")
    if not isinstance(identifier, str):
        metric = get(identifier)
        if isinstance(metric, Metric):
            return metric
        name = getattr(metric, "name", None) or getattr(metric, "__name__", type(metric).__name__)
        return MeanMetricWrapper(metric, name=name)
    kinds = _BY_SHAPE.get(identifier.lower())
    if kinds is not None:
        return kinds[kind_of_targets(y_true_shape, y_pred_shape)](name=identifier)
    metric = get(identifier)
    if not isinstance(metric, Metric):
        return MeanMetricWrapper(metric, name=identifier)
    metric.name = identifier
    return metric
