"""Means of the losses of probabilities."""

from __future__ import annotations

from .. import losses
from .reduction import StandardMetric


class KLDivergence(StandardMetric):
    """The mean Kullback-Leibler divergence; see `kl_divergence`."""

    _direction = "down"

    def __init__(self, name="kl_divergence", dtype=None):
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(StandardMetric):
    """The mean negative log-likelihood of counts; see `poisson`."""

    _direction = "down"

    def __init__(self, name="poisson", dtype=None):
        super().__init__(losses.poisson, name, dtype)


class BinaryCrossentropy(StandardMetric):
    """The mean crossentropy of yes-or-no questions; see `binary_crossentropy`."""

    _direction = "down"
    in_config = ("from_logits", "label_smoothing")

    def __init__(
        self, name="binary_crossentropy", dtype=None, from_logits=False, label_smoothing=0
    ):
        super().__init__(
            losses.binary_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )


class CategoricalCrossentropy(StandardMetric):
    """The mean crossentropy of one-hot targets; see `categorical_crossentropy`."""

    _direction = "down"
    in_config = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        name="categorical_crossentropy",
        dtype=None,
        from_logits=False,
        label_smoothing=0,
        axis=-1,
    ):
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(StandardMetric):
    """The mean crossentropy of class numbers; see `sparse_categorical_crossentropy`."""

    _direction = "down"
    in_config = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        name="sparse_categorical_crossentropy",
        dtype=None,
        from_logits=False,
        ignore_class=None,
        axis=-1,
    ):
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
