"""Recorded cases of real Keras: reading them, decoding their values, comparing results with them.

A folder of cases holds `keras_golden` (layers) and `function_cases` (functions), each as `.json`
with `.npz`, or packed as `.pack.json.gz` with `.pack.npz` (one flat array per dtype and an index).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Opaque(Exception):
    """A case holds a value that was not recorded in full."""


class Recorded(NamedTuple):
    """An expected array and its mask (None without one)."""

    array: np.ndarray
    mask: np.ndarray | None


class Cases:
    """The cases of one file of a folder, with the arrays that they name."""

    def __init__(self, folder: Path, stem: str):
        packed = folder / f"{stem}.pack.json.gz"
        if packed.exists():
            with gzip.open(packed, "rt") as file:
                content = json.load(file)
            self._index = content["index"]
            self._arrays = dict(np.load(folder / f"{stem}.pack.npz"))
        else:
            content = json.loads((folder / f"{stem}.json").read_text())
            self._index = None
            self._arrays = np.load(folder / f"{stem}.npz")
        self.cases = content["cases"]

    @staticmethod
    def exist(folder: Path, stem: str) -> bool:
        return (folder / f"{stem}.json").exists() or (folder / f"{stem}.pack.json.gz").exists()

    def stored(self, key: str) -> np.ndarray:
        """The array of a name, read-only."""
        if self._index is None:
            array = self._arrays[key]
        else:
            dtype, start, shape = self._index[key]
            size = int(np.prod(shape)) if shape else 1
            array = self._arrays[dtype][start : start + size].reshape(shape)
        array.flags.writeable = False
        return array

    def array(self, reference: dict) -> np.ndarray:
        """The array that a marker refers to, in its own dtype (bfloat16 and float8 included)."""
        array, dtype = self.stored(reference["__array__"]), reference["dtype"]
        if array.dtype.name != dtype:
            if dtype in ("str", "object") or dtype.startswith(("<U", "|S")):
                return array.reshape(reference["shape"])
            import ml_dtypes

            array = array.view(np.dtype(getattr(ml_dtypes, dtype)))
        return array.reshape(reference["shape"])

    def decode(self, value, leaf, keras_object=None, spec=None):
        """`value` with its markers replaced: arrays by leaf(array, mask, marker), and so on."""
        again = lambda part: self.decode(part, leaf, keras_object, spec)
        if isinstance(value, list):
            return [again(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "__array__" in value:
            mask = value.get("mask")
            return leaf(self.array(value), self.array(mask) if mask else None, value)
        if "__strarray__" in value:
            strings = value["__strarray__"]
            dtype = str if all(isinstance(s, str) for s in strings) else object
            return leaf(np.array(strings, dtype=dtype).reshape(value["shape"]), None, value)
        if "__keras_object__" in value and keras_object:
            return keras_object(value["__keras_object__"])
        if "__spec__" in value and spec:
            return spec(value["__spec__"])
        return self._plain(value, again)

    @staticmethod
    def _plain(value: dict, again):
        if "__tuple__" in value:
            return tuple(again(part) for part in value["__tuple__"])
        if "__dict__" in value:
            return {key: again(part) for key, part in value["__dict__"].items()}
        if "__items__" in value:
            return {again(key): again(part) for key, part in value["__items__"]}
        if "__float__" in value:
            return float(value["__float__"])
        if "__dtype__" in value:
            return value["__dtype__"]
        if "__slice__" in value:
            return slice(*map(again, value["__slice__"]))
        if "__ellipsis__" in value:
            return Ellipsis
        if value.get("type") == "builtins.complex":
            return complex(value["__repr__"])
        raise Opaque(str(value)[:80])

    def expected(self, value) -> list:
        """The leaves of a recorded result: `Recorded`, plain values and None."""
        return flatten(self.decode(value, lambda array, mask, _: [Recorded(array, mask)]))


def flatten(structure) -> list:
    """The leaves of lists, tuples and dicts (by sorted key); `Recorded` is a leaf."""
    if isinstance(structure, (list, tuple)) and not isinstance(structure, Recorded):
        return [leaf for part in structure for leaf in flatten(part)]
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    return [structure]


def difference(got, expected) -> float | str:
    """max |a - b| / max(1, |b|), or in words what is not comparable."""
    a, b = np.asarray(got), np.asarray(expected)
    if a.shape != b.shape:
        return f"shape {a.shape} is not {b.shape}"
    if a.dtype.kind in "OUST" or b.dtype.kind in "OUST":
        return 0.0 if _strings(a) == _strings(b) else "strings differ"
    if a.size == 0:
        return 0.0
    wide = "complex128" if "c" in (a.dtype.kind, b.dtype.kind) else "float64"
    a, b = a.astype(wide), b.astype(wide)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return "NaN in other places"
    with np.errstate(all="ignore"):
        error = np.abs(a - b) / np.maximum(1.0, np.abs(b))
    return float(np.where((a == b) | np.isnan(a), 0.0, error).max())


def _strings(array) -> list[str]:
    return [s.decode() if isinstance(s, bytes) else str(s) for s in array.ravel().tolist()]


def too_far(got, expected, tolerance: float) -> str | None:
    """What is wrong with `got`, or None if it is within `tolerance` of `expected`."""
    error = difference(got, expected)
    if isinstance(error, str):
        return error
    return None if error <= tolerance else f"off by {error:.3g} (allowed {tolerance:.1g})"


def asserted(assertion: dict, got, expected) -> bool:
    """Whether `got` satisfies an assertion of Keras's own test about its result."""
    options = assertion["opts"]
    a, b = np.asarray(got), np.asarray(expected)
    wide = "complex128" if "c" in (a.dtype.kind, b.dtype.kind) else "float64"
    try:
        a, b = np.broadcast_arrays(a.astype(wide), b.astype(wide))
    except ValueError:
        return False
    if assertion["how"] == "assertAlmostEqual":
        decimal = options.get("decimal", 3)
        return bool(np.all(np.abs(a - b) < 1.5 * 10.0**-decimal))
    tolerances = {"atol": options.get("atol", 1e-6), "rtol": options.get("rtol", 1e-6)}
    return bool(np.allclose(a, b, equal_nan=True, **tolerances))
