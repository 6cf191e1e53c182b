"""Callbacks that change the learning rate: by epoch, and when a metric stands still."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import numpy as np

from .callback import Callback
from .monitor import MonitorCallback
from .printing import say


def _optimizers(model) -> list[tuple[str, object]]:
    """Pairs of a suffix for names in the logs and an optimizer; several have their names."""
    several = getattr(model.optimizer, "optimizers", None)
    if several is None:
        return [("", model.optimizer)]
    return [(f"_{optimizer.name}", optimizer) for optimizer in several]


def _log_learning_rates(model, logs: dict) -> None:
    for suffix, optimizer in _optimizers(model):
        logs[f"learning_rate{suffix}"] = float(optimizer.learning_rate)


class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch, and adds it to the logs.

    Args:
        schedule: function (epoch, learning rate) or (epoch) that gives the new learning rate, a
            float; epochs are counted from 0.
        verbose: 1 says what was set.

    Raises ValueError if the schedule gives no float or the optimizer has no learning rate.
    """

    def __init__(self, schedule: Callable, verbose: int = 0):
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                f"LearningRateScheduler: schedule must be a function, got {schedule!r}."
            )
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch, logs=None):
        for suffix, optimizer in _optimizers(self.model):
            if not hasattr(optimizer, "learning_rate"):
                raise ValueError(
                    f"LearningRateScheduler: {type(optimizer).__name__} has no learning_rate."
                )
            rate = self._scheduled(epoch, optimizer)
            if not isinstance(rate, (float, np.floating)):
                raise ValueError(
                    f"LearningRateScheduler: the schedule must give a float, got {rate!r}."
                )
            optimizer.learning_rate = float(rate)
            if self.verbose > 0:
                whose = f" of {optimizer.name}" if suffix else ""
                say(f"\nEpoch {epoch + 1}: learning rate{whose} set to {rate}.")

    def _scheduled(self, epoch, optimizer):
        current = float(optimizer.learning_rate)
        try:
            inspect.signature(self.schedule).bind(epoch, current)
        except TypeError:
            return self.schedule(epoch)
        except ValueError:  # A built-in function without a signature.
            pass
        return self.schedule(epoch, current)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            _log_learning_rates(self.model, logs)


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by a factor when a metric has stopped getting better.

    Args:
        monitor: the metric's name in the logs.
        factor: what the learning rate is multiplied by; below 1.
        patience: epochs without a better value before that.
        verbose: 1 says when it happens.
        mode: "min" if less is better, "max" if more is, "auto" to ask the metric.
        min_delta: the least change that counts as better.
        cooldown: epochs to wait after a reduction before counting again.
        min_lr: the learning rate is not made smaller than this.

    Raises ValueError for a factor of 1 or more.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}.")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self._reset()

    def _reset(self):
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def on_train_begin(self, logs=None):
        self._reset()

    def in_cooldown(self) -> bool:
        """Whether a reduction was so short ago that epochs do not count."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch, logs=None):
        logs = {} if logs is None else logs
        _log_learning_rates(self.model, logs)
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"ReduceLROnPlateau: there is no metric {self.monitor!r} to monitor, but "
                f"{', '.join(logs)}.",
                stacklevel=2,
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter, self.wait = self.cooldown, 0

    def _reduce(self, epoch):
        reduced = False
        for suffix, optimizer in _optimizers(self.model):
            old = float(optimizer.learning_rate)
            if old <= np.float32(self.min_lr):
                continue
            optimizer.learning_rate = new = max(old * self.factor, self.min_lr)
            reduced = True
            if self.verbose > 0:
                whose = f" of {optimizer.name}" if suffix else ""
                say(f"\nEpoch {epoch + 1}: learning rate{whose} reduced to {new}.")
        return reduced
