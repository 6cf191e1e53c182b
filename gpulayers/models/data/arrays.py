"""Batches taken from arrays that hold all samples."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import numpy as np

from ... import tree
from ...arrays import devices
from . import frames, leaves, weights
from .batches import Batches, count_samples, pack, place

CAST_AT_ONCE = 2**28  # Bytes: larger arrays are cast to floatx batch by batch.


class Rows:
    """One array of samples, from which batches are taken in its own library."""

    __slots__ = ("array", "dtype")

    def __init__(self, array, dtype=None):
        self.array, self.dtype = array, dtype

    @property
    def shape(self):
        return self.array.shape

    def order(self, permutation: np.ndarray):
        """`permutation` as an index array of this array's library, on its device."""
        return devices.put(permutation, devices.home_of(self.array))

    def take(self, rows):
        """The samples of a slice, as a view, or of an index array, copied once."""
        batch = self.array[rows] if type(rows) is slice else self.array.take(rows, axis=0)
        return batch if self.dtype is None else batch.astype(self.dtype)


class SparseRows(Rows):
    """A sparse matrix, whose batches become dense."""

    __slots__ = ()

    def order(self, permutation):
        return permutation

    def take(self, rows):
        return leaves.standardized(self.array[rows], "x")


class ArrayBatches(Batches):
    """Batches from arrays that hold all samples along their first axis.

    Args:
        x, y, sample_weight: arrays, or lists, tuples and dicts of arrays; y and sample_weight may
            be None.
        batch_size: samples in a batch; 32, or with `steps` what makes that many batches.
        shuffle: True draws another order of all samples for each pass, "batch" one within each
            batch, False keeps the order.
        steps, device, class_weight: see `make_batches`.
    """

    source = "array data"

    def __init__(
        self,
        x,
        y=None,
        sample_weight=None,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight=None,
        device: str | None = None,
    ):
        super().__init__(steps, device)
        x = as_rows(x, "x", device)
        y = as_rows(y, "y", device)
        sample_weight = as_rows(sample_weight, "sample_weight", device)
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("class_weight and sample_weight exclude each other: pass one.")
            labels = tree.map_structure(lambda rows: rows.array, y, none_is_leaf=False)
            sample_weight = Rows(weights.of_classes(labels, class_weight))
        elif sample_weight is not None:
            sample_weight = weights.for_outputs(y, sample_weight)
        data = (x, y, sample_weight)
        self.data = data[:1] if y is None else data[:2] if sample_weight is None else data
        self._leaves = tree.flatten(self.data)
        self._is_flat = all(isinstance(part, Rows) for part in self.data)
        self.num_samples = count_samples(self.data)
        self.batch_size = batch_size or (math.ceil(self.num_samples / steps) if steps else 32)
        self.shuffle = shuffle

    @property
    def available(self) -> int:
        return math.ceil(self.num_samples / self.batch_size)

    def first(self) -> tuple:
        batch = self._batch(slice(0, min(self.batch_size, self.num_samples)))
        return next(self._on_device(iter([batch])))

    def one_pass(self) -> Iterator[tuple]:
        if not self.shuffle:
            return map(self._batch, self._spans())
        if self.shuffle == "batch":
            pieces = [span.start + permutation(span.stop - span.start) for span in self._spans()]
            return self._shuffled(np.concatenate(pieces))
        return self._shuffled(permutation(self.num_samples))

    def _spans(self):
        size, total = self.batch_size, self.num_samples
        return (slice(begin, min(begin + size, total)) for begin in range(0, total, size))

    def _batch(self, rows):
        return self._packed([leaf and leaf.take(rows) for leaf in self._leaves])

    def _shuffled(self, order):
        pairs = [(leaf, leaf and leaf.order(order)) for leaf in self._leaves]
        for span in self._spans():
            yield self._packed([leaf and leaf.take(index[span]) for leaf, index in pairs])

    def _packed(self, leaves_of_batch):
        if self._is_flat:
            batch = tuple(leaves_of_batch)
        else:
            batch = tree.pack_sequence_as(self.data, leaves_of_batch)
        return batch if len(batch) > 1 else pack(*batch)  # As steps of one's own expect it.


def permutation(count: int) -> np.ndarray:
    """A random order of `count` things, by Philox.

    Its seed comes from Python's `random`, which `gpulayers.utils.set_random_seed` sets.
    """
    bits = np.random.Philox(random.getrandbits(128))
    return np.random.Generator(bits).permutation(count)


def are_arrays(*structures) -> bool:
    """Whether structures hold nothing but arrays and None."""
    for data in structures:
        if data is not None and not leaves.is_array(data):
            if not tree.is_nested(data):
                return False
            if not all(leaf is None or leaves.is_array(leaf) for leaf in tree.leaves(data)):
                return False
    return True


def as_rows(data, name: str, device: str | None = None):
    """The structure `data` with `Rows` for its arrays, floats cast to floatx.

    Args:
        data: a structure of arrays and None.
        name: the argument's name for messages.
        device: see `leaves.as_array`.
    """
    if data is None or not tree.is_nested(data):
        return _rows(data, name, device)
    paths = tree.flatten_with_path(data)
    return tree.pack_sequence_as(
        data, [_rows(leaf, place(name, path), device) for path, leaf in paths]
    )


def _rows(x, name, device):
    if x is None:
        return None
    if leaves.is_sparse(x) and hasattr(x, "toarray"):
        return SparseRows(x.tocsr())
    on_disk = isinstance(x, np.memmap)
    x = leaves.as_array(x, name, device)
    dtype = leaves.float_to_cast(x.dtype)
    if dtype is not None and not on_disk and x.nbytes <= CAST_AT_ONCE:
        return Rows(x.astype(dtype))
    return Rows(x, dtype)


def train_validation_split(arrays, validation_split: float):
    """`arrays` cut in two: the first samples, and the last `validation_split` of them.

    Args:
        arrays: a tuple (x, y, sample_weight) of structures of arrays, or None.
        validation_split: the part for validation, between 0 and 1.

    Returns two tuples like `arrays`, whose arrays are views where the data's library allows it.
    Raises ValueError for data other than arrays, and if either part would be empty.
    """
    if not (isinstance(validation_split, (int, float)) and 0 < validation_split < 1):
        raise ValueError(f"validation_split: expected 0 < split < 1, got {validation_split!r}.")
    if not are_arrays(*arrays):
        others = (x for x in tree.leaves(arrays) if not (x is None or leaves.is_array(x)))
        kinds = {type(x).__name__ for x in others}
        raise ValueError(
            f"validation_split: only arrays can be split, got {', '.join(sorted(kinds))}. "
            f"Pass validation_data instead."
        )
    arrays = tree.map_structure(
        lambda x: x if hasattr(x, "shape") else leaves.as_array(x, "x"), arrays, none_is_leaf=False
    )  # What has DLPack only cannot be cut.
    total = count_samples(arrays)
    cut = math.floor(total * (1.0 - validation_split))
    if cut in (0, total):
        raise ValueError(
            f"validation_split={validation_split}: {total} samples are too few to be split into "
            f"training and validation data."
        )

    def part(rows):
        def cut_out(x):
            if leaves.is_sparse(x):
                x = x.tocsr()
            return x.iloc[rows] if frames.is_frame(x) else x[rows]

        return tree.map_structure(cut_out, arrays, none_is_leaf=False)

    return part(slice(0, cut)), part(slice(cut, total))
