"""Models in files: written, and read again."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import gpulayers as gl

from . import classifier


@cache
def folder() -> TemporaryDirectory:
    """A folder that goes with the process."""
    return TemporaryDirectory()


@cache
def saved() -> Path:
    """The file of the trained classifier."""
    path = Path(folder().name, "model.keras")
    classifier.model().save(path)
    return path


class Saving:
    """The small classifier with its optimizer."""

    def setup(self):
        classifier.model(), saved()

    def time_save(self):
        classifier.model().save(saved().with_stem("again"))

    def time_load(self):
        gl.saving.load_model(saved())

    def track_file_size(self):
        return saved().stat().st_size

    track_file_size.unit = "bytes"
