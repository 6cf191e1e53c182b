"""Weights split over several HDF5 files, and the file of JSON that tells what is in which.

x.weights.json              {"metadata": {"total_size": bytes}, "weight_map": {group: files}}
x_00000.weights.h5, ...     parts of an HDF5 file of weights, each no larger than was asked for
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..arrays import devices
from . import hdf5
from .archive import MOST_TEXT, parsed
from .files import replacing

ENDING = ".weights.json"
GB = 1 << 30
_PLAIN = re.compile(r"[^/\\\0]+\.weights\.h5")


class ShardedWeights:
    """The files beside a file of JSON, as one store of weights.

    Args:
        path: of the file of JSON.

    Raises ValueError if it does not name files beside itself; OSError if one is not there.
    """

    def __init__(self, path):
        if os.path.getsize(path) > MOST_TEXT:
            raise ValueError("it is too large for a list of files.")
        with open(path, "rb") as file:
            listed = parsed(file.read()).get("weight_map")
        if not isinstance(listed, dict):
            raise ValueError("it has no weight_map, and is no list of files of weights.")
        names = {}
        for value in listed.values():
            names.update(dict.fromkeys(value if isinstance(value, list) else [value]))
        self._opened = ExitStack()
        self._shards = []
        with ExitStack() as opened:
            for name in names:
                if not isinstance(name, str) or not _PLAIN.fullmatch(name):
                    raise ValueError(f"{name!r:.80} is no name of a file of weights beside it.")
                file = opened.enter_context(open(os.path.join(os.path.dirname(path), name), "rb"))
                self._shards.append(opened.enter_context(hdf5.WeightsFile(file)))
            self._opened = opened.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._opened.close()

    def group(self, path: str) -> Joined:
        """The arrays of one layer, from whatever files they are in."""
        return Joined([shard.group(path) for shard in self._shards])

    def unread(self) -> list[str]:
        """The paths of layers that have arrays here, and were not asked for."""
        return sorted({path for shard in self._shards for path in shard.unread()})


class Joined(Mapping):
    """The arrays of one layer that stand in several groups."""

    def __init__(self, groups):
        self._groups = groups

    def __len__(self) -> int:
        return sum(map(len, self._groups))

    def __iter__(self) -> Iterator[str]:
        return (name for group in self._groups for name in group)

    def __getitem__(self, name: str) -> np.ndarray:
        for group in self._groups:
            if name in group:
                return group[name]
        raise KeyError(name)

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of all arrays, in the order of their numbers."""
        return [shape for group in self._groups for shape in group.shapes()]


def write(path, parts, most: float) -> None:
    """Write weights into files of at most so many GB (2^30 bytes), then what is in which.

    Args:
        path: of the file of JSON; the others stand beside it.
        parts: (path, name, arrays by name) of each layer, one after another.
        most: GB in a file.

    Raises ValueError, and writes nothing, if one array alone is larger.
    """
    folder, name = os.path.split(path)
    stem = name.removesuffix(ENDING)
    files, places, total = _split(parts, most * GB)
    for i, content in enumerate(files):
        with replacing(os.path.join(folder, f"{stem}_{i:05}.weights.h5")) as file:
            hdf5.write(file, content)
    map_ = {where: [f"{stem}_{i:05}.weights.h5" for i in at] for where, at in places.items()}
    with replacing(path) as file:
        found = {"metadata": {"total_size": total}, "weight_map": map_}
        file.write(json.dumps(found, indent=4).encode())


def _split(parts, most):
    """The parts of each file, the numbers of the files that each group is in, all bytes."""
    files: list[list[tuple[str, Any, dict]]] = [[]]
    places: dict[str, list[int]] = {}
    size = total = 0
    for path, name, arrays in parts:
        files[-1].append((path, name, {}))
        for key, value in arrays.items():
            value = np.asarray(devices.to_numpy(getattr(value, "_value", value)))
            if value.nbytes > most:
                raise ValueError(
                    f"{path}/{key} alone has {value.nbytes} bytes, more than the "
                    f"{int(most)} of max_shard_size."
                )
            if size + value.nbytes > most:
                files.append([(path, name, {})])
                size = 0
            files[-1][-1][2][str(key)] = value
            size, total = size + value.nbytes, total + value.nbytes
            at = places.setdefault(f"/{path}/vars".replace("//", "/"), [])
            if len(files) - 1 not in at:
                at.append(len(files) - 1)
    return files, places, total
