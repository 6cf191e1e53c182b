"""`ProgbarLogger`: the progress bar of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from .callback import Callback
from .printing import say


class ProgbarLogger(Callback):
    """Shows progress and metrics; `fit`, `evaluate` and `predict` add one unless verbose=0."""

    INTERVAL = 0.1  # Seconds between two drawings.

    def __init__(self):
        super().__init__()
        self.seen = 0
        self.progbar = None
        self.target = None
        self.verbose = 1
        self.epochs = 1
        self._in_fit = False

    def set_params(self, params: dict) -> None:
        """Take "verbose" (0, 1, 2 or "auto", which is 1), "epochs" and "steps"."""
        self.params = params
        self.verbose = 1 if params["verbose"] == "auto" else params["verbose"]
        self.epochs, self.target = params["epochs"], params["steps"]

    def on_train_begin(self, logs=None):
        self._in_fit = True

    def on_train_end(self, logs=None):
        self._in_fit = False

    def on_epoch_begin(self, epoch, logs=None):
        if self.verbose and self.epochs > 1:
            say(f"Epoch {epoch + 1}/{self.epochs}")
        self._begin()

    def on_test_begin(self, logs=None):
        if not self._in_fit:
            self._begin()

    def on_predict_begin(self, logs=None):
        self._begin()

    def on_train_batch_end(self, batch, logs=None):
        self._update(batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        if not self._in_fit:
            self._update(batch, logs)

    def on_predict_batch_end(self, batch, logs=None):
        self._update(batch, None)

    def on_epoch_end(self, epoch, logs=None):
        self._end(logs)

    def on_test_end(self, logs=None):
        if not self._in_fit:
            self._end(logs)

    def on_predict_end(self, logs=None):
        self._end(None)

    def _begin(self):
        from ..models.progress import Progbar

        self.seen = 0
        self.progbar = Progbar(
            self.target, verbose=self.verbose, interval=self.INTERVAL, stateless_metrics=()
        )

    def _update(self, batch, logs):
        if self.progbar is None:
            self._begin()
        self.seen = batch + 1
        # Reading metrics waits for the device: not before they are shown.
        values = logs.items() if logs is not None and self.progbar.is_due() else ()
        self.progbar.update(self.seen, values, finalize=False)

    def _end(self, logs):
        if self.progbar is None:
            self._begin()
        if self.target is None:
            self.target = self.progbar.target = self.seen
        if self.verbose:
            self.progbar.update(self.seen or self.target, (logs or {}).items(), finalize=True)
