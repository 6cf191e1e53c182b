"""Weights in safetensors files: how long a header is, the header (JSON), then the numbers.

    {"layers/dense/0": {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]}, ...}

Names are the paths of `weights.walk` with the numbers of arrays.  (The package safetensors has no
NumPy arrays of bfloat16 and float8.)  https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..arrays import devices, dtypes
from .archive import parsed

ENDING = ".safetensors"
LARGEST_HEADER = 100_000_000  # As in the package safetensors.
_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16",
    "U32": "uint32", "I32": "int32", "U64": "uint64", "I64": "int64", "F16": "float16",
    "BF16": "bfloat16", "F32": "float32", "F64": "float64", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "C64": "complex64",
}  # fmt: skip
_CODES = {name: code for code, name in _DTYPES.items()}


class SafeTensors:
    """A safetensors file of weights.

    Args:
        file: a binary file open for reading.

    Raises ValueError if it is none, or its header says what is not there.
    """

    def __init__(self, file: BinaryIO):
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(8)
        (length,) = struct.unpack("<Q", start) if len(start) == 8 else (0,)
        if not 2 <= length <= min(size - 8, LARGEST_HEADER):
            raise ValueError("it is no safetensors file, or is damaged: its header has no length.")
        header = parsed(file.read(length), "its header")
        header.pop("__metadata__", None)
        self._file, self._start = file, 8 + length
        self._groups: dict[str, dict[str, tuple]] = {}
        for name, entry in header.items():
            path, _, key = name.rpartition("/")
            self._groups.setdefault(path, {})[key] = _place(name, entry, size - 8 - length)
        self._read: set[str] = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def group(self, path: str) -> Group:
        """The arrays of one layer; none if there are none."""
        self._read.add(path)
        return Group(self._groups.get(path, {}), self._array)

    def unread(self) -> list[str]:
        """The paths of layers that have arrays here, and were not asked for."""
        return sorted(self._groups.keys() - self._read)

    def parts(self) -> Iterator[tuple[str, None, Group]]:
        """(path, None, arrays by name) of each layer: what `hdf5.write` takes."""
        for path in self._groups:
            yield path, None, self.group(path)

    def _array(self, place) -> np.ndarray:
        dtype, shape, begin = place
        self._file.seek(self._start + begin)
        data = self._file.read(math.prod(shape) * dtype.itemsize)
        return np.frombuffer(data, dtype).reshape(shape)


class Group(Mapping):
    """The arrays of one layer by name, read when they are asked for."""

    def __init__(self, places: dict[str, tuple], read):
        self._places, self._read = places, read

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._read(self._places[name])

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of all arrays, in the order of their numbers."""
        names = sorted(self._places, key=lambda name: (len(name), name))
        return [self._places[name][1] for name in names]


def _place(name, entry, size) -> tuple[np.dtype, tuple[int, ...], int]:
    """(dtype, shape, first byte) of an array.  Raises ValueError for an impossible one."""
    entry = entry if isinstance(entry, dict) else {}
    code, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if code not in _DTYPES:
        raise ValueError(f"{name:.80} holds {code!r:.20}, of which there are no arrays.")
    dtype = dtypes.numpy_dtype(_DTYPES[code])
    whole = [n for part in (shape, offsets) if isinstance(part, list) for n in part]
    if not isinstance(shape, list) or len(whole) != len(shape) + 2 or len(shape) > 32:
        raise ValueError(f"{name:.80} has no shape, or is nowhere.")
    if any(type(n) is not int or n < 0 for n in whole) or offsets[1] > size:
        raise ValueError(f"{name:.80} lies outside the file: {offsets} of {size} bytes.")
    if offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name:.80}: {offsets[1] - offsets[0]} bytes are no {code} {shape}.")
    return dtype, tuple(shape), offsets[0]


def write(file: BinaryIO, parts) -> None:
    """Write a safetensors file.

    Args:
        file: a binary file open for writing.
        parts: (path, name, arrays by name) of each layer, one after another.

    Raises TypeError for arrays that it cannot hold.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "gpulayers"}}
    values, end = [], 0
    for path, _, arrays in parts:
        for key, value in arrays.items():
            value = np.asarray(devices.to_numpy(getattr(value, "_value", value)))
            code = _CODES.get(dtypes.name(value.dtype))
            if code is None:
                raise TypeError(f"{path}/{key}: safetensors files hold no {value.dtype}.")
            begin, end = end, end + value.nbytes
            entry = {"dtype": code, "shape": list(value.shape), "data_offsets": [begin, end]}
            header[f"{path}/{key}"] = entry
            values.append(value)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # So that the numbers are aligned.
    file.write(struct.pack("<Q", len(text)) + text)
    for value in values:
        file.write(np.ascontiguousarray(value).view(np.uint8) if value.ndim else value.tobytes())
