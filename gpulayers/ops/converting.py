"""Arrays from what users have, in other dtypes, and facts about them."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import KerasTensor, Variable, as_array, devices, dtypes, is_array, namespace, plain
from ..arrays import stop_gradient as _stop_gradient
from ..arrays.short_floats import cast as _cast
from .calling import array_function

__all__ = [
    "array",
    "astype",
    "cast",
    "convert_to_numpy",
    "convert_to_tensor",
    "copy",
    "dtype",
    "is_tensor",
    "ndim",
    "result_type",
    "saturate_cast",
    "shape",
    "shape_equal",
    "size",
    "stop_gradient",
    "view",
]


@array_function(computes=False)
def convert_to_tensor(x, dtype: str | None = None, sparse=None, ragged=None):
    """`x` as an array, on the current device if it is none yet.

    Args:
        x: an array, a Variable, a number, or nested lists.
        dtype: by default an array's own, floatx for Python floats and int32 for integers.
        sparse, ragged: must not be true: there are dense arrays only.
    """
    if sparse or ragged:
        raise ValueError("convert_to_tensor: there are dense arrays only.")
    return x if dtype is None else _cast(x, dtypes.standardize(dtype))


@array_function(computes=False)
def array(x, dtype: str | None = None):
    """`x` as an array, as `convert_to_tensor`."""
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x) -> np.ndarray:
    """`x` as a NumPy array on the CPU."""
    if type(x) is KerasTensor:
        raise TypeError("convert_to_numpy: a KerasTensor has no value.")
    return np.asarray(devices.to_numpy(plain(as_array(x))))


@array_function(computes=False)
def cast(x, dtype: str):
    """`x` in another dtype.  Floats lose their fraction when they become integers."""
    return _cast(x, dtypes.standardize(dtype))


astype = cast


@array_function(computes=False)
def saturate_cast(x, dtype: str):
    """`x` in another dtype, numbers beyond its range as the nearest that it has."""
    name, xp = dtypes.standardize(dtype), namespace(x)
    if name == "bool":
        return xp.astype(x, xp.bool)
    lowest, highest = _range(name)
    own_lowest, own_highest = _range(dtypes.name(x.dtype))
    wide = _cast(x, "float32") if dtypes.name(x.dtype) in dtypes.SHORT_FLOATS else x
    if own_highest > highest:
        wide = xp.minimum(wide, _not_above(highest, wide))
    if own_lowest < lowest:
        wide = xp.maximum(wide, lowest)
    return _cast(wide, name)


def _range(name):
    if name == "bool":
        return 0, 1
    if name in dtypes.FLOATS:
        return -dtypes.largest(name), dtypes.largest(name)
    limits = np.iinfo(name)
    return int(limits.min), int(limits.max)


def _not_above(limit, x):
    """The largest number up to `limit` that the dtype of `x` has: 2^31 - 1 is no float32."""
    if not isinstance(limit, int) or dtypes.is_integer(x):
        return limit
    digits = 53 if dtypes.name(x.dtype) == "float64" else 24
    below = max(limit.bit_length() - digits, 0)
    return float(limit >> below << below)


@array_function(computes=False)
def copy(x):
    """A copy of `x`."""
    xp = namespace(x)
    return xp.astype(x, x.dtype, copy=True)


@array_function(computes=False)
def view(x, dtype: str | None = None):
    """The bytes of `x` read as another dtype; the last axis shrinks or grows with its size.

    Raises ValueError if the bytes of the last axis make no whole number of elements. There is no
    gradient.
    """
    if dtype is None:
        return x
    xp, name = namespace(x), dtypes.standardize(dtype)
    if not hasattr(x, "view"):
        raise TypeError(f"view: arrays of {xp.__name__} cannot be read as another dtype.")
    return xp.ascontiguousarray(x).view(dtypes.of(xp, name))


@array_function(computes=False)
def stop_gradient(variable):
    """The values of an array or a Variable, through which nothing before gets a gradient."""
    return _stop_gradient(variable)


def shape(x) -> tuple:
    """The sizes of an array; None for those of a KerasTensor that are not known."""
    return tuple(x.shape) if hasattr(x, "shape") else tuple(as_array(x).shape)


def ndim(x) -> int:
    """The number of axes."""
    return len(shape(x))


def size(x) -> int | None:
    """The number of elements; None if it is not known."""
    sizes = shape(x)
    return None if None in sizes else math.prod(sizes)


def dtype(x) -> str:
    """The name of an array's dtype."""
    return dtypes.name(x.dtype if hasattr(x, "dtype") else as_array(x).dtype)


def is_tensor(x) -> bool:
    """Whether `x` is an array of any library, or a KerasTensor; a Variable is none."""
    return type(x) is not Variable and is_array(x)


def result_type(*values) -> str:
    """The name of the dtype in which arrays, dtypes and Python numbers meet."""
    return dtypes.promote(*values)


def shape_equal(shape1, shape2, axis=None, allow_none: bool = True) -> bool:
    """Whether two shapes are equal.

    Args:
        axis: an integer or several that are left out.
        allow_none: whether an unknown size, None, equals any other.
    """
    if len(shape1) != len(shape2):
        return False
    axes = [] if axis is None else axis if isinstance(axis, (list, tuple)) else [axis]
    skipped = {a % len(shape1) for a in axes}
    return all(
        i in skipped or n == m or (allow_none and None in (n, m))
        for i, (n, m) in enumerate(zip(shape1, shape2, strict=True))
    )
