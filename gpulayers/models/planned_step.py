"""Outputs, loss and gradients of a line of layers, without a tape around them.

In a small model, recording, reading the record, and asking what may be different this time cost
more than the arithmetic.  Where a model has a training plan (`layers/training_plan.py`), its layers
follow each other directly; so does the loss where it is one operation, else it is recorded alone.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Tape, is_recorded
from ..arrays.masks import any_masks
from ..arrays.variable import SCOPE
from ..layers.calling import CALL
from ..layers.tracking import STRUCTURE
from ..losses import Loss

ONE = np.ones((), np.float32)


class PlannedStep:
    """What a compiled model does to batches like those with `x`, as long as its structure stays."""

    def __init__(self, model, x):
        self.version, self.model, self.optimizer = STRUCTURE[0], model, model.optimizer
        self.plan = model._training_plan(x) if type(x) is np.ndarray else None
        self.layers = model._flatten_layers()
        only = None if model._compiled.loss is None else model._compiled.loss.only
        self.loss = only.loss if only is not None and only.weight is None else None
        if type(self.loss).__call__ is not Loss.__call__ or "compute_loss" in vars(model):
            self.loss = None
        self.exists = self.plan is not None and self.optimizer is not None

    def __reduce__(self):
        return type(None), ()  # A copy of the model plans for itself.

    def __call__(self, x, y, sample_weight, variables):
        """(outputs, loss, gradients by `variables`); None if such a batch needs a tape."""
        if (
            not self.exists
            or not self.plan.fits(x)
            or SCOPE.get() is not None
            or CALL.get() is not None
            or any_masks()
            or self.optimizer.scale_loss(ONE) is not ONE
            or [layer for layer in self.layers if layer._losses]
            or [variable for variable in variables if variable.regularizer is not None]
        ):
            return None
        places = {id(variable): place for place, variable in enumerate(variables)}
        outputs, parents, pullback = self.plan.run(x, None, lambda v: places.get(id(v)))
        loss, g = self._loss(x, y, outputs, sample_weight)
        gradients = [None] * len(variables)
        if pullback is None or g is None:
            return outputs, loss, gradients
        for place, part in zip(parents, pullback(g), strict=True):
            if place is not None:
                before = gradients[place]
                gradients[place] = part if before is None else before + part
        return outputs, loss, gradients

    def _loss(self, x, y, outputs, sample_weight):
        """The loss, and its gradient with respect to the outputs."""
        made = None
        if self.loss is not None and sample_weight is None:
            made = self.loss.directly(y, outputs)
        if made is not None:
            loss, pullback = made
            return loss, pullback(np.ones((), loss.dtype))
        with Tape([]) as tape:
            recorded = tape.watch(outputs)
            loss = self.model._loss_of(x, y, recorded, sample_weight, True)
        return loss, tape.gradient(loss, outputs) if is_recorded(loss) else None
