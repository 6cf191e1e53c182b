"""`TerminateOnNaN`: the end of training when the loss is no number any more."""

from __future__ import annotations

import math

from .callback import Callback
from .printing import say


class TerminateOnNaN(Callback):
    """Ends training after a batch whose loss is NaN or infinite.

    It reads the loss of every batch, and so waits for the device once a batch.

    Args:
        raise_error: raise RuntimeError at once, without the end hooks of other callbacks, instead
            of setting `model.stop_training`.
    """

    def __init__(self, raise_error: bool = False):
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"The loss is {loss} at batch {batch} (from 0): training ends here.")
        say(f"Batch {batch}: the loss is {loss}, training ends here.")
        self.model.stop_training = True
