"""Windows of series as batches, and data in two parts."""

from __future__ import annotations

import math

import numpy as np

from ... import tree
from .dataset import PyDataset


class Windows(PyDataset):
    """Batches of windows (and what follows each) that begin at `starts` of a series.

    Args:
        series: (steps, ...).
        targets: one for each start, by the number of its step; or None.
        starts: whole numbers.
        length, rate: steps of a window, and how far apart they lie.
        batch_size: windows in a batch; None for single windows, without an axis of batches.
        rng: draws another order before each pass; None for the order of `starts`.
    """

    def __init__(self, series, targets, starts, length, rate, batch_size, rng=None):
        super().__init__()
        self._series, self._targets, self._starts = series, targets, starts
        self._steps, self._batch_size, self._rng = np.arange(length) * rate, batch_size, rng
        self._order()

    def _order(self):
        if self._rng is not None:
            self._starts = self._rng.permutation(self._starts)

    def __len__(self):
        return math.ceil(len(self._starts) / (self._batch_size or 1))

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} batches, got the number {index}.")
        size = self._batch_size
        starts = self._starts[index if size is None else slice(index * size, (index + 1) * size)]
        x = self._series[np.asarray(starts)[..., None] + self._steps]
        return x if self._targets is None else (x, self._targets[starts])

    def __iter__(self):
        return map(self.__getitem__, range(len(self)))

    def on_epoch_end(self):
        self._order()


def timeseries_dataset_from_array(
    data,
    targets,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Windows:
    """Windows of a series as a `PyDataset`: batches x, or (x, targets).

    Args:
        data: (steps, ...).
        targets: targets[i] belongs to the window that begins at step i; or None.
        sequence_length, sampling_rate: steps of a window, and how far apart they lie.
        sequence_stride: how many steps after the last one each window begins.
        batch_size: windows in a batch; None for single windows.
        shuffle: whether each pass takes them in another order, drawn from `seed`.
        start_index, end_index: the part of the series to take them from.
        format: makes no difference: there is one kind of dataset here.

    Raises ValueError for numbers out of range.
    """
    data, targets = np.asarray(data), None if targets is None else np.asarray(targets)
    count, who = len(data), "timeseries_dataset_from_array"
    first, last = start_index or 0, count if end_index is None else end_index
    if not 0 <= first < last <= count:
        raise ValueError(
            f"{who}: start_index and end_index must be a part of the {count} steps, got "
            f"{start_index} and {end_index}."
        )
    for name, value, most in (
        ("sequence_length", sequence_length, None),
        ("sequence_stride", sequence_stride, count),
        ("sampling_rate", sampling_rate, count),
        ("batch_size", 1 if batch_size is None else batch_size, None),
    ):
        if value < 1 or (most is not None and value >= most):
            below = "" if most is None else f" and below the {most} steps"
            raise ValueError(f"{who}: {name} must be 1 or more{below}, got {value}.")
    possible = last - first - (sequence_length - 1) * sampling_rate
    if targets is not None:
        targets = targets[first:last]
        possible = min(possible, len(targets))
    rng = np.random.default_rng(seed) if shuffle else None
    starts = np.arange(0, possible, sequence_stride)
    return Windows(
        data[first:last], targets, starts, sequence_length, sampling_rate, batch_size, rng
    )


def split_dataset(
    dataset,
    left_size: float | int | None = None,
    right_size: float | int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
):
    """Samples in two parts, each in the structure of `dataset`.

    Args:
        dataset: arrays of as many samples: one, or a list, tuple or dict of them.
        left_size, right_size: a share (float) or a number (int) of samples; what is None gets the
            others.
        shuffle: whether samples are drawn, by `seed`, rather than taken in their order.
        preferred_backend: makes no difference: arrays stay arrays.

    Raises ValueError without sizes, and for sizes that are more than there is.
    """
    arrays = [np.asarray(leaf) for leaf in tree.flatten(dataset)]
    counts = {len(a) for a in arrays}
    if len(counts) != 1:
        raise ValueError(f"split_dataset: arrays of different numbers of samples: {counts}.")
    count = counts.pop()
    left, right = (_number(size, count) for size in (left_size, right_size))
    if left is None and right is None:
        raise ValueError("split_dataset: give left_size or right_size.")
    left = count - right if left is None else left
    right = count - left if right is None else right
    if left < 0 or right < 0 or left + right > count:
        raise ValueError(
            f"split_dataset: left_size={left_size} and right_size={right_size} do not fit "
            f"{count} samples."
        )
    order = np.random.default_rng(seed).permutation(count) if shuffle else np.arange(count)
    return tuple(
        tree.pack_sequence_as(dataset, [a[rows] for a in arrays])
        for rows in (order[:left], order[count - right :])
    )


def _number(size, count):
    """A number of samples: whole numbers as they are, floats as shares."""
    if size is None or isinstance(size, (int, np.integer)):
        return size
    return round(size * count)
