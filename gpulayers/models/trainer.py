"""The loops of `fit` and `evaluate`, and their forms for a single batch."""

from __future__ import annotations

from typing import Any

from .. import config
from ..callbacks import History, ProgbarLogger
from ..callbacks.logs import Logs
from .data import train_validation_split, unpack
from .interruption import Interruption
from .loops import at_most
from .patient_bar import PatientBar
from .prediction import Prediction
from .preparation import on_its_device, prepare


class Trainer(Prediction):
    """What makes a layer a model that learns: mixin of `Model`."""

    history = None
    _initial_epoch, _initial_batch = None, 0  # Where BackupAndRestore lets training go on.

    @on_its_device
    def fit(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks=None,
        validation_split: float = 0.0,
        validation_data=None,
        shuffle: bool | str = True,
        class_weight: dict[int, float] | None = None,
        sample_weight=None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | list[int] = 1,
    ):
        """Train for a number of epochs and give the History of losses and metrics.

        Args:
            x: arrays (samples, ...) of any library or structures of them, pandas frames, a
                `PyDataset`, a generator or another iterable of (x, y[, sample_weight]).
            y: targets like x; None if x gives them.
            batch_size: samples in a batch, for arrays; 32 by default.
            epochs: the number of the last epoch, counted from `initial_epoch`.
            verbose: 0 silent, 1 a progress bar, 2 one line per epoch; "auto" is 1.
            callbacks: a list of callbacks, or a CallbackList.
            validation_split: the part of the samples, the last ones, kept for validation.
            validation_data: (x, y), (x, y, sample_weight), or anything that `evaluate` takes.
            shuffle: True for a new order in each epoch, "batch" for one within batches.
            class_weight: weights of classes, {0: 1.0, 1: 5.0}; 1 for those not named.
            sample_weight: weights (samples,), or one array per output.
            initial_epoch: the number of the first epoch, to go on with a training.
            steps_per_epoch, validation_steps: batches in an epoch; all the data by default.
            validation_batch_size: `batch_size` by default.
            validation_freq: validate every so many epochs, or after the epochs in a list (from 1).

        Ctrl-C raises KeyboardInterrupt after the step that runs: weights, optimizer and metrics
        belong together, and training may go on. `on_train_end` is not called then, nor after an
        error, so that what callbacks keep for a restart stays; `history` has the epochs completed.

        Raises ValueError before `compile`, for empty data, and for data that does not fit.
        """
        self._require_compiled("fit")
        _check_loop(epochs, initial_epoch, validation_freq)
        if shuffle not in (True, False, None, "batch"):
            raise ValueError(f"fit: shuffle must be True, False or 'batch', got {shuffle!r}.")
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = train_validation_split(
                (x, y, sample_weight), validation_split
            )
        epochs = at_most(epochs, config.max_epochs(), "epochs")
        batches = self._batches(
            x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight
        )
        validation = None
        try:
            prepare(self, batches, "train_step")
            if validation_data is not None:
                validation = self._batches(
                    *unpack(validation_data), validation_batch_size or batch_size, validation_steps
                )
            callbacks = self._callbacks(callbacks, verbose, batches, epochs)
            self._fit(
                batches,
                callbacks,
                range(initial_epoch, epochs),
                lambda epoch: validation if _is_due(epoch, validation_freq) else None,
            )
        finally:
            batches.close()
            if validation is not None:
                validation.close()
        return self.history

    def _fit(self, batches, callbacks, epochs, validation_of):
        train, report = self._function("train", callbacks)
        logs = {}
        self.__dict__.update(stop_training=False, _initial_epoch=None, _initial_batch=0)
        callbacks.on_train_begin()
        start, skip = self._initial_epoch or epochs.start, self._initial_batch
        with Interruption() as interruption:
            for epoch in range(start, epochs.stop):
                if not skip:  # Else the metrics go on as well.
                    self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                logs = self._run(
                    batches,
                    lambda batch: interruption.whole(train, batch),
                    callbacks.on_train_batch_begin,
                    callbacks.on_train_batch_end,
                    "stop_training",
                    epoch,
                    skip,
                    report,
                )
                skip, logs = 0, dict(Logs(self._final(logs)))
                validation = validation_of(epoch)
                if validation is not None:
                    tested = self._evaluate(validation.from_the_start(), callbacks)
                    logs |= {f"val_{name}": value for name, value in tested.items()}
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            if self.optimizer is not None and epochs:
                self.optimizer.finalize_variable_values(self.trainable_variables)
            callbacks.on_train_end(logs)

    def _function(self, verb, callbacks):
        """The function for one batch, and what gives its logs where they are not its result.

        Progress bars look at logs when they are drawn, and not at each batch: then a step does
        not compute them. Other callbacks may keep them, and get those of their batch.
        """
        bars = (History, ProgbarLogger, PatientBar)
        if all(type(callback) in bars for callback in callbacks.callbacks):
            function = self._silent_function(verb)
            if function is not None:
                return function, self.get_metrics_result
        return getattr(self, f"make_{verb}_function")(), None

    @on_its_device
    def evaluate(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight=None,
        steps: int | None = None,
        callbacks=None,
        return_dict: bool = False,
    ):
        """The loss and the metrics on data, with weights as they are.

        Args:
            x, y, batch_size, sample_weight: see `fit`.
            verbose: 0 silent, 1 a progress bar, 2 one line; "auto" shows a bar only in a terminal
                or notebook, and if it takes long.
            steps: batches to take; all by default.
            callbacks: a list of callbacks.
            return_dict: give a dict by name instead of a list.

        Returns the loss alone if there are no metrics, else a list in the order of `metrics`.
        Raises ValueError before `compile`, for empty data, and for data that does not fit.
        """
        self._require_compiled("evaluate")
        batches = self._batches(x, y, sample_weight, batch_size, steps)
        try:
            prepare(self, batches, "test_step")
            callbacks = self._callbacks(callbacks, verbose, batches)
            logs = self._evaluate(batches, callbacks)
        finally:
            batches.close()
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, batches, callbacks) -> dict[str, Any]:
        self.__dict__["stop_evaluating"] = False
        test, report = self._function("test", callbacks)
        callbacks.on_test_begin()
        self.reset_metrics()
        logs = self._run(
            batches,
            test,
            callbacks.on_test_batch_begin,
            callbacks.on_test_batch_end,
            "stop_evaluating",
            report=report,
        )
        logs = dict(Logs(self._final(logs)))
        callbacks.on_test_end(logs)
        return logs

    @on_its_device
    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict: bool = False
    ):
        """One step of training with one batch.

        Args:
            x, y, sample_weight, class_weight: see `fit`; arrays or structures of them.
            return_dict: give a dict by name instead of a list.

        Returns the loss alone if there are no metrics, else a list in the order of `metrics`.
        Raises ValueError before `compile`, and for data that does not fit.
        """
        batch = self._one_batch("train", x, y, sample_weight, class_weight)
        self.reset_metrics()
        with Interruption() as interruption:
            logs = dict(Logs(interruption.whole(self.make_train_function(), batch)))
        return logs if return_dict else self._in_order(logs)

    @on_its_device
    def test_on_batch(self, x, y=None, sample_weight=None, return_dict: bool = False):
        """The loss and the metrics of one batch: `evaluate` for arrays of one batch."""
        batch = self._one_batch("test", x, y, sample_weight)
        self.reset_metrics()
        logs = dict(Logs(self.make_test_function()(batch)))
        return logs if return_dict else self._in_order(logs)


def _check_loop(epochs, initial_epoch, validation_freq) -> None:
    for name, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
        if not hasattr(value, "__index__") or value < 0:
            raise ValueError(f"fit: {name} must be a whole number from 0, got {value!r}.")
    if not isinstance(validation_freq, (int, list, tuple, set, range)) or validation_freq == 0:
        raise ValueError(
            "fit: validation_freq must be a positive integer or a list of epochs, got "
            f"{validation_freq!r}."
        )


def _is_due(epoch: int, validation_freq) -> bool:
    if isinstance(validation_freq, int):
        return (epoch + 1) % validation_freq == 0
    return epoch + 1 in validation_freq
