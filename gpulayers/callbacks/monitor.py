"""What callbacks share that watch one metric: which direction is better, and by how much."""

from __future__ import annotations

import operator
import warnings

from .callback import Callback


class MonitorCallback(Callback):
    """Base class of callbacks that watch whether a metric gets better.

    Args:
        monitor: the metric's name in the logs: "loss", "val_loss", "val_accuracy".
        mode: "min" if less is better, "max" if more is, "auto" to ask the metric.
        baseline: the best value so far; None before the first.
        min_delta: the least change that counts.
    """

    def __init__(self, monitor="val_loss", mode="auto", baseline=None, min_delta=0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}; "
                f"'auto' is used.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor, self.mode = monitor, mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op = None

    def _is_improvement(self, value, reference) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`."""
        if self.monitor_op is None:
            self.monitor_op = operator.gt if self._more_is_better() else operator.lt
        if reference is None:
            return True
        delta = self.min_delta if self.monitor_op is operator.gt else -self.min_delta
        return bool(self.monitor_op(value - delta, reference))

    def _more_is_better(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return False
        for metric in _metrics(getattr(self.model, "metrics", None) or ()):
            direction = getattr(metric, "_direction", None)
            if direction and (name == metric.name or name.endswith(f"_{metric.name}")):
                return direction == "up"
        raise ValueError(
            f"{type(self).__name__}: nothing tells whether more or less of {self.monitor!r} is "
            f"better. Pass mode='max' or mode='min'."
        )


def _metrics(found):
    for metric in found:
        yield metric
        yield from _metrics(getattr(metric, "metrics", None) or ())
