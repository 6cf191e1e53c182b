"""`Callback`: the moments of training, evaluation and prediction at which one may act."""

from __future__ import annotations


class Callback:
    """Base class of callbacks: override the hooks of the moments to act at.

    `self.model` is the model and `self.params` a dict with "verbose", "epochs" and "steps". Setting
    `self.model.stop_training = True` ends `fit` after the batch or the epoch. The `logs` of the end
    hooks are a dict from metric names to floats; those of an epoch have validation results under
    "val_" names.

    What happens in `fit`, in this order: `on_train_begin`; for each epoch `on_epoch_begin`, for
    each batch `on_train_batch_begin` and `on_train_batch_end`, with validation data the test hooks,
    `on_epoch_end`; `on_train_end`. Epochs and batches are counted from 0. The batch hooks of
    training call `on_batch_begin` and `on_batch_end`, unless they are overridden.
    """

    def __init__(self):
        self.params = None
        self._model = None

    def set_params(self, params: dict) -> None:
        """Take the parameters of the run."""
        self.params = params

    def set_model(self, model) -> None:
        """Take the model."""
        self._model = model

    @property
    def model(self):
        """The model that is trained, evaluated or asked for predictions."""
        return self._model

    def on_batch_begin(self, batch, logs=None):
        """Called before each training batch."""

    def on_batch_end(self, batch, logs=None):
        """Called after each training batch."""

    def on_epoch_begin(self, epoch, logs=None):
        """Called before each epoch of `fit`."""

    def on_epoch_end(self, epoch, logs=None):
        """Called after each epoch of `fit` and its validation."""

    def on_train_batch_begin(self, batch, logs=None):
        """Called before each training batch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch, logs=None):
        """Called after each training batch."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch, logs=None):
        """Called before each batch of `evaluate`, and of the validation in `fit`."""

    def on_test_batch_end(self, batch, logs=None):
        """Called after each batch of `evaluate`, and of the validation in `fit`."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Called before each batch of `predict`."""

    def on_predict_batch_end(self, batch, logs=None):
        """Called after each batch of `predict`; logs has {"outputs": the batch's}."""

    def on_train_begin(self, logs=None):
        """Called when `fit` begins."""

    def on_train_end(self, logs=None):
        """Called when `fit` ends without an error."""

    def on_test_begin(self, logs=None):
        """Called when `evaluate`, or a validation, begins."""

    def on_test_end(self, logs=None):
        """Called when `evaluate`, or a validation, ends."""

    def on_predict_begin(self, logs=None):
        """Called when `predict` begins."""

    def on_predict_end(self, logs=None):
        """Called when `predict` ends."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


def overrides(callback, hook: str) -> bool:
    """Whether calling `hook` of `callback` would do anything."""
    if hook in vars(callback):  # LambdaCallback keeps functions so.
        return True
    own = getattr(type(callback), hook, None)
    if own is None:
        return False
    if own is not getattr(Callback, hook):
        return True
    inner = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
    return hook in inner and overrides(callback, inner[hook])
