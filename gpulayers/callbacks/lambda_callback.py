"""`LambdaCallback`: a callback of plain functions."""

from __future__ import annotations

from .callback import HOOKS, Callback


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin, on_epoch_end: functions (epoch, logs).
        on_train_begin, on_train_end: functions (logs).
        on_train_batch_begin, on_train_batch_end: functions (batch, logs).
        kwargs: functions for the other hooks of `Callback`, and other attributes, by name.

    Raises TypeError for an `on_...` that is no hook of `Callback`.
    """

    def __init__(
        self,
        on_epoch_begin=None,
        on_epoch_end=None,
        on_train_begin=None,
        on_train_end=None,
        on_train_batch_begin=None,
        on_train_batch_end=None,
        **kwargs,
    ):
        super().__init__()
        unknown = sorted(n for n in kwargs if n.startswith("on_") and n not in HOOKS)
        if unknown:
            raise TypeError(
                f"LambdaCallback: there is no hook {', '.join(unknown)}, but {', '.join(HOOKS)}."
            )
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        vars(self).update({hook: f for hook, f in functions.items() if f is not None})
