"""Sums and means over all samples."""

from __future__ import annotations

import math

import numpy as np

from .. import registry
from ..arrays import as_array, get_mask, namespace, plain
from ..losses.base import apply_mask, divide_no_nan, squeeze_or_expand_to_same_rank
from .metric import Metric


class Sum(Metric):
    """The (weighted) sum of all values.

    Args:
        name: of the metric.
        dtype: of the sum; floatx by default.
    """

    def __init__(self, name="sum", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), dtype=self.dtype, name="total")

    def update_state(self, values, sample_weight=None):
        """Add `values` of any shape, times `sample_weight` of one that broadcasts to it."""
        if sample_weight is not None:
            values, _ = weighted(self.name, values, sample_weight, "sum", self.dtype)
        values = as_array(values, self.dtype)
        add(self.total, namespace(values).sum(values))

    def result(self):
        return self.total


class Mean(Metric):
    """The (weighted) mean of all values.

    Args:
        name: of the metric.
        dtype: of the mean; floatx by default.
    """

    def __init__(self, name="mean", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), dtype=self.dtype, name="total")
        self.count = self.add_variable((), dtype=self.dtype, name="count")

    def update_state(self, values, sample_weight=None):
        """Take values in: axes behind the first are averaged; weights of a shape that leads theirs.

        Raises ValueError if the shapes of `values` and `sample_weight` do not fit.
        """
        self._accumulate(values, sample_weight)

    def _accumulate(self, values, sample_weight):
        if sample_weight is None:
            values = as_array(values, self.dtype)
            total = values if values.ndim == 0 else namespace(values).sum(values)
            if values.ndim > 1:
                total = total / max(1, math.prod(values.shape[1:]))
            count = values.shape[0] if values.ndim else 1
        elif type(sample_weight) in (int, float) and getattr(values, "shape", None) == ():
            values = as_array(values, self.dtype)  # A batch's loss, weighed by the batch's size.
            total, count = values * sample_weight, sample_weight
        else:
            values, weight = weighted(self.name, values, sample_weight, "mean", self.dtype)
            xp = namespace(values)
            total, count = xp.sum(values), xp.sum(weight)
        add(self.total, total)
        add(self.count, count)

    def result(self):
        total, count = plain(self.total), plain(self.count)
        return divide_no_nan(namespace(total), total, count)


class MeanMetricWrapper(Mean):
    """The mean of a function of targets and predictions.

    Args:
        fn: function (y_true, y_pred, **kwargs) -> one value per sample.
        name: the class's name in snake case by default.
        dtype: of the mean; floatx by default.
        kwargs: passed to `fn`.

    A mask that `y_pred` carries leaves out what it marks False.
    """

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        super().__init__(name=name, dtype=dtype)
        self._fn, self._fn_kwargs = fn, kwargs
        if self._direction is None and _is_loss(fn):
            self._direction = "down"

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take a batch in; `sample_weight` has a shape that leads that of the function's values."""
        mask = get_mask(y_pred)
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        if values is None:
            raise TypeError(f"{self.name}: expected an array of values, the function gave None.")
        if mask is not None:
            sample_weight = apply_mask(sample_weight, mask, self.dtype, reduction="sum")
        self._accumulate(values, sample_weight)

    def get_config(self) -> dict:
        config = {**super().get_config(), "fn": registry.serialize(self._fn)}
        return config | {key: registry.serialize(v) for key, v in self._fn_kwargs.items()}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**{key: registry.deserialize(value) for key, value in config.items()})


class StandardMetric(MeanMetricWrapper):
    """A mean of the library: its function's options are attributes, `in_config` says which to save.

    `in_config` is Keras's choice; an option may be missing (`CosineSimilarity.axis`).
    """

    in_config: tuple[str, ...] = ()

    def __init__(self, fn, name, dtype, **options):
        super().__init__(fn, name=name, dtype=dtype, **options)
        self.__dict__.update(options)

    def get_config(self) -> dict:
        return Metric.get_config(self) | {key: self._fn_kwargs[key] for key in self.in_config}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


def add(variable, amount) -> None:
    """variable += amount, with as little ado as can be: this runs for each metric and batch."""
    value = variable._value + amount
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if value.dtype == variable._value.dtype:
        variable.replace(value)
    else:
        variable.assign(value)


def weighted(who: str, values, sample_weight, reduction: str, dtype: str):
    """Values times weights, and the weights, both reduced to one for each sample.

    Axes that the weights lack are reduced ("mean" or "sum") before, all but the first after.
    Raises ValueError if the shapes do not fit.
    """
    mask = get_mask(values)
    values = as_array(values, dtype)
    weight = as_array(sample_weight, dtype, like=values)
    if mask is not None:
        weight = apply_mask(weight, mask, dtype, reduction="sum")
    values, weight = squeeze_or_expand_to_same_rank(values, weight)
    xp = namespace(values)
    reduce = getattr(xp, reduction)
    rank = weight.ndim
    if values.ndim > rank:
        values = reduce(values, axis=tuple(range(rank, values.ndim)))
    try:
        weight = xp.broadcast_to(weight, values.shape)
    except ValueError:
        raise ValueError(
            f"{who}: sample_weight of shape {tuple(weight.shape)} does not fit values of shape "
            f"{tuple(values.shape)}."
        ) from None
    values = values * weight
    if rank > 1:
        weight = reduce(weight, axis=tuple(range(1, rank)))
    if values.ndim > 1:
        values = reduce(values, axis=tuple(range(1, values.ndim)))
    return values, weight


def _is_loss(fn) -> bool:
    from .. import losses

    return any(fn is known or type(fn) is known for known in vars(losses).values())
