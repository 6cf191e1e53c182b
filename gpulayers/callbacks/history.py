"""`History`: the metrics of every epoch."""

from __future__ import annotations

from .callback import Callback


class History(Callback):
    """Keeps the metrics of every epoch; `fit` adds one itself and returns it.

    Attributes:
        epoch: the numbers of the epochs of the last `fit`, from 0.
        history: from metric names to lists of values, one per epoch.
    """

    def __init__(self):
        super().__init__()
        self.history = {}
        self.epoch = []

    def on_train_begin(self, logs=None):
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self
