"""What users give, as arrays."""

from __future__ import annotations

import numpy as np

from . import devices, dtypes
from .namespace import RANK, namespace, plain_namespace
from .variable import Variable

_BUILT_IN = {key: np.dtype(key) for key in dtypes.NAMES if key != "bfloat16"}


def is_array(x) -> bool:
    """Whether `x` is an array of any library, recorded, abstract or symbolic ones included."""
    kind = type(x)
    return kind is np.ndarray or RANK.get(kind, 0) > 0 or plain_namespace(x) is not None


def as_array(x, dtype=None, like=None):
    """`x` as an array: arrays stay as they are, Variables give their value.

    Args:
        x: an array of any library, a Variable, a Python number, or nested lists of these.
        dtype: a name; what is given is cast to it. By default Python floats become floatx and
            Python integers int32.
        like: an array beside which a new one is to live; by default the current device.

    Raises TypeError if `x` holds something else than numbers (strings, None).
    """
    if type(x) is Variable:
        x = x.value
    if type(x) is not np.ndarray and not is_array(x):
        x = _new_array(x, dtype, like)
    if dtype is None or x.dtype is _BUILT_IN.get(dtype):
        return x
    if dtypes.name(x.dtype) != dtypes.name(dtype):
        if dtypes.other_than_numbers(x.dtype):
            raise TypeError(f"expected numbers, got an array of dtype {x.dtype}.")
        xp = namespace(x)
        x = xp.astype(x, dtypes.of(xp, dtypes.name(dtype)))
    return x


def _new_array(x, dtype, like):
    if isinstance(x, (list, tuple)) and any(is_array(part) for part in _leaves(x)):
        parts = [as_array(part, dtype, like) for part in x]
        return namespace(*parts).stack(parts)
    if hasattr(x, "__dlpack__") and not isinstance(x, (np.ndarray, np.generic)):
        made = np.from_dlpack(x)
    else:
        made = np.asarray(x)
    if made.dtype.kind not in "biufc":
        if made.dtype.kind in "UST" and dtype in (None, "string", "str"):
            return made
        raise TypeError(f"expected numbers or an array, got {type(x).__name__}: {str(x)[:60]!r}.")
    made = made.astype(dtypes.numpy_dtype(dtype or dtypes.of_numbers(made)), copy=False)
    like = getattr(like, "value", like)
    while RANK.get(type(like), 0) in range(1, 100):
        like = like.value
    xp = None if like is None else plain_namespace(like)
    home = devices.current() if xp is None else devices.home_of(like)
    return devices.put(made, home)


def _leaves(x):
    if isinstance(x, (list, tuple)):
        for part in x:
            yield from _leaves(part)
    else:
        yield x


def same_library(*arrays):
    """The arguments with Python numbers and lists as arrays beside the first array among them."""
    first = next((a for a in arrays if is_array(a) or type(a) is Variable), None)
    return tuple(a if a is None else as_array(a, like=first) for a in arrays)
