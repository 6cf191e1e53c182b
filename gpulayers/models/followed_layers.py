"""Layers in graphs that an activation follows: on a GPU the first applies it, in its own pass.

So do batch normalizations, which with an activation are the most of what is between convolutions.
"""

from __future__ import annotations

from .. import activations
from ..arrays import devices, get_mask, plain
from ..layers.activation import Activation, ReLU
from ..layers.batch_normalization import FOLLOWED, BatchNormalization
from ..layers.pieces import Curve
from ..ops.dense import FUSED_NAMES
from .graph_plan import arrays_alone, readers_of
from .joined_nodes import JoinedNodes


class Followed(JoinedNodes):
    """A batch normalization, and an activation that alone reads it."""

    def make(self, values):
        node = self.first
        name = self._name(values[id(node.inputs[0])])
        if name is None:
            return False
        token = FOLLOWED.set((node.operation, name))
        try:
            values[id(self.second.outputs)] = node.run(values)
        finally:
            FOLLOWED.reset(token)
        return True

    def _name(self, x) -> str | None:
        """The activation in `ops.dense.FUSED` for arrays like `x`; None if both must be called."""
        layer, after = self.first.operation, self.second.operation
        if not devices.is_cupy(plain(x)) or get_mask(x) is not None:
            return None
        if layer.renorm or layer.activation is not activations.linear:
            return None
        regularized = layer.activity_regularizer or after.activity_regularizer
        if regularized is not None or after.compute_dtype != layer.compute_dtype:
            return None
        pieces = after._inference_pieces(x) or [None]
        return FUSED_NAMES.get(pieces[0].function) if type(pieces[0]) is Curve else None


def followed_layers(nodes, outputs) -> dict[int, Followed]:
    """Those among the nodes of a graph with such outputs, by the identity of either node."""
    readers, found = readers_of(nodes, outputs), {}
    for node in nodes:
        if type(node.operation) is not BatchNormalization or arrays_alone(node) is None:
            continue
        after, *others = readers.get(id(node.outputs), [None])
        if others or after is None or type(after.operation) not in (Activation, ReLU):
            continue
        if arrays_alone(after) is not None:
            found[id(node)] = found[id(after)] = Followed(node, after)
    return found
