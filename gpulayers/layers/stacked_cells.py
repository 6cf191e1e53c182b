"""What recurrent layers do with any cell, and cells on top of each other."""

from __future__ import annotations

from contextlib import contextmanager

from .. import registry
from ..ops.creation import zeros
from .calling import call_signature
from .dropout_cell import DropoutCell
from .layer import Layer
from .recurrent_cells import DenseCell, GRUCell, LSTMCell, SimpleRNNCell
from .tracking import BOOKKEEPING


def require_cell(who: str, cell) -> None:
    """Raise ValueError for what lacks `call` or `state_size`."""
    for name in ("call", "state_size"):
        if name not in dir(cell):
            raise ValueError(f"{who}: a cell must have `{name}`, got {cell!r:.80}.")


def call_cell(cell, inputs, states, training):
    """One step of any cell: (output, new states)."""
    if isinstance(cell, StackedRNNCells):
        return cell.call(inputs, states, training=training)
    if isinstance(cell, DropoutCell):
        return cell.call(inputs, states, training=training)
    options = {}
    if isinstance(cell, Layer) and call_signature(type(cell)).takes_training:
        options["training"] = training
    return (cell if callable(cell) else cell.call)(inputs, states, **options)


def output_size(cell):
    """The size of a cell's output: that of its first state, unless it says otherwise."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    return size


def initial_state(cell, batch_size, dtype):
    """A cell's states before the first step: its own, or zeros."""
    if getattr(cell, "get_initial_state", None) is not None:
        return cell.get_initial_state(batch_size=batch_size)
    if isinstance(cell.state_size, int):
        return zeros((batch_size, cell.state_size), dtype=dtype)
    return [zeros((batch_size, n), dtype=dtype) for n in cell.state_size]


def _parts(cell) -> list:
    """A cell and the layers inside it, and if it is a stack, cells that are no layers."""
    if not isinstance(cell, Layer):
        return [cell]
    stacked = cell.cells if isinstance(cell, StackedRNNCells) else ()
    others = [one for one in stacked if not isinstance(one, Layer)]
    return [*cell._flatten_layers(), *others]


def attributes(cell) -> list:
    """The attributes of a cell and of the layers inside it, but for what layers note themselves."""
    every = (item for part in _parts(cell) for item in getattr(part, "__dict__", {}).items())
    return [value for name, value in every if name not in BOOKKEEPING]


def dropping(cell) -> list[DropoutCell]:
    """The cells among a cell and those inside it that remember dropout masks."""
    return [one for one in _parts(cell) if isinstance(one, DropoutCell)]


def reset_masks(cell) -> None:
    """Make a cell, and those inside it, draw new dropout masks for the next sequence."""
    for one in dropping(cell):
        one.reset_dropout_mask()
        one.reset_recurrent_dropout_mask()


def kept_masks(cell):
    """A function that gives a context in which a cell has the dropout masks of now again."""
    cells = dropping(cell)
    kept = [one.masks_now() for one in cells]

    @contextmanager
    def again():
        others = [one.exchange_masks(masks) for one, masks in zip(cells, kept, strict=True)]
        try:
            yield
        finally:
            for one, masks in zip(cells, others, strict=True):
                one.exchange_masks(masks)

    return again


class StackedRNNCells(Layer):
    """Cells on top of each other as one: each takes the output of the one before it.

    Args:
        cells: a list of cells.

    Takes (batch, ...) and a list with the states of each cell, gives the last output and the new
    list.  Raises ValueError for cells without `call` or `state_size`.
    """

    def __init__(self, cells, **kwargs):
        super().__init__(**kwargs)
        for cell in cells:
            require_cell("StackedRNNCells", cell)
        self.cells = list(cells)

    @property
    def state_size(self):
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size=None):
        """The initial states of all cells."""
        return [initial_state(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape):
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (input_shape[0], output_size(cell))

    def call(self, inputs, states, training=False):
        found = []
        for cell, state in zip(self.cells, states, strict=True):
            listed = isinstance(state, (list, tuple))
            inputs, new = call_cell(cell, inputs, list(state) if listed else [state], training)
            if not listed and isinstance(new, (list, tuple)) and len(new) == 1:
                new = new[0]
            found.append(new)
        return inputs, found[0] if len(found) == 1 else found

    def get_config(self):
        return {**super().get_config(), "cells": [registry.serialize(c) for c in self.cells]}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        safe = registry.in_safe_mode()
        cells = [registry.deserialize(c, custom_objects, safe) for c in config["cells"]]
        return cls(**{**config, "cells": cells})


def sequence(cell, x, states, mask, training):
    """Outputs and states of all steps, where a cell has operations for them; else None.

    What cells on top of each other see at masked steps makes no difference: they skip them, too.
    """
    if type(cell) is StackedRNNCells:
        found = []
        if not all(isinstance(c, DenseCell) for c in cell.cells):
            return None
        for inner, state in zip(cell.cells, states, strict=True):
            listed = isinstance(state, (list, tuple))
            one = sequence(inner, x, state if listed else [state], mask, training)
            if one is None:
                return None
            x = one[0]
            found.append(one[1] if listed else one[1][0])
        return x, found
    names = fused(cell)
    every = None if names is None else cell.sequence(x, states, mask, training, names)
    return None if every is None else (every[0], every)


def fused(cell) -> dict | None:
    """The activations of a cell by name, if an operation does all steps of it; else None."""
    known = type(cell) in (SimpleRNNCell, LSTMCell, GRUCell)
    return cell.fused_names() if known else None
