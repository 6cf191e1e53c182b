"""Losses of embeddings: vectors of one class are to lie close together, others apart."""

from __future__ import annotations

from ..arrays import as_array, dtypes, lift, namespace, set_mask, stop_gradient
from .base import StandardLoss


def circle(
    y_true,
    y_pred,
    ref_labels=None,
    ref_embeddings=None,
    remove_diagonal=True,
    gamma=80,
    margin=0.4,
):
    """The circle loss: log(1 + Σ exp(γ aₙ (s - m)) Σ exp(-γ aₚ (s - 1 + m))) over pairs of rows.

    s is a pair's cosine similarity; aₚ = max(1 + m - s, 0) weighs pairs of one class, and
    aₙ = max(s + m, 0) those of two.

    Args:
        y_true: class numbers of shape (batch,) or (batch, 1).
        y_pred: embeddings of length 1, of shape (batch, features).
        ref_labels: class numbers of what to compare with, of shape (references,); `y_true` itself
            by default.
        ref_embeddings: embeddings of shape (references, features); `y_pred` itself by default.
        remove_diagonal: whether row i is not compared with reference i.
        gamma: γ, how steep the loss is.
        margin: m, from 0 to 1.

    Returns an array of shape (batch,), with a mask of where the loss is above 0.
    Source: Y. Sun et al., Circle loss, arXiv:2002.10857.
    """
    y_pred = as_array(y_pred)
    y_true = as_array(y_true, like=y_pred)
    if not dtypes.is_integer(y_true):
        y_true = as_array(y_true, "int32")
    others = y_pred if ref_embeddings is None else as_array(ref_embeddings, like=y_pred)
    labels = y_true if ref_labels is None else as_array(ref_labels, y_true.dtype, like=y_pred)
    if tuple(y_true.shape) not in ((y_pred.shape[0],), (y_pred.shape[0], 1)):
        raise ValueError(
            f"circle: expected one class number for each row of y_pred, shape "
            f"({y_pred.shape[0]},), got y_true of shape {tuple(y_true.shape)}."
        )
    y_true, labels = lift(y_true), lift(labels)
    xp = namespace(y_pred, others)
    same = xp.reshape(y_true, (-1, 1)) == xp.reshape(labels, (1, -1))
    different = ~same
    if remove_diagonal:
        rows, columns = same.shape
        same = same & (xp.reshape(xp.arange(rows), (-1, 1)) != xp.arange(columns))
    distance = xp.maximum(1.0 - xp.matmul(y_pred, xp.matrix_transpose(others)), 0.0)
    attract = gamma * xp.maximum(margin + distance, 0.0) * (distance - margin)
    repel = gamma * xp.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    total = _log_sum_exp(xp, attract, same) + _log_sum_exp(xp, repel, different)
    loss = xp.logaddexp(total, 0.0 * total)
    set_mask(loss, loss > 0)
    return loss


def _log_sum_exp(xp, x, where):
    """log(Σ exp(x)) of each row, over the elements that `where` marks; far below 0 for none."""
    x = xp.where(where, x, xp.full_like(x, float(xp.finfo(x.dtype).min) / 8))
    top = stop_gradient(xp.max(x, axis=1, keepdims=True))
    return xp.log(xp.sum(xp.exp(x - top), axis=1)) + xp.squeeze(top, axis=1)


circle.keeps_integers = True


class Circle(StandardLoss):
    """The circle loss of a batch of embeddings among themselves; see `circle` and `Loss`."""

    in_config = ("gamma", "margin", "remove_diagonal")

    def __init__(
        self,
        gamma=80.0,
        margin=0.4,
        remove_diagonal=True,
        reduction="sum_over_batch_size",
        name="circle",
        dtype=None,
    ):
        super().__init__(
            circle,
            reduction,
            name,
            dtype,
            gamma=gamma,
            margin=margin,
            remove_diagonal=remove_diagonal,
        )
