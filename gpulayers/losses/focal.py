"""Crossentropies that care less about what is already well predicted, or about wrong labels."""

from __future__ import annotations

import numpy as np

from .. import config
from ..arrays import as_array, namespace, plain
from ..ops import cross_entropy
from ..ops.activation import sigmoid
from ..ops.softmax import softmax
from .base import StandardLoss, check_shapes, together
from .probabilistic import class_numbers, classes_together


def binary_focal_crossentropy(
    y_true,
    y_pred,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    """Mean over `axis` of (1 - q)^γ times the binary crossentropy, q = p for a 1, 1 - p for a 0.

    Args:
        y_true: 0 or 1, of shape (batch, d0, ..., dn).
        y_pred: p of the same shape, or logits of it.
        apply_class_balancing: whether 1s weigh α and 0s weigh 1 - α.
        alpha: α, the weight of 1s.
        gamma: γ; 0 gives the binary crossentropy.
        from_logits: whether `y_pred` holds logits: any numbers, whose sigmoid is p.
        label_smoothing: s in [0, 1]; targets become y_true (1 - s) + s / 2.
        axis: over which the mean is taken.

    Returns an array of that shape without `axis`.
    Source: T.-Y. Lin et al., Focal loss for dense object detection, arXiv:1708.02002.
    """
    who = "binary_focal_crossentropy"
    y_true, y_pred = together(who, y_true, y_pred)
    check_shapes(who, y_true, y_pred, exact=True)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        y_pred = sigmoid(y_pred)
    losses = cross_entropy.binary_crossentropy(y_true, y_pred, from_logits=False)
    given = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    losses = (1.0 - given) ** gamma * losses
    if apply_class_balancing:
        losses = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * losses
    return namespace(losses).mean(losses, axis=axis)


def categorical_focal_crossentropy(
    y_true, y_pred, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1
):
    """-Σ α (1 - p)^γ y_true log(p) over `axis`.

    Args:
        y_true: one-hot targets of shape (batch, d0, ..., classes).
        y_pred: predicted probabilities of the same shape, or logits of them.
        alpha: α, the weight of all classes, or a list of one for each.
        gamma: γ; 0 gives α times the categorical crossentropy.
        from_logits: whether `y_pred` holds logits: any numbers, whose softmax is p.
        label_smoothing: s in [0, 1]; targets become y_true (1 - s) + s / classes.
        axis: where the classes lie.

    Returns an array of that shape without `axis`.
    Source: T.-Y. Lin et al., Focal loss for dense object detection, arXiv:1708.02002.
    """
    y_true, y_pred = classes_together(
        "categorical_focal_crossentropy", y_true, y_pred, label_smoothing, axis
    )
    xp = namespace(y_true, y_pred)
    if from_logits:
        y_pred = softmax(y_pred, axis=axis)
    share = y_pred / xp.sum(y_pred, axis=axis, keepdims=True)
    share = xp.clip(share, config.epsilon(), 1.0 - config.epsilon())
    if not isinstance(alpha, (int, float)):
        alpha = xp.astype(as_array(alpha, like=y_pred), y_pred.dtype)
    return xp.sum((1.0 - share) ** gamma * alpha * -y_true * xp.log(share), axis=axis)


def categorical_generalized_cross_entropy(y_true, y_pred, q):
    """(1 - p^q) / q, p the probability of the true class.

    Between the crossentropy (q towards 0) and the absolute error (q = 1), which bears wrong labels.

    Args:
        y_true: class numbers from 0 to classes - 1, of shape (batch, d0, ...).
        y_pred: predicted probabilities of shape (batch, d0, ..., classes).
        q: between 0 and 1.

    Returns an array of the shape of `y_true`.
    Raises ValueError if class numbers (in host memory) are out of range.
    Source: Z. Zhang, M. R. Sabuncu, Generalized cross entropy loss, arXiv:1805.07836.
    """
    who = "categorical_generalized_cross_entropy"
    y_true, y_pred = class_numbers(who, y_true, y_pred, axis=-1)
    _check_classes(who, y_true, y_pred.shape[-1])
    xp = namespace(y_true, y_pred)
    given = xp.take_along_axis(y_pred, xp.expand_dims(y_true, axis=-1), axis=-1)
    return (1.0 - xp.squeeze(given, axis=-1) ** q) / q


categorical_generalized_cross_entropy.keeps_integers = True


def _check_classes(who: str, y_true, classes: int | None) -> None:
    """Raise ValueError if class numbers in host memory are not all from 0 to classes - 1."""
    y_true = plain(y_true)
    if type(y_true) is not np.ndarray or y_true.size == 0 or classes is None:
        return  # On a device, looking would stop everything until the device is done.
    if y_true.view(f"u{y_true.itemsize}").max() >= classes:  # Negative ones become huge.
        raise ValueError(
            f"{who}: expected class numbers from 0 to {classes - 1} in y_true, as y_pred has "
            f"{classes} classes; got numbers from {y_true.min()} to {y_true.max()}."
        )


class BinaryFocalCrossentropy(StandardLoss):
    """The binary crossentropy with its eye on hard samples; see `binary_focal_crossentropy`."""

    in_config = (
        "from_logits",
        "label_smoothing",
        "axis",
        "apply_class_balancing",
        "alpha",
        "gamma",
    )

    def __init__(
        self,
        apply_class_balancing=False,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_focal_crossentropy",
        dtype=None,
    ):
        super().__init__(
            binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalFocalCrossentropy(StandardLoss):
    """The crossentropy with its eye on hard samples; see `categorical_focal_crossentropy`."""

    in_config = ("from_logits", "label_smoothing", "axis", "alpha", "gamma")

    def __init__(
        self,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_focal_crossentropy",
        dtype=None,
    ):
        super().__init__(
            categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalGeneralizedCrossEntropy(StandardLoss):
    """A crossentropy that bears wrong labels; see `categorical_generalized_cross_entropy`.

    Raises ValueError if q is not between 0 and 1.
    """

    in_config = ("q",)

    def __init__(
        self,
        q=0.5,
        reduction="sum_over_batch_size",
        name="categorical_generalized_cross_entropy",
        dtype=None,
    ):
        if not 0 < q < 1:
            raise ValueError(
                f"CategoricalGeneralizedCrossEntropy: q must be between 0 and 1, got {q}."
            )
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
