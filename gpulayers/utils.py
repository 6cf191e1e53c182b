"""What users of models need beside them.  Names of `keras.utils`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from . import naming
from .arrays import KerasTensor, get_mask, set_mask
from .arrays.dtypes import standardize as standardize_dtype
from .arrays.seeds import set_random_seed
from .config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from .models.as_jax import as_jax_function
from .models.as_torch import as_torch_module
from .models.data import PyDataset
from .models.data import pack as pack_x_y_sample_weight
from .models.data import unpack as unpack_x_y_sample_weight
from .models.data.image_files import (
    array_to_img,
    image_dataset_from_directory,
    img_to_array,
    load_img,
    save_img,
)
from .models.data.windows import split_dataset, timeseries_dataset_from_array
from .models.diagram import model_to_dot, plot_model
from .models.progress import Progbar
from .ops import bounding_boxes
from .registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from .registry import deserialize as deserialize_keras_object
from .registry import serialize as serialize_keras_object

Sequence = PyDataset

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "as_jax_function",
    "as_torch_module",
    "bounding_boxes",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_mask",
    "get_registered_name",
    "get_registered_object",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_mask",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


def clear_session(free_memory: bool = True) -> None:
    """Forget automatic names: the next layer is called "dense" again."""
    naming.reset()


def is_keras_tensor(x) -> bool:
    """Whether `x` is symbolic: an `Input`, or what layers and operations make of one."""
    return isinstance(x, KerasTensor)


def get_file(fname=None, origin=None, *args, cache_subdir="datasets", cache_dir=None, **kwargs):
    """The path of a file that Keras, or you, put into its folder: nothing is downloaded here.

    Args:
        fname: the file's name; by default the last part of `origin`, an address.
        cache_subdir, cache_dir: the folder; by default "datasets" in ~/.keras, or in $KERAS_HOME.

    Raises FileNotFoundError, which says where to put it, if it is not there.
    """
    name = fname or str(origin).rpartition("/")[2]
    home = Path(cache_dir or os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    path = Path(name) if Path(name).is_absolute() else home / cache_subdir / name
    if not path.exists():
        raise FileNotFoundError(
            f"get_file: gpulayers downloads nothing. Fetch {origin or name} yourself and put it at "
            f"{path}."
        )
    return str(path)


def to_categorical(x, num_classes: int | None = None) -> np.ndarray:
    """Class numbers as rows of zeros with a one.

    Args:
        x: integers of shape (...) or (..., 1).
        num_classes: the length of the rows; the largest number plus one by default.

    Returns float arrays of shape (..., num_classes).  Raises ValueError for numbers out of range.
    """
    x = np.asarray(x, dtype="int64")
    shape = x.shape[:-1] if x.ndim > 1 and x.shape[-1] == 1 else x.shape
    flat = x.reshape(-1)
    count = num_classes or (int(flat.max()) + 1 if flat.size else 0)
    if flat.size and (flat.min() < 0 or flat.max() >= count):
        raise ValueError(
            f"to_categorical: classes must be in [0, {count}), got {flat.min()} to {flat.max()}."
        )
    out = np.zeros((flat.size, count))
    out[np.arange(flat.size), flat] = 1
    return out.reshape(*shape, count)


def normalize(x, axis: int = -1, order: int = 2) -> np.ndarray:
    """`x` divided by its norm of that order along `axis`; zeros stay zeros."""
    x = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return x / np.expand_dims(norm, axis)


def pad_sequences(
    sequences,
    maxlen: int | None = None,
    dtype="int32",
    padding: str = "pre",
    truncating: str = "pre",
    value=0.0,
) -> np.ndarray:
    """Sequences of several lengths as one array (samples, maxlen, ...).

    Args:
        sequences: lists or arrays, equal but for their lengths.
        maxlen: the common length; that of the longest by default.
        dtype: of the array.
        padding, truncating: "pre" or "post": where short ones are filled, long ones cut.
        value: the filling.

    Raises ValueError for another `padding` or `truncating`, and for samples of different shapes.
    """
    for what, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ValueError(f"pad_sequences: {what} must be 'pre' or 'post', got {given!r}.")
    arrays = [np.asarray(s) for s in sequences]
    inner = {a.shape[1:] for a in arrays if len(a)}
    if len(inner) > 1:
        raise ValueError(f"pad_sequences: steps of different shapes: {sorted(inner)}.")
    length = maxlen if maxlen is not None else max(map(len, arrays), default=0)
    out = np.full((len(arrays), length, *(inner.pop() if inner else ())), value, dtype=dtype)
    for row, a in zip(out, arrays, strict=True):
        a = (a[-length:] if truncating == "pre" else a[:length]) if length else a[:0]
        if len(a):
            at = slice(length - len(a), None) if padding == "pre" else slice(0, len(a))
            row[at] = a
    return out
