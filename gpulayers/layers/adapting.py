"""What `adapt` learns from: arrays, or batches that come one after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from ..arrays import Variable, is_array


def is_table(data) -> bool:
    """Whether `data` is a column or table of pandas, or of another library that has its method."""
    return hasattr(data, "to_numpy") and not is_array(data)


def as_whole(data):
    """What is one array of all data, as one; None for batches."""
    if type(data) is Variable:
        return data.value
    if is_table(data):
        return data.to_numpy()
    return data if is_array(data) else None


def batches(who: str, data, steps: int | None = None) -> Iterator:
    """The batches of an iterable, each without labels that may come with it.

    Args:
        who: names the layer in errors.
        data: an iterable of arrays or tuples that begin with one, or a `PyDataset`.
        steps: take no more batches than this.

    Raises TypeError for what is no iterable.
    """
    if hasattr(data, "__getitem__") and hasattr(data, "on_epoch_end"):  # A PyDataset.
        data = (data[i] for i in range(len(data)))
    if not hasattr(data, "__iter__") or isinstance(data, (str, bytes, dict)):
        raise TypeError(
            f"{who}: adapt() takes arrays, lists and iterables of batches, got "
            f"{type(data).__name__}."
        )
    return map(_features, islice(data, steps))


def _features(batch):
    if isinstance(batch, tuple) and batch and (is_array(batch[0]) or is_table(batch[0])):
        batch = batch[0]
    return np.asarray(batch) if is_table(batch) else batch
