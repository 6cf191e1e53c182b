"""The weights of a model in a file, of a kind that its ending names."""

from __future__ import annotations

import os

from . import archive, hdf5, legacy_files, shards, tensors
from .files import blaming, replacing
from .weights import load_state, states

HDF5 = ".weights.h5"
WRITTEN = (HDF5, shards.ENDING, tensors.ENDING)


def save_weights(model, filepath, overwrite: bool = True, max_shard_size=None, **kwargs) -> None:
    """Write the weights of a model, and the state of its optimizer, to a file.

    Args:
        model: a model, or a layer.
        filepath: ends in ".weights.h5", ".weights.json" or ".safetensors". An old file is replaced
            when the new one is complete.
        overwrite: whether an old file may be replaced.
        max_shard_size: GB (2^30 bytes). The weights go into several files of at most that size,
            "x_00000.weights.h5" and so on, beside "x.weights.json", which says what is in which.

    Keras 3 reads all but ".safetensors".  Raises FileExistsError, unless `overwrite`, if there is
    such a file; ValueError for another ending, a model that is not built, and a shard too small.
    """
    if kwargs:
        raise ValueError(f"save_weights: unknown arguments {', '.join(sorted(kwargs))}.")
    path = os.fspath(filepath)
    if max_shard_size is not None and path.endswith(HDF5):
        path = path.removesuffix(HDF5) + shards.ENDING
    if not path.endswith(WRITTEN):
        raise ValueError(
            f"save_weights: filepath must end in {' or '.join(WRITTEN)}, got {path!r}."
        )
    if (max_shard_size is not None) != path.endswith(shards.ENDING):
        raise ValueError(
            f"save_weights: max_shard_size and a filepath that ends in {shards.ENDING} belong "
            f"together, got max_shard_size={max_shard_size} and {path!r}."
        )
    check_built("save_weights", model)
    check_new(path, overwrite)
    if path.endswith(shards.ENDING):
        shards.write(path, states(model), float(max_shard_size))
        return
    with replacing(path) as file:
        (hdf5 if path.endswith(HDF5) else tensors).write(file, states(model))


def load_weights(model, filepath, skip_mismatch: bool = False, **kwargs) -> None:
    """Give a model the weights in a file.

    The optimizer gets its state too, if it is built and the file has one.

    Args:
        model: a model, or a layer.
        filepath: ends in ".weights.h5", ".weights.json", ".safetensors", ".keras", or ".h5".
        skip_mismatch: leave layers whose weights do not fit as they are, with a warning.
        by_name: for ".h5" files: give weights to the layers of the same names only.

    Raises ValueError for a model that is not built, and with a list of what does not fit;
    ValueError or OSError for a damaged file. The model is as it was then.
    """
    by_name = kwargs.pop("by_name", False)
    if kwargs:
        raise ValueError(f"load_weights: unknown arguments {', '.join(sorted(kwargs))}.")
    path = os.fspath(filepath)
    legacy = path.endswith(legacy_files.ENDINGS) and not path.endswith(HDF5)
    if by_name and not legacy:
        raise ValueError(f"load_weights: by_name is for .h5 files of Keras 2, got {path!r}.")
    check_built("load_weights", model)
    with blaming(path):
        if legacy:
            with open(path, "rb") as file:
                legacy_files.load_state(model, file, skip_mismatch, by_name)
        elif path.endswith(shards.ENDING):
            load_state(model, shards.ShardedWeights(path), skip_mismatch)
        elif path.endswith((HDF5, tensors.ENDING)):
            store = hdf5.WeightsFile if path.endswith(HDF5) else tensors.SafeTensors
            with open(path, "rb") as file:
                load_state(model, store(file), skip_mismatch)
        elif path.endswith(".keras") or os.path.isdir(path):
            with archive.reading(path) as found:
                load_state(model, hdf5.WeightsFile(found.weights()), skip_mismatch)
        else:
            raise ValueError(f"expected a file that ends in {', '.join(WRITTEN)}, .keras or .h5.")


def check_built(who: str, model) -> None:
    """Raise ValueError unless a model has weights."""
    if not model.built:
        raise ValueError(f"{who}: {model.name!r} has no weights yet: build it, or call it on data.")


def check_new(path: str, overwrite: bool) -> None:
    """Raise FileExistsError if there is a file that must not be replaced."""
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path} exists already, and overwrite=False.")
