"""`EarlyStopping`: the end of training when a metric no longer gets better."""

from __future__ import annotations

import warnings

from .monitor import MonitorCallback
from .printing import say


class EarlyStopping(MonitorCallback):
    """Ends training when a metric has not become better for some epochs.

    Args:
        monitor: the metric's name in the logs.
        min_delta: the least change that counts as better.
        patience: epochs without a better value before training ends.
        verbose: 1 says when training ends.
        mode: "min" if less is better, "max" if more is, "auto" to ask the metric.
        baseline: a value to be better than: until it is reached, nothing counts as progress.
        restore_best_weights: whether the model gets back the weights of the best epoch when
            training ends, by whatever reason.
        start_from_epoch: epochs before this one do not count.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self._reset()

    def _reset(self):
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best = self.best_weights = None

    def on_train_begin(self, logs=None):
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        value = self.get_monitor_value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep_weights(epoch)  # The first ones, should nothing ever be better.
        self.wait += 1
        if self._is_improvement(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._keep_weights(epoch)
            if self.baseline is None or self._is_improvement(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep_weights(self, epoch):
        # Assigning to a weight never changes its array: no copy is needed.
        self.best_weights = [weight.value for weight in self.model.weights]
        self.best_epoch = epoch

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose > 0:
                say(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            for weight, value in zip(self.model.weights, self.best_weights, strict=True):
                weight.assign(value)

    def get_monitor_value(self, logs) -> float | None:
        """The metric's value in `logs`; None, with a warning, if it is not there."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"EarlyStopping: there is no metric {self.monitor!r} to monitor, but "
                f"{', '.join(logs or {}) or 'none'}.",
                stacklevel=2,
            )
        return value
