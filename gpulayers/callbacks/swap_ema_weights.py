"""`SwapEMAWeights`: the averaged weights of an optimizer put into the model for a while."""

from __future__ import annotations

from .callback import Callback


class SwapEMAWeights(Callback):
    """Puts the averaged weights of an optimizer with `use_ema=True` into the model to evaluate it.

    The model has the averages during `evaluate`, `predict` and validation, and its own weights
    while it trains.

    Args:
        swap_on_epoch: whether to swap at the end of each epoch already (and back at the beginning
            of the next one), so that a `ModelCheckpoint` behind this callback saves the averages.
            After the last epoch the model then keeps them.

    Raises ValueError if the optimizer keeps no averages.
    """

    def __init__(self, swap_on_epoch: bool = False):
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._has_averages = False

    def on_epoch_begin(self, epoch, logs=None):
        if self.swap_on_epoch:
            self._put(averages=False)

    def on_epoch_end(self, epoch, logs=None):
        if not self.swap_on_epoch:
            return
        self._put(averages=True)
        if epoch == self.params["epochs"] - 1:
            for weight, average in self._pairs():
                average.assign(weight.value)

    def on_test_begin(self, logs=None):
        self._put(averages=True)

    def on_test_end(self, logs=None):
        self._put(averages=False)

    def on_predict_begin(self, logs=None):
        self._put(averages=True)

    def on_predict_end(self, logs=None):
        self._put(averages=False)

    def _put(self, averages):
        if averages == self._has_averages:
            return
        for weight, average in self._pairs():
            value = weight.value
            weight.assign(average.value)
            average.assign(value)
        self._has_averages = averages

    def _pairs(self):
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        several = getattr(optimizer, "optimizers", None) or [optimizer]
        averaging = [one for one in several if getattr(one, "use_ema", False)]
        if not averaging:
            raise ValueError(
                "SwapEMAWeights: the optimizer keeps no averages; compile the model with an "
                "optimizer that has use_ema=True."
            )
        for one in averaging:
            for weight, average in zip(one._trainable_variables, one._averages, strict=True):
                if average is not None:
                    yield weight, average
