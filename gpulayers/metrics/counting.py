"""How often targets and predictions fall together, at many thresholds at once.

A prediction lies in the bucket of its number of thresholds that it is above.  One histogram of the
buckets, kept apart for positive and negative targets, gives the counts at all thresholds as
running totals: the work is that of one pass over the data, however many thresholds there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import config
from ..arrays import as_array, dtypes, namespace
from ..arrays.scatter import scatter_add
from ..losses.base import check_shapes, squeeze_or_expand_to_same_rank

BELOW_ALL = -1e10  # A prediction that is not among the top k.


class Thresholds:
    """Numbers that predictions are compared with.

    Those that lie evenly from 0 to 1 are compared by bucket numbers, as Keras does, so that
    predictions which equal a threshold up to rounding fall on the same side there and here.

    Args:
        values: thresholds in any order.
        padded: whether the first and last stand for just below 0 and just above 1.
    """

    def __init__(self, values, padded: bool = False):
        self.values = [float(value) for value in values]
        self._order = np.argsort(self.values, kind="stable")
        self._sorted = bool((self._order == np.arange(len(self.values))).all())
        self._padded = padded
        self._even = _is_even(self.values)

    def __len__(self):
        return len(self.values)

    def above(self, x):
        """How many thresholds each element of `x` is above, as int64."""
        xp = namespace(x)
        if self._even:
            steps = xp.ceil(xp.clip(x, 0.0, 1.0) * float(len(self) - 1))
            count = xp.astype(steps, xp.int64)
            return xp.maximum(count, xp.ones_like(count)) if self._padded else count
        if len(self) == 1:
            return xp.astype(x > self.values[0], xp.int64)
        limits = as_array([self.values[i] for i in self._order], dtype=dtypes.name(x.dtype), like=x)
        return xp.astype(xp.searchsorted(limits, x, side="left"), xp.int64)

    def in_given_order(self, counts):
        """Counts of sorted thresholds, in the order in which these were given."""
        if self._sorted:
            return counts
        back = as_array(np.argsort(self._order).tolist(), like=counts)
        return namespace(counts).take(counts, back, axis=0)


def _is_even(values) -> bool:
    if len(values) < 3:
        return False
    even = np.arange(len(values)) / (len(values) - 1)
    return bool(np.allclose(values, even, rtol=1e-5, atol=2 * config.epsilon()))


class Counts(NamedTuple):
    """Weights of the four outcomes, each of shape (thresholds,) or (thresholds, labels)."""

    true_positives: object
    false_positives: object
    true_negatives: object
    false_negatives: object


def count(
    who: str,
    y_true,
    y_pred,
    thresholds: Thresholds,
    sample_weight=None,
    *,
    top_k: int | None = None,
    class_id: int | None = None,
    multi_label: bool = False,
    label_weights=None,
    dtype: str | None = None,
) -> Counts:
    """The weights of what is predicted rightly and wrongly at each threshold.

    Args:
        who: the metric's name, for messages.
        y_true: 0 or not, of shape (batch, ...).
        y_pred: numbers of the same shape; above a threshold means positive.
        thresholds: what to compare with.
        sample_weight: of a shape that leads that of `y_pred`.
        top_k: count only the k highest predictions of a row as positive.
        class_id: look at one element of the last axis only.
        multi_label: count each element of the last axis apart.
        label_weights: weights of the elements of the last axis.
        dtype: of the counts; floatx by default.

    Raises ValueError if the shapes do not fit.
    """
    dtype = dtype or config.floatx()
    y_pred = as_array(y_pred, dtype)
    y_true = as_array(y_true, dtype, like=y_pred)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    check_shapes(who, y_true, y_pred, exact=True)
    xp = namespace(y_pred)
    weight = None
    if sample_weight is not None:
        weight = xp.expand_dims(as_array(sample_weight, dtype, like=y_pred), axis=-1)
        _, weight = squeeze_or_expand_to_same_rank(y_true, weight, expand_rank_1=False)
    if top_k is not None:
        y_pred = _only_top(xp, y_pred, top_k)
    if class_id is not None:
        y_true, y_pred = _one_class(who, y_true, y_pred, class_id)
    if label_weights is not None:
        labels = as_array(label_weights, dtype, like=y_pred)
        weight = labels if weight is None else weight * labels
    if weight is None:
        weight = xp.ones_like(y_pred)
    else:
        weight = _spread(xp, who, weight, y_pred)
    if not multi_label:
        y_true, y_pred, weight = (xp.reshape(x, (-1, 1)) for x in (y_true, y_pred, weight))
    outcomes = _outcomes(xp, y_true, thresholds.above(y_pred), weight, len(thresholds))
    outcomes = map(thresholds.in_given_order, outcomes)
    return Counts(*outcomes) if multi_label else Counts(*(x[:, 0] for x in outcomes))


def _outcomes(xp, y_true, above, weight, size):
    """Counts (thresholds, labels) from the buckets (batch, labels) of the predictions."""
    labels = y_true.shape[-1]
    kinds = 2 * xp.arange(labels, dtype=xp.int64) + xp.astype(y_true != 0, xp.int64)
    place = xp.reshape(kinds * (size + 1) + above, (-1,))
    total = 2 * labels * (size + 1)
    histogram = scatter_add(xp.reshape(weight, (-1,)), place, axis=0, size=total)
    histogram = xp.permute_dims(xp.reshape(histogram, (labels, 2, size + 1)), (1, 2, 0))
    up = xp.cumulative_sum(histogram, axis=1)[:, :-1, :]
    down = xp.flip(xp.cumulative_sum(xp.flip(histogram, axis=1), axis=1), axis=1)[:, 1:, :]
    return down[1, ...], down[0, ...], up[0, ...], up[1, ...]


def _only_top(xp, x, k):
    """`x` with all but the k highest of each row (the first among equals) far below 0."""
    order = xp.argsort(x, axis=-1, descending=True, stable=True)
    rank = xp.argsort(order, axis=-1)
    return xp.where(rank < k, x, xp.full_like(x, BELOW_ALL))


def _one_class(who, y_true, y_pred, class_id):
    if y_pred.ndim == 1 or not -y_pred.shape[-1] <= class_id < y_pred.shape[-1]:
        raise ValueError(
            f"{who}: class_id={class_id} needs y_pred of shape (batch, ..., classes) with more "
            f"classes than that, got {tuple(y_pred.shape)}."
        )
    return y_true[..., class_id, None], y_pred[..., class_id, None]


def _spread(xp, who, weight, like):
    try:
        return xp.broadcast_to(weight, like.shape)
    except ValueError:
        raise ValueError(
            f"{who}: sample_weight of shape {tuple(weight.shape)} does not fit y_pred of shape "
            f"{tuple(like.shape)}."
        ) from None
