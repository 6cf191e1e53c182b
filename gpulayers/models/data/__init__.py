"""Data for training: batches from arrays, frames, generators, datasets and DataLoaders."""

from __future__ import annotations

from ... import tree
from ...arrays import devices
from . import leaves
from .arrays import ArrayBatches, are_arrays, train_validation_split
from .batches import Batches, pack, unpack
from .dataset import DatasetBatches, PyDataset
from .iterables import GeneratorBatches, IterableBatches

__all__ = [
    "Batches",
    "PyDataset",
    "kind_of",
    "make_batches",
    "pack",
    "to_kind",
    "train_validation_split",
    "unpack",
]


def make_batches(
    x,
    y=None,
    sample_weight=None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight=None,
    device: str | None = None,
) -> Batches:
    """Batches from whatever `fit`, `evaluate` and `predict` take.

    Args:
        x: arrays (of any library, with nested lists, tuples and dicts), pandas frames, a
            `PyDataset`, a generator, a PyTorch DataLoader, or another iterable of batches.
        y: targets like x; None if x gives them.
        sample_weight: weights (samples,), or one array per output; None if x gives them.
        batch_size: samples in a batch, for arrays; 32 by default.
        steps: batches in an epoch; None for one pass over the data.
        shuffle: True draws a new order for each pass over arrays (or over a dataset's batches),
            "batch" only within each batch; iterables keep their own order.
        class_weight: weights of classes, {0: 1.0, 1: 5.0}; 1 for those not named.
        device: where the model lives, "cpu" or "gpu:0"; None leaves the arrays where they are.

    Raises TypeError for other kinds of data; ValueError for arrays of different numbers of samples
    or of none, for y or sample_weight beside data that has its own, and for sizes below 1.
    """
    _check("batch_size", batch_size)
    _check("steps", steps)
    if isinstance(x, Batches):
        return x
    options = {"steps": steps, "class_weight": class_weight, "device": device}
    if x is None:
        raise ValueError("expected data, got x=None.")
    if are_arrays(x, y, sample_weight):
        return ArrayBatches(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, **options)
    make = _maker(x)
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if not are_arrays(value):
            raise TypeError(f"{name}: expected an array, got {type(value).__name__}.")
        if value is not None and not are_arrays(x):
            raise ValueError(
                f"{name}: expected None beside x of type {type(x).__name__}, whose batches hold "
                f"everything: (x, y) or (x, y, sample_weight)."
            )
    return make(x, shuffle=shuffle, **options) if make is DatasetBatches else make(x, **options)


def _maker(x):
    if isinstance(x, PyDataset):
        return DatasetBatches
    if tree.is_nested(x) or isinstance(x, (str, bytes)):
        for leaf in tree.leaves(x):  # Arrays were looked for already.
            leaves.as_array(leaf, "x")
    if hasattr(x, "__next__"):
        return GeneratorBatches
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        if any(kind.__module__.startswith("torch.utils.data") for kind in type(x).__mro__):
            raise TypeError("x: a PyTorch Dataset gives samples; wrap it in a DataLoader.")
        return DatasetBatches
    if hasattr(x, "__iter__"):
        return IterableBatches
    raise TypeError(
        f"x: expected arrays, a PyDataset, a generator, a DataLoader or another iterable of "
        f"batches, got {type(x).__name__}."
    )


def _check(name, value):
    if value is None:
        return
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected a whole number, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name}: expected 1 or more, got {value}.")


def kind_of(x) -> devices.Home:
    """The library and device of the first array in `x`, for `to_kind`.

    Everything that is no array of an array library (frames, generators, datasets) counts as NumPy.
    """
    if type(x) is not devices.np.ndarray:
        for leaf in tree.leaves(x):
            if hasattr(leaf, "__dlpack__") and hasattr(leaf, "dtype"):
                return devices.home_of(leaf)
    return devices.CPU


def to_kind(array, kind: devices.Home):
    """`array` as an array of the library and on the device that `kind_of` found."""
    return devices.put(array, kind)
