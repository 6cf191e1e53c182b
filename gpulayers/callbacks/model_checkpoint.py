"""`ModelCheckpoint`: the model or its weights saved while it trains."""

from __future__ import annotations

import os
import warnings

from .monitor import MonitorCallback
from .printing import say


class BatchFrequency:
    """Counts batches over epochs, and tells every `every` of them.

    Args:
        who: the callback's name for messages.
        every: number of batches, or "epoch" for never.

    Raises ValueError for anything else.
    """

    def __init__(self, who: str, every):
        if every != "epoch" and (isinstance(every, bool) or not isinstance(every, int)):
            raise ValueError(
                f"{who}: save_freq must be 'epoch' or a number of batches, got {every!r}."
            )
        if every != "epoch" and every < 1:
            raise ValueError(f"{who}: save_freq must be 1 or more, got {every}.")
        self._every = every
        self._since, self._last = 0, None

    def is_due(self, batch: int) -> bool:
        """Whether to save after this batch; several batches may have passed since the last call."""
        if self._every == "epoch":
            return False
        is_new_epoch = self._last is None or batch <= self._last
        self._since += batch + 1 if is_new_epoch else batch - self._last
        self._last = batch
        if self._since < self._every:
            return False
        self._since = 0
        return True


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after epochs or batches.

    Args:
        filepath: where to; may hold names in braces, "{epoch:02d}-{val_loss:.2f}.keras": epoch and
            batch (counted from 1) and the metrics in the logs. Ends in ".keras" or ".h5" for
            models, in ".weights.h5" for weights. Missing folders are made.
        monitor: the metric that tells the best model.
        verbose: 1 says what is saved.
        save_best_only: whether only a model that is better than all before is saved.
        save_weights_only: whether `model.save_weights` is used instead of `model.save`.
        mode: "min" if less is better, "max" if more is, "auto" to ask the metric.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: the value that the first model to be saved must be better than.

    Raises ValueError for another ending of `filepath`, or another kind of `save_freq`.
    """

    def __init__(
        self,
        filepath: str | os.PathLike,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ):
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose, self.save_best_only = verbose, save_best_only
        self.save_weights_only, self.save_freq = save_weights_only, save_freq
        self._frequency = BatchFrequency("ModelCheckpoint", save_freq)
        self._epoch = 0
        endings = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            what = "weights" if save_weights_only else "models"
            raise ValueError(
                f"ModelCheckpoint: filepath must end in {' or '.join(endings)} for {what}, got "
                f"{self.filepath!r}."
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._frequency.is_due(batch):
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch, batch, logs):
        logs = {} if logs is None else logs
        path = self._path(epoch, batch, logs)
        if not self._is_wanted(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise IsADirectoryError(f"ModelCheckpoint: filepath {path!r} is a folder.")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        self._say(epoch, f"finished saving model to {path}")

    def _path(self, epoch, batch, logs):
        values = {**logs, "epoch": epoch + 1}
        if batch is not None:
            values.setdefault("batch", batch + 1)
        try:
            return self.filepath.format(**values)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: filepath {self.filepath!r} names {error}, but there are only "
                f"{', '.join(values)}."
            ) from None

    def _is_wanted(self, epoch, logs, path):
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            return True
        value = logs.get(self.monitor)
        if value is None or getattr(value, "shape", ()) != ():
            warnings.warn(
                f"ModelCheckpoint: the best model can be told by one number only; "
                f"{self.monitor} is {'not there' if value is None else 'an array'}, so this one is "
                f"saved.",
                stacklevel=5,
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(value, self.best):
            self._say(epoch, f"{self.monitor} did not improve from {best}")
            return False
        self.best = value
        self._say(
            epoch, f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}"
        )
        return True

    def _say(self, epoch, text):
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: {text}")
