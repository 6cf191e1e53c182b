"""What scripts ask a Keras backend for.  The names of `keras.backend`."""

from __future__ import annotations

from collections import Counter

from .arrays import dtypes
from .arrays.dtypes import promote as result_type
from .config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from .utils import clear_session, is_keras_tensor, standardize_dtype

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]

_counts: Counter[str] = Counter()


def get_uid(prefix: str = "") -> int:
    """1 for the first call with this prefix, then 2, and so on."""
    _counts[prefix] += 1
    return _counts[prefix]


def is_float_dtype(dtype) -> bool:
    """Whether a dtype (or its name) is one of real floating-point numbers."""
    return dtypes.is_floating(standardize_dtype(dtype))


def is_int_dtype(dtype) -> bool:
    """Whether a dtype (or its name) is one of integers, signed or not."""
    return dtypes.is_integer(standardize_dtype(dtype))
