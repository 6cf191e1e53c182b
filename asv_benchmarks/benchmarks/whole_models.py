"""Whole networks: forward, a training step, memory, and how soon `predict` answers."""

from __future__ import annotations

from functools import cache

from .libraries import LIBRARIES, choose, finish, peak, to_library
from .networks import NETWORKS, data

ROWS = 8  # of a batch that goes forward


@cache
def made(library: str, name: str):
    """A network on that library's device, inputs to go forward, and a batch to train with."""
    choose(library)
    model = NETWORKS[name].make()
    x, _ = data(model, ROWS)
    return model, to_library(library, x)[0], to_library(library, *data(model, NETWORKS[name].batch))


class Networks:
    """They take long enough to be timed one by one, and few times, after the first."""

    number, repeat, warmup_time, timeout = 1, (1, 5, 10.0), 1e-3, 300
    params = (LIBRARIES, tuple(NETWORKS))
    param_names = ("library", "network")

    def setup(self, *case):
        self.model, self.x, self.batch = made(*case)

    def time_forward(self, library, name):
        self.model(self.x)
        finish(library)

    def time_predict(self, library, name):
        self.model.predict(self.x, verbose=0)

    def time_training_step(self, library, name):
        self.model.train_on_batch(*self.batch)

    def track_peak_of_training(self, library, name):
        """Bytes, beyond the weights and the batch."""
        return peak(library, lambda: self.model.train_on_batch(*self.batch))

    track_peak_of_training.unit = "bytes"


class Rows:
    """How long `predict` takes for few rows."""

    params = (LIBRARIES, ("classifier", "digits", "LSTM", "small LSTM", "MLP"), (1, 64))
    param_names = ("library", "network", "rows")

    def setup(self, library, name, rows):
        self.model, *_ = made(library, name)
        self.x, _ = data(self.model, rows)
        self.model.predict(self.x, batch_size=rows, verbose=0)

    def time_predict(self, library, name, rows):
        self.model.predict(self.x, batch_size=rows, verbose=0)
