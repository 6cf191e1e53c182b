"""Losses that layers add in their calls: kept until the next call from outside."""

from __future__ import annotations

from threading import local

from .. import tree
from ..arrays import is_array
from ..arrays.variable import SCOPE
from .calling import CALL


class Noted(local):
    """What the calls of one thread have left in a layer: one may serve while another trains."""

    def __init__(self):
        self.losses, self.owners = [], []

    def __reduce__(self):
        return Noted, ()  # Copies of a layer have been called by nobody.


class AddedLosses:
    """The part of a layer that adds losses."""

    _losses = property(lambda self: self._noted.losses)
    _loss_owners = property(lambda self: self._noted.owners)  # In a root: who added some.

    def add_loss(self, loss):
        """Add a term to the loss that training minimises: a scalar array, or a list of them."""
        if inferring():
            return
        context = CALL.get()
        root = self if context is None else context.root
        if self not in root._loss_owners:
            self._losses.clear()  # Those of a call from elsewhere.
            root._loss_owners.append(self)
        self._losses.extend(loss if isinstance(loss, (list, tuple)) else [loss])

    def _regularize_activity(self, outputs):
        for x in tree.leaves(outputs):
            if is_array(x):
                self.add_loss(self.activity_regularizer(x) / max(x.shape[0], 1))

    def _clear_losses(self):
        for layer in self._loss_owners:
            layer._losses.clear()
        self._loss_owners.clear()


def inferring() -> bool:
    """Whether shapes are being inferred, and nothing may change."""
    scope = SCOPE.get()
    return scope is not None and scope.inferring
