"""Names, kinds and promotion of dtypes, the same for every array library."""

from __future__ import annotations

from functools import cache

import numpy as np

from .. import config

FLOATS = ("float16", "bfloat16", "float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
COMPLEX = ("complex64", "complex128")
NAMES = ("bool", *UNSIGNED, *SIGNED, *FLOATS, *COMPLEX)
SHORT_FLOATS = frozenset({"float16", "bfloat16"})

_PYTHON = {bool: "bool", int: "int32", float: "float32", complex: "complex64"}


def name(dtype) -> str:
    """The standard's name of a dtype of any library, of a dtype's name, or of a Python type."""
    if isinstance(dtype, str):
        return dtype
    try:
        return _name(type(dtype), dtype)
    except TypeError:  # Not hashable.
        return _name.__wrapped__(type(dtype), dtype)


@cache
def _name(kind, dtype) -> str:  # By kind too: dtypes of two libraries may hash alike.
    if isinstance(dtype, type) and dtype in _PYTHON:
        return "int32" if dtype is int else _PYTHON[dtype]
    if isinstance(dtype, np.dtype):
        return "str" if dtype.kind in "UST" else dtype.name
    # "torch.float32", "array_api_strict.bool", "<class 'jax.numpy.float32'>"
    text = str(dtype).rstrip("'>").rpartition(".")[2].rstrip("_")
    if text in NAMES:
        return text
    return np.dtype(dtype).name


def of(xp, dtype):
    """The dtype object of namespace `xp` that has the name `dtype`."""
    key = name(dtype)
    found = getattr(xp, key, None)
    if found is not None:
        return found
    if key == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    if key == "bool":
        return xp.bool
    raise TypeError(f"{xp.__name__} has no dtype {key!r}.")


def numpy_dtype(dtype) -> np.dtype:
    """NumPy's dtype of that name; bfloat16 comes from ml_dtypes, "string" is text."""
    key = name(dtype)
    if key == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(str if key == "string" else key)


def _of_array(x) -> str:
    kind = type(x)
    if kind in _PYTHON:
        return _PYTHON[kind]
    return name(getattr(x, "dtype", x))


def is_floating(x) -> bool:
    """Whether an array, a dtype or a name is of a real floating kind (bfloat16 included)."""
    if type(x) is np.ndarray and x.dtype.char in "efdbiuc?":  # The most frequent question.
        return x.dtype.char in "efd"
    return _of_array(x) in FLOATS


def is_integer(x) -> bool:
    """Whether an array, a dtype or a name is a signed or unsigned integer."""
    return _of_array(x) in SIGNED or _of_array(x) in UNSIGNED


def is_bool(x) -> bool:
    """Whether an array, a dtype or a name is boolean."""
    return _of_array(x) == "bool"


def is_complex(x) -> bool:
    """Whether an array, a dtype or a name is complex."""
    return _of_array(x) in COMPLEX


def largest(dtype) -> float:
    """The largest finite number of a floating dtype."""
    key = name(dtype)
    return float.fromhex("0x1.fep127") if key == "bfloat16" else float(np.finfo(key).max)


_ALIASES = {"float": "float32", "int": "int32", "half": "float16", "double": "float64"}


def standardize(dtype, default: str | None = None) -> str:
    """The name of `dtype`, or `default` (floatx if that is None too) for None.

    Raises ValueError for something that names no dtype.
    """
    if dtype is None:
        return default or config.floatx()
    try:
        key = name(dtype)
    except TypeError:
        key = None
    key = _ALIASES.get(key, key)
    if key not in NAMES and key not in ("str", "string", "object"):
        raise ValueError(f"expected the name of a dtype, such as 'float32', got {dtype!r}.")
    return key


def promote(*values) -> str:
    """The dtype of a result, by Keras's rules, from arrays, dtypes, names and Python scalars.

    Floats win over integers whatever their width; float16 with bfloat16 gives float32; a Python
    scalar adapts to the arrays it meets; integers of both signs give the next wider signed one.
    """
    keys = tuple([_promotion_key(v) for v in values])
    return _promoted(keys, config.floatx())


_WEAK = frozenset({bool, int, float, complex})


def _promotion_key(value):
    """A Python number's type, if `value` is one or such a type; else the name of its dtype."""
    kind = type(value)
    return kind if kind in _WEAK else value if kind is type and value in _WEAK else _of_array(value)


@cache
def _promoted(keys: tuple, floatx: str) -> str:
    kinds = {key for key in keys if not isinstance(key, str)}
    result = None
    for key in keys:
        if isinstance(key, str):
            result = key if result is None else _pair(result, key)
    if result is None:
        if complex in kinds:
            return "complex64"
        return floatx if float in kinds else "int32" if int in kinds else "bool"
    if complex in kinds and result not in COMPLEX:
        return "complex64"
    if float in kinds and result not in FLOATS + COMPLEX:
        return floatx
    if int in kinds and result == "bool":
        return "int32"
    return result


@cache
def _pair(a: str, b: str) -> str:
    if a == b:
        return a
    if a in COMPLEX or b in COMPLEX:
        wide = {"complex128", "float64"} & {a, b}
        return "complex128" if wide else "complex64"
    if a in FLOATS and b in FLOATS:
        if {a, b} == SHORT_FLOATS:
            return "float32"
        return max(a, b, key=FLOATS.index)
    if a in FLOATS or b in FLOATS:
        return a if a in FLOATS else b
    if "bool" in (a, b):
        return b if a == "bool" else a
    if (a in SIGNED) == (b in SIGNED):
        order = SIGNED if a in SIGNED else UNSIGNED
        return max(a, b, key=order.index)
    signed, unsigned = (a, b) if a in SIGNED else (b, a)
    if unsigned == "uint64":
        return config.floatx()
    return SIGNED[max(SIGNED.index(signed), UNSIGNED.index(unsigned) + 1)]


def of_numbers(array: np.ndarray) -> str:
    """The name of the dtype that Python numbers become which NumPy made `array` of.

    Floats become floatx; integers int32, if they fit; complex numbers complex64.
    """
    if array.dtype == np.float64:
        return standardize(None)
    if array.dtype == np.complex128:
        return "complex64"
    if array.dtype == np.int64:
        fits = array.size == 0 or (array.min() >= -(2**31) and array.max() < 2**31)
        return "int32" if fits else "int64"
    return name(array.dtype)


_OTHERS = {"U": "text", "S": "text", "T": "text", "O": "Python objects", "m": "time differences",
           "M": "dates"}  # fmt: skip


def other_than_numbers(dtype) -> str | None:
    """What arrays of a NumPy dtype hold, if it isn't numbers: "text", "dates", ..."""
    if getattr(dtype, "names", None):
        return "records"
    return _OTHERS.get(getattr(dtype, "kind", "f"))
