"""Whether predictions are right: 1 where they are, else 0.  What the accuracies count."""

from __future__ import annotations

from ..arrays import dtypes, namespace, primitive

__all__: list[str] = []


def _without_gradient(op):
    op.vjp(lambda xp, out, *arrays, **options: (None,) * len(arrays))
    return op


@_without_gradient
@primitive
def equal_in_dtype(y_pred, y_true, *, dtype):
    """Whether y_true, in the dtype of y_pred, equals it."""
    xp = namespace(y_pred, y_true)
    return _numbers(xp, xp.astype(y_true, y_pred.dtype) == y_pred, dtype)


@_without_gradient
@primitive
def on_its_side(y_pred, y_true, *, threshold, dtype):
    """Whether y_true (0 or 1) equals y_pred > threshold."""
    xp = namespace(y_pred, y_true)
    return _numbers(xp, xp.astype(y_pred > threshold, y_true.dtype) == y_true, dtype)


@_without_gradient
@primitive
def highest_is(scores, classes, *, dtype):
    """Whether the (first) highest of the scores (..., C) is that of the class number (...)."""
    xp = namespace(scores, classes)
    found = xp.argmax(scores, axis=-1)
    if dtypes.is_floating(classes):
        found = xp.astype(found, classes.dtype)
    elif classes.dtype != found.dtype:
        classes = xp.astype(classes, found.dtype)
    return _numbers(xp, classes == found, dtype)


@_without_gradient
@primitive
def highest_alike(scores, targets, *, dtype):
    """Whether the (first) highest of scores and targets (..., C) stand at the same place."""
    xp = namespace(scores, targets)
    return _numbers(xp, xp.argmax(targets, axis=-1) == xp.argmax(scores, axis=-1), dtype)


@_without_gradient
@primitive
def among_highest(scores, classes, *, k, dtype):
    """Whether fewer than k scores are above that of the class (a NaN is above none).

    Args:
        scores: (..., C).
        classes: (...), numbers; one outside of 0 ... C - 1 is never among the highest.
    """
    xp = namespace(scores, classes)
    classes, count = xp.astype(classes, xp.int64), scores.shape[-1]
    known = (classes >= 0) & (classes < count)
    at = xp.expand_dims(xp.clip(classes, 0, count - 1), axis=-1)
    own = xp.take_along_axis(scores, at, axis=-1)
    if dtypes.is_floating(own):
        own = xp.where(xp.isnan(own), xp.full_like(own, -float("inf")), own)
    above = xp.count_nonzero(scores > own, axis=-1)
    return _numbers(xp, (above < k) & known, dtype)


def _numbers(xp, x, dtype):
    return xp.astype(x, dtypes.of(xp, dtype))
