"""Metrics of 1,024 samples with 100 outputs each: what a step of training adds to them, and what
they say in the end."""

from __future__ import annotations

from functools import cache

from gpulayers import metrics

from .libraries import LIBRARIES, finish, integers, peak, probabilities, to_library

MADE = {
    "MeanAbsoluteError": metrics.MeanAbsoluteError,
    "BinaryAccuracy": metrics.BinaryAccuracy,
    "CategoricalAccuracy": metrics.CategoricalAccuracy,
    "SparseTopKCategoricalAccuracy": metrics.SparseTopKCategoricalAccuracy,
    "F1Score": metrics.F1Score,
    "AUC": metrics.AUC,
    "MeanIoU": lambda: metrics.MeanIoU(num_classes=100, sparse_y_pred=False, sparse_y_true=False),
}


@cache
def made(library: str, name: str):
    """A metric that has seen a batch, the targets and predictions of the next."""
    predicted, labels = probabilities(1024, 100), integers(100, 1024)
    target = labels if name.startswith("Sparse") else (labels[:, None] == range(100)) * 1.0
    metric = MADE[name]()
    target, predicted = to_library(library, target.astype("float32"), predicted)
    metric.update_state(target, predicted)
    return metric, target, predicted


class Metrics:
    params = (LIBRARIES, tuple(MADE))
    param_names = ("library", "metric")

    def setup(self, library, name):
        self.metric, self.target, self.predicted = made(library, name)

    def time_training_step(self, library, name):
        self.metric.update_state(self.target, self.predicted)
        finish(library)

    def time_forward(self, library, name):
        self.metric.result()
        finish(library)

    def track_peak_of_training(self, library, name):
        return peak(library, lambda: self.time_training_step(library, name))

    track_peak_of_training.unit = "bytes"
