"""`CSVLogger`: the metrics of every epoch as a table in a file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable

from .callback import Callback


class CSVLogger(Callback):
    """Writes the metrics of every epoch as a line of a CSV file, at once.

    The columns are "epoch" and the sorted names of the first epoch's logs; if no validation is
    among those, there is a column "val_..." for each. What is missing is written as NA.

    Args:
        filename: the file.
        separator: what stands between two columns.
        append: whether to write behind what the file holds, as when training goes on.
    """

    def __init__(self, filename: str | os.PathLike, separator: str = ",", append: bool = False):
        super().__init__()
        self.filename = os.fspath(filename)
        self.sep, self.append = separator, append
        self.keys = self.writer = self.csv_file = None
        self.append_header = True

    def on_train_begin(self, logs=None):
        self._close()
        if self.append and os.path.exists(self.filename):
            self.append_header = os.path.getsize(self.filename) == 0
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="")  # noqa: SIM115
        self.writer = self.keys = None

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if self.writer is None:
            self._begin_table(logs)
        row = {key: _as_cell(logs.get(key, "NA")) for key in self.keys}
        self.writer.writerow({"epoch": epoch, **row})
        self.csv_file.flush()

    def on_train_end(self, logs=None):
        self._close()

    def _begin_table(self, logs):
        self.keys = sorted(logs)
        if not any(key.startswith("val_") for key in self.keys):
            self.keys += [f"val_{key}" for key in self.keys]
        self.writer = csv.DictWriter(
            self.csv_file, ["epoch", *self.keys], delimiter=self.sep, lineterminator="\n"
        )
        if self.append_header:
            self.writer.writeheader()

    def _close(self):
        if self.csv_file is not None:
            self.csv_file.close()
        self.csv_file = self.writer = None


def _as_cell(value):
    if isinstance(value, str) or not isinstance(value, Iterable) or not len(value):
        return value
    return f"[{', '.join(map(str, value))}]"
