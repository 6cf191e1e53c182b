"""Losses of 1,024 samples with 100 outputs each: the value, and with it the gradient."""

from __future__ import annotations

from functools import cache

from gpulayers import losses
from gpulayers.arrays import Tape

from .libraries import LIBRARIES, finish, integers, peak, probabilities, to_library

NAMES = (
    "MeanSquaredError",
    "Huber",
    "CosineSimilarity",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "SparseCategoricalCrossentropy",
    "KLDivergence",
)


@cache
def made(library: str, name: str):
    """A loss, its targets and predictions."""
    predicted = probabilities(1024, 100)
    sparse = name.startswith("Sparse")
    target = integers(100, 1024) if sparse else predicted[::-1].copy()
    loss = getattr(losses, name)()
    target, predicted = to_library(library, target, predicted)
    loss(target, predicted)
    return loss, target, predicted


class Losses:
    params = (LIBRARIES, NAMES)
    param_names = ("library", "loss")

    def setup(self, library, name):
        self.loss, self.target, self.predicted = made(library, name)

    def time_forward(self, library, name):
        self.loss(self.target, self.predicted)
        finish(library)

    def time_training_step(self, library, name):
        with Tape() as tape:
            value = self.loss(self.target, tape.watch(self.predicted))
        tape.gradient(value, self.predicted)
        finish(library)

    def track_peak_of_training(self, library, name):
        return peak(library, lambda: self.time_training_step(library, name))

    track_peak_of_training.unit = "bytes"
