"""Writes recorded cases in the packed form that `decoding.Cases` reads."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np


class Pack:
    """Arrays by the hash of their content: equal ones are stored once."""

    def __init__(self):
        self._arrays: dict[str, np.ndarray] = {}

    def add(self, array) -> str:
        """Store an array; gives its name."""
        array = np.asarray(array, order="C")
        content = array.tobytes() + repr((array.dtype.name, array.shape)).encode()
        key = hashlib.sha256(content).hexdigest()[:12]
        self._arrays[key] = array
        return key

    def encode(self, value, mask=None):
        """Arrays, tuples and dictionaries as the markers of a case."""
        if isinstance(value, np.ndarray):
            marker = {"__array__": self.add(value), "dtype": value.dtype.name}
            marker["shape"] = list(value.shape)
            if mask is not None:
                marker["mask"] = self.encode(np.asarray(mask))
            return marker
        if isinstance(value, tuple):
            return {"__tuple__": [self.encode(part) for part in value]}
        if isinstance(value, list):
            return [self.encode(part) for part in value]
        if isinstance(value, dict):
            if all(isinstance(key, str) for key in value):
                return {"__dict__": {key: self.encode(part) for key, part in value.items()}}
            return {"__items__": [[key, self.encode(part)] for key, part in value.items()]}
        return value

    def write(self, folder: Path, stem: str, content: dict) -> None:
        """Write `content` (JSON) and all arrays, one flat array for each dtype, and an index."""
        index, flat = {}, {}
        for key, array in self._arrays.items():
            parts = flat.setdefault(array.dtype.name, [])
            index[key] = [array.dtype.name, sum(p.size for p in parts), list(array.shape)]
            parts.append(array.ravel())
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / f"{stem}.pack.npz", **{k: np.concatenate(v) for k, v in flat.items()}
        )
        text = json.dumps({"format": 1, **content, "index": index}, separators=(",", ":"))
        with open(folder / f"{stem}.pack.json.gz", "wb") as file:
            file.write(gzip.compress(text.encode(), mtime=0))


def record(folder: Path, stem: str, version: str, cases, recorded) -> None:
    """Write what Keras of a version gives for cases with a `key`.

    recorded: a function of a case: outputs and gradients.
    """
    pack, found = Pack(), {}
    for case in cases:
        outputs, gradients = recorded(case)
        assert case.key not in found
        found[case.key] = {"outputs": pack.encode(outputs), "gradients": pack.encode(gradients)}
    pack.write(folder, stem, {"keras": version, "cases": found})
    size = sum(path.stat().st_size for path in folder.glob(f"{stem}.*"))
    print(f"{len(found)} cases, {size / 1024:.0f} KiB in {folder}")
