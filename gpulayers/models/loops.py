"""What the loops over data share: batches, callbacks around each step, and logs."""

from __future__ import annotations

import warnings
from typing import Any

from .. import config
from ..callbacks import CallbackList
from .compiling import CompileMetrics
from .data import Batches, make_batches
from .patient_bar import PatientBar
from .preparation import device_of, prepare
from .steps import Steps


class Loops(Steps):
    """Loops of steps over batches."""

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(
                f"{self.name}: you must call `compile()` before `{method}()`, for example "
                "model.compile(optimizer='adam', loss='mse')."
            )

    def _batches(self, x, y, sample_weight, batch_size, steps, shuffle=False, class_weight=None):
        batches = make_batches(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            steps=steps,
            shuffle=shuffle,
            class_weight=class_weight,
            device=device_of(self),
        )
        limit = config.max_steps_per_epoch()
        if limit is not None and at_most(batches.num_batches, limit, "steps_per_epoch") == limit:
            batches.steps = limit
        return batches

    def _one_batch(self, verb, x, y=None, sample_weight=None, class_weight=None):
        """The arguments of `train_on_batch` and the like as a batch on the model's device."""
        method = f"{verb}_on_batch"
        if verb != "predict":
            self._require_compiled(method)
        batches = Batches(device=device_of(self), class_weight=class_weight)
        batch = batches.as_batch((x, y, sample_weight), method)
        batches.one_pass = lambda: iter([batch])
        prepare(self, batches, f"{verb}_step")
        return next(batches.epoch())

    def _callbacks(self, callbacks, verbose, batches, epochs=None):
        """The callbacks of one run, as one; `epochs` only for `fit`."""
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {verbose!r}.")
        if isinstance(callbacks, CallbackList):
            return callbacks
        patient = verbose == "auto" and epochs is None
        return CallbackList(
            [callbacks or [], PatientBar()] if patient else callbacks,
            add_history=epochs is not None,
            add_progbar=verbose != 0 and not patient,
            verbose=verbose,
            epochs=epochs or 1,
            steps=batches.num_batches,
            model=self,
        )

    def _final(self, logs) -> dict[str, Any]:
        """The metrics of the whole epoch, or the last step's logs if those are something else."""
        results = self.get_metrics_result()
        own = isinstance(logs, dict) and logs and logs.keys() != results.keys()
        return logs if own else results

    def _in_order(self, logs: dict[str, Any]):
        """Logs as a list: by the order of `metrics`, then by name; a single one by itself."""
        names = []
        for metric in self.metrics:
            inner = metric.metrics if isinstance(metric, CompileMetrics) else [metric]
            names += [each.name for each in inner]
        ordered = dict.fromkeys(name for name in names if name in logs)
        ordered |= dict.fromkeys(sorted(logs))
        values = [logs[name] for name in ordered]
        return values[0] if len(values) == 1 else values

    def _run(self, batches: Batches, step, on_begin, on_end, stop, epoch=0, start=0, report=None):
        """One epoch of steps, callbacks around each; gives the logs of the last one."""
        size, logs, number = self.steps_per_execution, {}, start - 1
        batches.on_epoch_begin()
        for number, batch in enumerate(batches.epoch(epoch, start), start):
            if number % size == 0:
                on_begin(number)
            logs = step(batch)
            if (number + 1) % size == 0:
                on_end(number, report or logs)
                if getattr(self, stop):
                    break
        if (number + 1) % size:
            on_end(number, report or logs)
        batches.on_epoch_end()
        return logs


def at_most(value: int | None, limit: int | None, name: str) -> int | None:
    """`value`, or the limit that `config` sets, with a warning where that is lower."""
    if limit is None or (value is not None and value <= limit):
        return value
    warnings.warn(f"config.set_max_{name}: {name} is limited to {limit}.", stacklevel=4)
    return limit
