"""Models in files: written, and read again."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import gpulayers as gl

from . import classifier
from .networks import NETWORKS


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


@cache
def large() -> Path:
    """The file of a network with 25 million weights."""
    path = Path(folder().name, "large.keras")
    NETWORKS["ResNet-50"].make().save(path)
    return path


class Large:
    """ResNet-50."""

    number, repeat, warmup_time = 1, (1, 5, 10.0), 0.0

    def setup(self):
        large()

    def time_load(self):
        gl.saving.load_model(large())
