"""The loop of `predict`, and the shorter way of what is one batch."""

from __future__ import annotations

import numpy as np

from .. import tree
from ..arrays import devices, namespace
from .data import kind_of, to_kind
from .data.prefetch import host_copies
from .inference_plan import Plans
from .loops import Loops
from .preparation import device_of, on_its_device, prepare
from .steps import Steps

BATCH_SIZE = 32


QUIET = (0, "auto")  # Values of `verbose` with which one batch says nothing.


class Prediction(Loops):
    """What makes a layer a model that predicts."""

    def predict(
        self,
        x,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks=None,
    ):
        """The outputs for data, batch by batch, as arrays of the kind that `x` has.

        Args:
            x: inputs as for `fit`; targets beside them are ignored.
            batch_size: samples in a batch, for arrays; 32 by default.
            verbose: see `evaluate`.
            steps: batches to take; all by default.
            callbacks: a list of callbacks; each gets {"outputs": ...} after a batch.

        Returns arrays (samples, ...) in the structure of the model's outputs.
        Raises ValueError for empty data.
        """
        at_once = callbacks is None and steps is None and verbose in QUIET
        if at_once and type(self._plan) is Plans:
            outputs = self._plan.output(self, x, batch_size or BATCH_SIZE)
            if outputs is not None:
                return outputs
        return self._predict_all(x, batch_size, verbose, steps, callbacks, at_once)

    @on_its_device
    def _predict_all(self, x, batch_size, verbose, steps, callbacks, at_once):
        if at_once and type(x) in (np.ndarray, list, dict):
            plan = self._short_way(x, batch_size or BATCH_SIZE)
            if plan is not None:
                outputs = plan.run(x, training=False)
                return outputs if plan.fresh else tree.map_structure(_owned, outputs)
        batches = self._batches(x, None, None, batch_size, steps)
        try:
            prepare(self, batches, "predict_step")
            callbacks = self._callbacks(callbacks, verbose, batches)
            return self._predict(batches, callbacks, kind_of(x))
        finally:
            batches.close()

    def _predicts_as_usual(self) -> bool:
        return type(self).predict_step is Steps.predict_step

    def _short_way(self, x, batch_size):
        """The plan of inference for arrays of one batch; None for the usual way."""
        if not self._predicts_as_usual():
            return None
        first = x if type(x) is np.ndarray else next(tree.leaves(x), None)
        if type(first) is not np.ndarray or not first.ndim or not 0 < len(first) <= batch_size:
            return None
        return self._plan_for(x)

    def _predict(self, batches, callbacks, kind):
        predict, parts = self.make_predict_function(), []
        copies = host_copies(device_of(self)) if kind is devices.CPU else None

        def fetched(outputs, done):
            def there(leaf):
                if done is not None and devices.is_cupy(leaf):
                    return copies.fetched(leaf, done)
                return to_kind(leaf, kind)

            return tree.map_structure(there, outputs)

        def step(batch):
            outputs = predict(batch)
            done = None if copies is None else copies.mark()
            if parts:  # The one before comes to the host while this one is under way.
                parts[-1] = fetched(*parts[-1])
            parts.append((outputs, done))
            return {"outputs": outputs}

        self.__dict__["stop_predicting"] = False
        callbacks.on_predict_begin()
        self._run(
            batches,
            step,
            callbacks.on_predict_batch_begin,
            callbacks.on_predict_batch_end,
            "stop_predicting",
        )
        parts[-1] = fetched(*parts[-1])
        callbacks.on_predict_end()
        with devices.on(kind):
            return tree.map_structure(_joined, *parts)

    @on_its_device
    def predict_on_batch(self, x):
        """The outputs for one batch, as arrays of the kind that `x` has."""
        kind = kind_of(x)
        outputs = self.make_predict_function()(self._one_batch("predict", x))
        return tree.map_structure(lambda leaf: to_kind(leaf, kind), outputs)


def _owned(output):
    """An output that nothing else may refer to, so that a caller may change it."""
    return output.copy() if type(output) is np.ndarray else output


def _joined(*parts):
    """The parts of one output as one new array along the axis of samples."""
    xp = namespace(*parts)
    return xp.concat(parts, axis=0) if len(parts) > 1 else xp.asarray(parts[0], copy=True)
