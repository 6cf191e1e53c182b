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
from .libraries import LIBRARIES, QUICK, choose, finish, peak
from .networks import NETWORKS


def deep():
    """A graph of some two hundred layers, as many as a ResNet-50 has; three hundred arrays."""
    x = inputs = gl.Input((None, None, 8))
    for _ in range(50):
        y = gl.layers.Conv2D(8, 3, padding="same")(x)
        y = gl.layers.Activation("relu")(gl.layers.BatchNormalization()(y))
        x = gl.layers.Add()([x, y])
    return gl.Model(inputs, x)


MODELS = {
    "classifier and its Adam": classifier.model,
    "two hundred layers": lambda library: deep(),
    "ResNet-50": lambda library: NETWORKS["ResNet-50"].make(),
}
if QUICK:
    MODELS.popitem()


@cache
def folder() -> TemporaryDirectory:
    """A folder that goes with the process."""
    return TemporaryDirectory()


@cache
def saved(library: str, name: str):
    """A model that lives on that library's device, and its file."""
    choose(library)
    model = MODELS[name](library)
    path = Path(folder().name, f"{name} {library}.keras")
    model.save(path)
    return model, path


class Files:
    params = (LIBRARIES, tuple(MODELS))
    param_names = ("library", "model")
    number, repeat, warmup_time = 1, (1, 9, 10.0), 1e-3

    def setup(self, library, name):
        self.model, self.path = saved(library, name)
        choose(library)

    def time_save(self, library, name):
        self.model.save(self.path.with_stem("again"))

    def time_load(self, library, name):
        gl.saving.load_model(self.path)
        finish(library)

    def track_peak_of_saving(self, library, name):
        return peak(library, lambda: self.time_save(library, name))

    def track_peak_of_loading(self, library, name):
        """Bytes, those of the model among them."""
        return peak(library, lambda: self.time_load(library, name))

    def track_file_size(self, library, name):
        return self.path.stat().st_size

    for _track in (track_peak_of_saving, track_peak_of_loading, track_file_size):
        _track.unit = "bytes"


class Arrays:
    """The arrays of such a file, by h5py alone: what loading stands on."""

    params = (tuple(MODELS),)
    param_names = ("model",)

    def setup(self, name):
        _, self.path = saved("numpy", name)

    def time_arrays(self, name):
        with zipfile.ZipFile(self.path) as archive:
            data = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(data) as file:
            file.visititems(lambda _, part: part[()] if isinstance(part, h5py.Dataset) else None)
