"""Weights in HDF5 files: one group for each layer, with its arrays in the group `vars` inside.

Files come from strangers: what lies outside the file, or claims to be larger than what is stored,
is refused before memory is taken, and nothing but numbers is read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..arrays import devices, dtypes

LARGEST_RATIO = 100  # Of a compressed dataset to what is stored of it, ...
UNSUSPICIOUS = 64 << 20  # ... from this many bytes on.
MOST_OBJECTS = 100_000  # Groups and datasets in a file.
MOST_TEXTS = 64_000  # In one attribute, ...
MOST_LONG_TEXTS = 4096  # ... and if each can have any length; no more find room there.
LARGEST_TEXTS = 64 << 20  # Bytes of them.
_OWN_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})  # Others are loaded from shared libraries.


class WeightsFile:
    """An HDF5 file of weights, open for reading.

    Args:
        file: a binary file open for reading.

    Raises OSError if it is no HDF5 file.
    """

    def __init__(self, file: BinaryIO):
        import h5py

        self._data = getattr(file, "data", None)
        self._file = h5py.File(file, "r")
        self._read: set[str] = set()
        self._parts: dict[str, Any] = {"": self._file}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def group(self, path: str) -> Group:
        """The arrays of one layer; an empty group if there are none."""
        where = f"{path}/vars".lstrip("/")
        self._read.add(where)
        return Group(self._part(where), self._data)

    def _part(self, path: str):
        """The group at a path, None if there is none; those on the way there are remembered."""
        if path not in self._parts:
            before, _, name = path.rpartition("/")
            outer = self._part(before)
            self._parts[path] = None if outer is None else part(outer, name)
        return self._parts[path]

    def unread(self) -> list[str]:
        """The paths of layers that have arrays here, and were not asked for."""
        return [path for path in self._paths() if f"{path}/vars".lstrip("/") not in self._read]

    def parts(self) -> Iterator[tuple[str, Any, Group]]:
        """(path, name, arrays by name) of each layer that has arrays: what `write` takes."""
        for path in self._paths():
            group = self.group(path)
            yield path, group.name, group

    def _paths(self) -> list[str]:
        """The paths of layers that have arrays here."""
        import h5py

        found = []

        seen = itertools.count()

        def visit(name):
            if next(seen) >= MOST_OBJECTS:
                raise ValueError(f"it has more than {MOST_OBJECTS} groups and arrays.")
            path, _, last = name.rpartition("/")
            if last == "vars":
                group = self._file[name]
                if isinstance(group, h5py.Group) and len(group):
                    found.append(path)

        self._file.visit(visit)
        return found


class Group(Mapping):
    """The arrays of one layer by name: what `load_own_variables` gets.

    They are `fresh`: nobody else has them.
    """

    fresh = True

    def __init__(self, group, data: np.ndarray | None = None):
        self._group, self._data = group, data

    def __len__(self) -> int:
        return 0 if self._group is None else len(self._group)

    def __iter__(self) -> Iterator[str]:
        return iter(() if self._group is None else self._group)

    def __contains__(self, name) -> bool:
        return self._group is not None and name in self._group

    def __getitem__(self, name: str) -> np.ndarray:
        return _value(self._dataset(name), self._data)

    @property
    def name(self):
        """The name of the layer, None if it is not said."""
        found = None if self._group is None else texts(self._group, "name")
        return found[0] if found else None

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of all arrays, in the order of their numbers."""
        names = sorted(self, key=lambda name: (len(name), name))
        return [tuple(self._dataset(name).shape) for name in names]

    def _dataset(self, name):
        if name not in self:
            raise KeyError(name)
        return _dataset(self._group, name)


def array(group, path: str) -> np.ndarray:
    """The array at a path of this very file.  Raises ValueError if there is none."""
    *groups, last = filter(None, path.split("/"))
    for name in groups:
        group = part(group, name)
    found = _dataset(group, last)
    return _value(found)


def _dataset(group, name):
    import h5py

    found = part(group, name)
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{group.name}/{name} is no dataset.")
    _check(found)
    return found


def _value(dataset, data: np.ndarray | None = None) -> np.ndarray:
    """The array in a dataset; with all bytes of the file at hand, where it lies in these."""
    kind, start = dataset.dtype, None if data is None else dataset.id.get_offset()
    if start is not None and dataset.chunks is None and kind.isnative:
        piece = data[start : start + dataset.size * kind.itemsize]
        if len(piece) == dataset.size * kind.itemsize and piece.ctypes.data % kind.alignment == 0:
            value = piece.view(kind).reshape(dataset.shape)
            return value.view(dtypes.numpy_dtype("bfloat16")) if kind.kind == "V" else value
    value = np.asarray(dataset[()])
    return value.view(dtypes.numpy_dtype("bfloat16")) if value.dtype.kind == "V" else value


def part(group, name):
    """What is stored under a name in a group of this very file; None if there is nothing."""
    import h5py

    if not isinstance(group, h5py.Group):
        raise ValueError(f"{group.name} is no group.")
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{group.name}/{name} is a link to somewhere else: it is not followed.")
    return group[name]


def _check(dataset) -> None:
    """Refuse what could read other files, run code or fill the memory."""
    where, kind = dataset.name, dataset.dtype
    is_bfloat16 = kind.kind == "V" and kind == np.dtype("V2")
    if is_bfloat16 and texts(dataset, "dtype") != ["bfloat16"]:
        raise ValueError(f"{where} holds two bytes for each element, and does not say what.")
    if kind.kind not in "biufc" and not is_bfloat16:
        raise ValueError(f"{where} holds no numbers, but {kind}.")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{where} is stored in other files: they are not read.")
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
    if not filters <= _OWN_FILTERS:
        raise ValueError(f"{where} is compressed by filters that are no part of HDF5.")
    size, stored = math.prod(dataset.shape) * kind.itemsize, dataset.id.get_storage_size()
    stored = min(stored, dataset.file.id.get_filesize())  # A file can say that more is stored.
    chunk = math.prod(dataset.chunks or ()) * kind.itemsize
    if max(size, chunk) > max(stored * (LARGEST_RATIO if filters else 1), UNSUSPICIOUS):
        raise ValueError(
            f"{where} claims to have {max(size, chunk)} bytes, but only {stored} are stored."
        )


def texts(holder, name: str) -> list[str] | None:
    """The texts in an attribute of a group or dataset; None if there is none of that name.

    Raises ValueError for what are no texts, or for more than anyone would write there.
    """
    import h5py

    if name not in holder.attrs:
        return None
    attribute = holder.attrs.get_id(name)
    kind, count = attribute.get_type(), attribute.get_space().get_simple_extent_npoints()
    if not count:
        return []
    if not isinstance(kind, h5py.h5t.TypeStringID):
        raise ValueError(f"the attribute {name} of {holder.name} holds no texts.")
    # Texts of any length stand elsewhere, and all elements could mean the same long one.
    most = MOST_LONG_TEXTS if kind.is_variable_str() else MOST_TEXTS
    if count > most or count * kind.get_size() > LARGEST_TEXTS:
        raise ValueError(f"{holder.name} lists more {name} than any model has.")
    found = np.atleast_1d(holder.attrs[name]).ravel().tolist()
    return [text if isinstance(text, str) else text.decode() for text in found]


def write(file: BinaryIO, parts) -> None:
    """Write an HDF5 file of weights.

    Args:
        file: a binary file open for reading and writing.
        parts: (path, name, arrays by name) of each layer, one after another.

    Raises TypeError for what is no array of numbers.
    """
    import h5py

    with h5py.File(file, "w") as made:
        for path, name, arrays in parts:
            group = made.create_group(f"{path}/vars".lstrip("/"))
            if isinstance(name, str):
                group.attrs["name"] = name
            for key, value in arrays.items():
                _write_array(group, str(key), value)


def _write_array(group, key, value: Any) -> None:
    value = devices.to_numpy(getattr(value, "_value", value))
    value = np.asarray(value)
    if value.dtype == object or value.dtype.kind not in "biufcV":
        raise TypeError(f"{group.name}/{key}: expected an array of numbers, got {value.dtype}.")
    if dtypes.name(value.dtype) == "bfloat16":
        group.create_dataset(key, data=value.view("V2")).attrs["dtype"] = "bfloat16"
    else:
        group.create_dataset(key, data=value)
