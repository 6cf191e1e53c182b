"""The progress bar of `evaluate` and `predict`, which waits whether it is worth while."""

from __future__ import annotations

import time

from ..callbacks import ProgbarLogger


class PatientBar(ProgbarLogger):
    """A progress bar that shows itself only on a screen, and only if the run takes long."""

    PATIENCE = 1.0  # Seconds.

    def _begin(self):
        super()._begin()
        self._begun, self._shown = time.perf_counter(), False

    def _update(self, batch, logs):
        if not self._shown and time.perf_counter() - self._begun >= self.PATIENCE:
            self._shown = self.progbar.is_due()  # Never, where lines cannot be drawn anew.
        if self._shown:
            super()._update(batch, logs)

    def _end(self, logs):
        if self._shown:
            super()._end(logs)
