"""Weights in HDF5 files: one group for each layer, with its arrays in the group `vars` inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ..arrays import devices, dtypes
from .hdf5_attributes import texts
from .hdf5_objects import Array, check_link, encoded

MOST_OBJECTS = 100_000  # Groups and datasets in a file.


class WeightsFile:
    """An HDF5 file of weights, open for reading.

    Args:
        file: a binary file open for reading.

    Raises OSError if it is no HDF5 file, ValueError if it has more parts than any model.
    """

    def __init__(self, file: BinaryIO):
        import h5py

        self.file = file
        self._stored = h5py.File(file, "r")
        self._read: set[str] = set()
        try:
            self._links = _links(self._stored.id)
        except BaseException:
            self._stored.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stored.close()

    def group(self, path: str) -> Group:
        """The arrays of one layer; an empty group if there are none."""
        where = f"{path}/vars".lstrip("/")
        self._read.add(where)
        return Group(self, where, self._links.get(where, {}))

    def opened(self, path: str):
        """The low-level id of what is at a path that `group` gave."""
        import h5py

        return h5py.h5o.open(self._stored.id, encoded(path))

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
    count = 0

    def visit(path, link):
        nonlocal count
        count += 1
        if count > MOST_OBJECTS:
            raise ValueError(f"it has more than {MOST_OBJECTS} groups and arrays.")
        where, _, name = path.decode(errors="surrogateescape").rpartition("/")
        found.setdefault(where, {})[name] = link.type

    file_id.links.visit(visit, info=True)
    return found


class Group(Mapping):
    """The arrays of one layer by name: what `load_own_variables` gets.

    They are `fresh`: nobody else has them.
    """

    fresh = True

    def __init__(self, stored: WeightsFile, where: str, links: dict[str, int]):
        self._stored, self._where, self._links = stored, where, links

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[str]:
        return iter(self._links)

    def __contains__(self, name) -> bool:
        return name in self._links

    def __getitem__(self, name: str) -> np.ndarray:
        return self._array(name).value(getattr(self._stored.file, "data", None))

    @property
    def name(self):
        """The name of the layer, None if it is not said."""
        if not self._links:
            return None
        found = texts(self._stored.opened(self._where), self._where, "name", self._stored.file)
        return found[0] if found else None

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of all arrays, in the order of their numbers."""
        names = sorted(self, key=lambda name: (len(name), name))
        return [self._array(name).shape for name in names]

    def _array(self, name) -> Array:
        where = f"{self._where}/{name}"
        check_link(self._links[name], f"/{where}")
        return Array(self._stored.opened(where), f"/{where}", self._stored.file)


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
