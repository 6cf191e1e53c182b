"""Loading a file beside reading its arrays with h5py alone: `... loading FILE`.

    FILE.keras    such as keras.applications.ResNet50(weights=None).save("FILE.keras") writes

Milliseconds, the median and the least of many runs in turn: of `load_model`; of h5py reading all
arrays of the HDF5 file inside, which was taken out of the archive before; and of h5py reading them
from the archive, whose checksum is looked at as in `load_model`.
"""

from __future__ import annotations

import gc
import io
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import h5py

import gpulayers

WEIGHTS = "model.weights.h5"
RUNS = 15


def arrays(file) -> list:
    """All arrays of an HDF5 file."""
    found = []

    def visit(_, part):
        if isinstance(part, h5py.Dataset):
            found.append(part[()])

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return found


def in_archive(path) -> list:
    with zipfile.ZipFile(path) as archive:
        return arrays(io.BytesIO(archive.read(WEIGHTS)))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extract(WEIGHTS, folder)
        ways = {
            "load_model": lambda: gpulayers.saving.load_model(path),
            "h5py, from the HDF5 file": lambda: arrays(Path(folder, WEIGHTS)),
            "h5py, from the archive": lambda: in_archive(path),
        }
        times = {name: [] for name in ways}
        for run in range(RUNS + 2):
            for name, way in ways.items():
                begin = time.perf_counter()
                result = way()
                seconds = time.perf_counter() - begin
                del result
                gc.collect()
                if run > 1:  # The first import modules, and find the file on the disk.
                    times[name].append(1000 * seconds)
    own = times["load_model"]
    for name, found in times.items():
        median, least = statistics.median(found), min(found)
        ratios = f"{statistics.median(own) / median:5.2f} {min(own) / least:5.2f}"
        print(f"{name:26} {median:7.1f} {least:7.1f}   load_model takes {ratios} times as long")


if __name__ == "__main__":
    main()
