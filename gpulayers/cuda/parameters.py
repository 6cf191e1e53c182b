"""What a kernel takes: its parameters, read from its CUDA source.

The source is the only declaration.  `extern "C" __global__ void f(const T* x, long long n)` becomes
a Pointer to arrays of the dtype that the constant T names, and a Scalar of 64 bits.
"""

from __future__ import annotations

import re
from math import inf
from operator import index

import numpy as np

C_TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "int32": "int",
    "uint32": "unsigned",
    "int64": "long long",
    "uint64": "unsigned long long",
    "float16": "half",
    "bfloat16": "bfloat16",
    "float32": "float",
    "float64": "double",
}
DTYPES = {c_type: name for name, c_type in C_TYPES.items()}
DTYPES |= {name: name for name in ("uint8", "uint16", "uint32", "uint64")}  # As in common.cuh.
LARGEST_FLOAT = float(np.finfo(np.float32).max)
NUMBERS = (int, float, np.integer, np.floating, np.bool_)

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_BOUNDS = r"(?:(?:__launch_bounds__|GL_CLUSTER)\s*\([^()]*\)\s*)*"
_KERNEL = re.compile(rf'extern\s+"C"\s+__global__\s+{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(([^()]*)\)')
_QUALIFIER = re.compile(r"\b(?:const|volatile|__restrict__|__grid_constant__)\b")
_PARAMETER = re.compile(r"(?P<kind>[\w: ]+?)\s*(?P<star>\*?)\s*(?P<name>\w+)$")


def signatures(text: str) -> dict[str, list[tuple[str, bool, str]]]:
    """For each kernel of a source its parameters: (C type, whether a pointer, name)."""
    found = _KERNEL.findall(_COMMENT.sub(" ", text))
    return {name: [_declared(part) for part in inside.split(",")] for name, inside in found}


def _declared(part: str) -> tuple[str, bool, str]:
    match = _PARAMETER.match(" ".join(_QUALIFIER.sub(" ", part).split()))
    if match is None:
        raise ValueError(f"A kernel's parameter cannot be read: {part.strip()!r}.")
    return match["kind"], bool(match["star"]), match["name"]


class Parameter:
    """One parameter: its C declaration, and what turns a Python value into an argument.

    For a pointer `dtype` is that of the array (None for any), and `make` is None.
    """

    __slots__ = ("c_type", "dtype", "make", "name")

    def __init__(self, c_type: str, pointer: bool, name: str, types: dict[str, np.dtype]):
        self.c_type, self.name, self.dtype, self.make = c_type, name, types.get(c_type), None
        if self.dtype is None and c_type in DTYPES:
            self.dtype = dtype_of(DTYPES[c_type])
        if pointer:
            self.c_type += "*"
        elif self.dtype is None:
            self.make = _struct  # Declared in the source: passed by value.
        else:
            self.make = _scalar(self.dtype)

    def __str__(self):
        return f"{self.c_type} {self.name}"


def dtype_of(name: str) -> np.dtype:
    """NumPy's dtype of that name; importing ml_dtypes for bfloat16."""
    from ..arrays import dtypes

    return dtypes.numpy_dtype(name)


def _scalar(dtype: np.dtype):
    """What makes arguments of a scalar parameter.  Exact, or raises."""
    kind = dtype.type
    if dtype.kind in "iu":
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)

        def whole(value):
            number = index(value)  # A TypeError for what is no whole number.
            if low <= number <= high:
                return kind(number)
            raise OverflowError(f"a whole number from {low} to {high}")

        return whole
    if dtype.kind == "b":
        return _flag
    if dtype.name not in ("float32", "float64"):
        raise ValueError(f"A kernel takes {dtype.name} by pointer only: declare a float instead.")
    largest = LARGEST_FLOAT if dtype.name == "float32" else inf

    def real(value):
        if type(value) is float and -largest <= value <= largest:
            return kind(value)
        if not isinstance(value, NUMBERS):
            raise TypeError
        number = float(value)
        if largest < abs(number) < inf:
            raise OverflowError(f"a number of at most {largest} in size")
        return kind(number)

    return real


def _flag(value):
    if isinstance(value, (bool, np.bool_)):
        return np.bool_(value)
    if index(value) not in (0, 1):
        raise OverflowError("True or False")
    return np.bool_(value)


def _struct(value):
    if type(value) is np.ndarray and value.size == 1:
        return value
    raise TypeError
