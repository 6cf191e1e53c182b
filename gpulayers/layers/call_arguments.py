"""What a layer of this library is called with: refused early, if it cannot be right."""

from __future__ import annotations

import numpy as np

from .. import tree
from ..arrays import dtypes, plain


def check_arguments(layer, signature, args, kwargs, leaves) -> None:
    """Refuse a call without arrays, with too many of them, or with something else than numbers.

    Raises TypeError, naming the layer, what was expected and what came.
    """
    if not leaves and signature.names:
        first = signature.names[0]
        got = args[0] if args else kwargs.get(first)
        if isinstance(got, (list, tuple)):  # What layers of several inputs check themselves.
            return
        raise TypeError(f"{_called(layer)}: {first} must be an array, got {_described(got)}.")
    for name, value in [*zip(signature.names, args, strict=False), *kwargs.items()]:
        if name == "training" and getattr(value, "shape", ()) != ():
            raise TypeError(
                f"{_called(layer)}: training must be True or False, got an array of shape "
                f"{tuple(value.shape)}. Several inputs of one layer go into a list."
            )
    for x in leaves:
        if not layer._takes_text:
            check_numbers(_called(layer), x)


def check_numbers(who: str, x) -> None:
    """Raise TypeError for an array of text, dates or Python objects."""
    x = plain(x)
    what = dtypes.other_than_numbers(x.dtype) if type(x) is np.ndarray else None
    if what is not None:
        raise TypeError(
            f"{who}: expected an array of numbers, got {what} (dtype {x.dtype}). Numbers in it "
            "become float32 by x.astype('float32')."
        )


def _called(layer) -> str:
    return f"{type(layer).__name__} {layer.name!r}"


def _described(value) -> str:
    if isinstance(value, dict):
        return f"a dict with the keys {sorted(map(str, value))}"
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)[:60]
    return f"a value of type {type(value).__name__}"


def all_numbers(value) -> bool:
    """Whether `value` is a Python number, or nested lists of nothing else."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(all_numbers, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number_dtype(value) -> np.dtype | type:
    """The dtype of the array that such lists become."""
    whole = all(isinstance(x, int) for x in tree.leaves(value))
    return np.int32 if whole else dtypes.numpy_dtype(dtypes.standardize(None))
