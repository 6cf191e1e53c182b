"""From what `compile(loss=...)` is given to a loss."""

from __future__ import annotations

from .base import Loss, LossFunctionWrapper
from .probabilistic import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)


def kind_of_targets(y_true_shape, y_pred_shape) -> str:
    """How targets tell classes: "binary", "sparse" (by their numbers) or "categorical" (one-hot).

    One prediction in the last axis is binary; a target of lower rank, or of one number where the
    prediction has several, is sparse.
    """
    true, pred = tuple(y_true_shape), tuple(y_pred_shape)
    if pred and pred[-1] == 1:
        return "binary"
    if len(true) < len(pred) or (true and true[-1] == 1):
        return "sparse"
    return "categorical"


def resolve(identifier, y_true_shape, y_pred_shape) -> Loss | None:
    """The loss that `identifier` names, for targets and predictions of these shapes.

    Args:
        identifier: what `get` takes; besides "crossentropy" or "ce", which becomes the binary,
            the categorical or the sparse categorical one. None gives None.
        y_true_shape, y_pred_shape: whole shapes; sizes may be None.
    """
    from . import get

    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        loss = {
            "binary": binary_crossentropy,
            "sparse": sparse_categorical_crossentropy,
            "categorical": categorical_crossentropy,
        }[kind_of_targets(y_true_shape, y_pred_shape)]
    else:
        loss = get(identifier)
    if loss is None or isinstance(loss, Loss):
        return loss
    name = identifier if isinstance(identifier, str) else _name(loss)
    return LossFunctionWrapper(loss, name=name)


def _name(loss) -> str:
    return getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__)
