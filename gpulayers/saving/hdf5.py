"""Weights in HDF5 files: one group for each layer, with its arrays in the group `vars` inside."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..arrays import devices, dtypes
from . import hdf5_plain
from .hdf5_attributes import texts
from .hdf5_objects import Array, check_link, encoded
from .hdf5_plain import LONGEST_PATH, MOST_OBJECTS


class WeightsFile:
    """An HDF5 file of weights, open for reading.

    Args:
        file: a binary file open for reading.

    Raises OSError if it is no HDF5 file, ValueError if it has more parts than any model.
    """

    def __init__(self, file: BinaryIO):
        self._file, self._stored = file, None
        self._data = getattr(file, "data", None)
        self._read: set[str] = set()
        self._places = None if self._data is None else hdf5_plain.places(self._data)
        try:
            self._links = self._places or _links(self._opened().id)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._stored is not None:
            self._stored.close()

    def _opened(self):
        if self._stored is None:
            import h5py

            self._stored = h5py.File(self._file, "r")
        return self._stored

    def group(self, path: str) -> Group:
        """The arrays of one layer; an empty group if there are none."""
        where = f"{path}/vars".lstrip("/")
        self._read.add(where)
        return Group(self, where, self._links.get(where, {}))

    def shape(self, group: str, name: str) -> tuple[int, ...]:
        """The shape of an array in a group."""
        place = self._places and self._places[group][name]
        return place[0] if place else self._array(group, name).shape

    def value(self, group: str, name: str) -> np.ndarray:
        """An array in a group."""
        place = self._places and self._places[group][name]
        if not place:
            return self._array(group, name).value(self._data)
        shape, dtype, start = place
        piece = self._data[start : start + math.prod(shape) * dtype.itemsize]
        return piece.view(dtype).reshape(shape)

    def _array(self, group, name) -> Array:
        where = f"{group}/{name}"
        if self._places is None:
            check_link(self._links[group][name], f"/{where}")
        return Array(self._at(where), f"/{where}", self._file)

    def _at(self, path):
        """The low-level id of what is at a path, to which no link to somewhere else leads."""
        import h5py

        return h5py.h5o.open(self._opened().id, encoded(path))

    def name_of(self, group: str) -> str | None:
        """The name of the layer whose arrays are in a group, None if it is not said."""
        found = texts(self._at(group), f"/{group}", "name", self._file)
        return found[0] if found else None

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
        split = [where.rpartition("/") for where in self._links]
        return [path for path, _, last in split if last == "vars"]


def _links(file_id) -> dict[str, dict[str, int]]:
    """What is in each group that is not empty, by the group's path: kinds of links by name.

    No link to somewhere else is followed, so that no such path leads over one.
    """
    found: dict[str, dict[str, int]] = {}
    count = itertools.count(1)

    def visit(path, link):
        """Gives what is wrong: then h5py stops, which an exception would crash."""
        if next(count) > MOST_OBJECTS:
            return f"it has more than {MOST_OBJECTS} groups and arrays."
        if len(path) > LONGEST_PATH:  # HDF5 goes as deep, on the stack.
            return "it has groups inside each other, deeper than any model."
        where, _, name = path.decode(errors="surrogateescape").rpartition("/")
        found.setdefault(where, {})[name] = link.type
        return None

    wrong = file_id.links.visit(visit, info=True)
    if wrong is not None:
        raise ValueError(wrong)
    return found


class Group(Mapping):
    """The arrays of one layer by name: what `load_own_variables` gets.

    They are `fresh`: nobody else has them.
    """

    fresh = True

    def __init__(self, stored: WeightsFile, where: str, names):
        self._stored, self._where, self._names = stored, where, names

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._stored.value(self._where, name)

    @property
    def name(self):
        """The name of the layer, None if it is not said."""
        return self._stored.name_of(self._where) if self._names else None

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of all arrays, in the order of their numbers."""
        names = sorted(self, key=lambda name: (len(name), name))
        return [self._stored.shape(self._where, name) for name in names]


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
