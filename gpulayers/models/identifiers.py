"""Losses and metrics from what `compile` is given: names, functions, configs, objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import registry
from ..losses import Loss, LossFunctionWrapper
from ..metrics import (
    BinaryAccuracy,
    CategoricalAccuracy,
    MeanMetricWrapper,
    Metric,
    SparseCategoricalAccuracy,
)

_ACCURACIES = {
    "binary": BinaryAccuracy,
    "categorical": CategoricalAccuracy,
    "sparse_categorical": SparseCategoricalAccuracy,
}


def get_loss(identifier) -> Loss | str:
    """A Loss; or the name itself for "crossentropy" and "ce", which need to know the shapes.

    Raises ValueError for an unknown name, TypeError for something that is no loss.
    """
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        return identifier
    found = registry.get("losses", identifier)
    if isinstance(found, Loss):
        return found
    if not callable(found):
        raise TypeError(
            "expected the name of a loss, a function of (y_true, y_pred) or a Loss, got "
            f"{type(identifier).__name__}."
        )
    name = identifier if isinstance(identifier, str) else object_name(found)
    return LossFunctionWrapper(found, name=name)


def get_metric(identifier) -> Metric | str:
    """A Metric; or the name itself for "accuracy" and "acc", which need to know the shapes.

    Raises ValueError for an unknown name, TypeError for something that is no metric.
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        return identifier
    found = registry.get("metrics", identifier)
    if not isinstance(found, Metric):
        if not callable(found):
            raise TypeError(
                "expected the name of a metric, a function of (y_true, y_pred) or a Metric, got "
                f"{type(identifier).__name__}."
            )
        found = MeanMetricWrapper(found, name=object_name(found))
    if isinstance(identifier, str):
        found.name = identifier
    return found


def crossentropy(name: str, y_true, y_pred) -> Loss:
    """The cross-entropy that fits targets and predictions of these shapes."""
    function = registry.get("losses", f"{task_of(y_true, y_pred)}_crossentropy")
    return function if isinstance(function, Loss) else LossFunctionWrapper(function, name=name)


def accuracy(name: str, y_true, y_pred) -> Metric:
    """The accuracy that fits targets and predictions of these shapes."""
    return _ACCURACIES[task_of(y_true, y_pred)](name=name)


def task_of(y_true, y_pred) -> str:
    """What the shapes tell: "binary", "sparse_categorical" or "categorical"."""
    if y_pred.shape[-1] == 1:
        return "binary"
    sparse = len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1
    return "sparse_categorical" if sparse else "categorical"


def object_name(thing) -> str:
    """The name of an object, or of a function or class in snake_case."""
    name = getattr(thing, "name", None)
    if isinstance(name, str):
        return name
    return registry.to_snake_case(getattr(thing, "__name__", None) or type(thing).__name__)


def resolve(argument: str, get: Callable, given: Any) -> Any:
    """`get` of every identifier in a nested structure; None stays None.

    The dict of a serialized object is one identifier.  Errors name `argument`.
    """
    if isinstance(given, dict) and not {"class_name", "config"} <= set(given):
        return {key: resolve(argument, get, part) for key, part in given.items()}
    if isinstance(given, (list, tuple)):
        parts = [resolve(argument, get, part) for part in given]
        return type(given)(*parts) if hasattr(given, "_fields") else type(given)(parts)
    if given is None:
        return None
    try:
        return get(given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"compile: {argument}: {error}") from error
