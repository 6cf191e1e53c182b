"""`CallbackList`: several callbacks called as one."""

from __future__ import annotations

from .. import tree
from .callback import HOOKS, Callback, overrides
from .history import History
from .logs import Logs
from .progbar_logger import ProgbarLogger


class CallbackList(Callback):
    """Callbacks that are called together, in their order.

    A hook costs nothing where no callback overrides it, and `logs` (a mapping, or a function that
    gives one) are turned into floats only when a callback reads them.

    Args:
        callbacks: `Callback` objects, one or a nested list of them.
        add_history: whether to append a `History`, if there is none.
        add_progbar: whether to append a `ProgbarLogger`, if there is none.
        model: the model they are for.
        params: "verbose", "epochs" and "steps", for `set_params`.

    Raises TypeError for something that is no callback.
    """

    def __init__(
        self, callbacks=None, add_history: bool = False, add_progbar: bool = False, model=None,
        **params,
    ):  # fmt: skip
        super().__init__()
        self.callbacks = tree.flatten(callbacks) if callbacks else []
        for callback in self.callbacks:
            if isinstance(callback, type) or not hasattr(callback, "set_model"):
                raise TypeError(
                    f"callbacks: expected Callback objects, got {callback!r}. LambdaCallback makes "
                    f"one of functions."
                )
        if add_history and self._first(History) is None:
            self.callbacks.append(History())
        if add_progbar and self._first(ProgbarLogger) is None:
            self.callbacks.append(ProgbarLogger())
        self._find_hooks()
        self.set_model(model)
        self.set_params(params)

    def _first(self, kind):
        return next((c for c in self.callbacks if isinstance(c, kind)), None)

    def _find_hooks(self):
        self._hooks = {
            hook: [getattr(c, hook) for c in self.callbacks if overrides(c, hook)] for hook in HOOKS
        }

    def append(self, callback: Callback) -> None:
        """Add a callback behind the others."""
        self.callbacks.append(callback)
        self._find_hooks()

    def has(self, hook: str) -> bool:
        """Whether any callback acts at `hook`, such as "on_train_batch_end"."""
        return bool(self._hooks[hook])

    def set_params(self, params: dict) -> None:
        """Give the parameters of the run to all callbacks."""
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model) -> None:
        """Give the model to all callbacks, and the history to the model."""
        if model is None:
            return
        super().set_model(model)
        history = self._first(History)
        if history is not None:
            model.history = history
        for callback in self.callbacks:
            callback.set_model(model)


def _of_run(hook):
    def call(self, logs=None):
        if hook == "on_train_begin":
            self._find_hooks()  # Somebody may have added functions since.
        calls = self._hooks[hook]
        logs = Logs(logs) if calls else None
        for function in calls:
            function(logs)

    return call


def _of_epoch(hook):
    def call(self, epoch, logs=None):
        calls = self._hooks[hook]
        logs = Logs(logs) if calls else None
        for function in calls:
            function(epoch, logs)

    return call


def _of_batch(hook):
    def call(self, batch, logs=None):
        calls = self._hooks[hook]
        if calls:
            logs = Logs(logs)
            for function in calls:
                function(batch, logs=logs)

    return call


for _hook in HOOKS:
    _kind = _of_batch if "_batch_" in _hook else _of_epoch if "_epoch_" in _hook else _of_run
    _call = _kind(_hook)
    _call.__name__, _call.__doc__ = _hook, f"Call `{_hook}` of the callbacks that override it."
    setattr(CallbackList, _hook, _call)
