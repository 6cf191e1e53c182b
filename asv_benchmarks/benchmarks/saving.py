"""Models in files: written, and read again."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py

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


@cache
def deep() -> Path:
    """The file of a graph of some two hundred layers, as many as a ResNet-50 has."""
    x = inputs = gl.Input((None, None, 8))
    for _ in range(50):
        y = gl.layers.Conv2D(8, 3, padding="same")(x)
        y = gl.layers.Activation("relu")(gl.layers.BatchNormalization()(y))
        x = gl.layers.Add()([x, y])
    path = Path(folder().name, "deep.keras")
    gl.Model(inputs, x).save(path)
    return path


class Loading:
    """A graph of two hundred layers, and its three hundred arrays by h5py alone."""

    def setup(self):
        deep()

    def time_load(self):
        gl.saving.load_model(deep())

    def time_arrays(self):
        with zipfile.ZipFile(deep()) as archive:
            data = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(data) as file:
            file.visititems(lambda _, part: part[()] if isinstance(part, h5py.Dataset) else None)
