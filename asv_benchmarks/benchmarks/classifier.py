"""The small classifier, 64-128-64-10: what a call costs in Python, beside hardly any arithmetic."""

from __future__ import annotations

from functools import cache

import numpy as np

import gpulayers as gl
from gpulayers.layers import Dense, Input

from .libraries import LIBRARIES, choose, finish, namespace, peak, to_library


@cache
def data(rows: int):
    """Images (rows, 64) and labels (rows,)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 64)).astype("float32")
    return x, x[:, :10].argmax(axis=1)


@cache
def model(library: str = "numpy") -> gl.Sequential:
    """The classifier, compiled and trained for a moment."""
    choose(library)
    gl.utils.set_random_seed(0)
    made = gl.Sequential(
        [Input((64,)), Dense(128, "relu"), Dense(64, "relu"), Dense(10, "softmax")]
    )
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    made.fit(*data(320), verbose=0)
    made.predict(data(1)[0], verbose=0)
    return made


class OneRow:
    """One row through the model: by hand, by a call, by `predict`."""

    params = (LIBRARIES,)
    param_names = ("library",)

    def setup(self, library):
        self.model = model(library)
        self.weights = to_library(library, *self.model.get_weights())
        (self.x,) = to_library(library, data(1)[0])

    def time_by_hand(self, library):
        xp, (a, b, c, d, e, f) = namespace(library), self.weights
        x = xp.maximum(self.x @ a + b, 0)
        x = xp.maximum(x @ c + d, 0)
        x @ e + f
        finish(library)

    def time_forward(self, library):
        self.model(self.x)
        finish(library)

    def time_predict(self, library):
        self.model.predict(data(1)[0], verbose=0)


class Training:
    """A step of Adam at batch 32, and an epoch of a hundred."""

    params = (LIBRARIES,)
    param_names = ("library",)

    def setup(self, library):
        self.model = model(library)
        self.batch, self.epoch = data(32), data(3200)

    def time_training_step(self, library):
        self.model.train_on_batch(*self.batch)

    def time_epoch(self, library):
        self.model.fit(*self.epoch, verbose=0)

    def track_peak_of_training(self, library):
        return peak(library, lambda: self.model.train_on_batch(*self.batch))

    track_peak_of_training.unit = "bytes"
