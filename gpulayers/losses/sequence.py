"""Losses of sequences whose labels are not aligned with the steps."""

from __future__ import annotations

from ..arrays import as_array, dtypes, namespace
from ..ops.connectionist import ctc_loss
from .base import StandardLoss


def ctc(y_true, y_pred):
    """-log of the probability of the label sequences, summed over all their alignments.

    Args:
        y_true: labels from 1 to classes - 1, of shape (batch, max_labels), filled up with 0.
        y_pred: logits of shape (batch, steps, classes); class 0 stands for a blank.

    Returns an array of shape (batch,).
    Raises ValueError for arrays of other ranks.
    Source: A. Graves et al., Connectionist temporal classification, ICML 2006.
    """
    y_pred = as_array(y_pred)
    y_true = as_array(y_true, like=y_pred)
    if len(y_true.shape) != 2:
        raise ValueError(
            "ctc: expected labels y_true of shape (batch, max_labels), got the shape "
            f"{tuple(y_true.shape)}."
        )
    if len(y_pred.shape) != 3:
        raise ValueError(
            "ctc: expected logits y_pred of shape (batch, steps, classes), got the shape "
            f"{tuple(y_pred.shape)}."
        )
    if not dtypes.is_integer(y_true):
        y_true = as_array(y_true, "int32")
    xp = namespace(y_true, y_pred)
    labels = xp.sum(xp.astype(y_true != 0, xp.int32), axis=-1, dtype=xp.int32)
    steps = xp.zeros_like(labels) + y_pred.shape[1]
    return ctc_loss(y_true, y_pred, labels, steps, mask_index=0)


ctc.keeps_integers = True


class CTC(StandardLoss):
    """Connectionist temporal classification; see `ctc` and `Loss` for the arguments."""

    def __init__(self, reduction="sum_over_batch_size", name="ctc", dtype=None):
        super().__init__(ctc, reduction, name, dtype)
