"""Sums in graphs that a normalization reads: on a GPU one pass over memory makes both.

So do transformers at each of their residuals: x = x + layer(x), and what follows reads the sum,
normalized; the next residual reads the sum itself.  Plans of inference know of that on their own
(`inference_plan`); here are calls layer by layer, as in training.
"""

from __future__ import annotations

from ..arrays import devices, get_mask, plain
from ..arrays.symbolic import Function
from ..layers.layer import Layer
from ..layers.merging import Add, are_alike
from ..layers.normalization import LayerNormalization, RMSNormalization, UnitNormalization
from ..layers.plan import asks_for_more
from ..ops.arithmetic import add
from ..ops.normalization import normalized_sum
from .graph_plan import arrays_alone, readers_of
from .joined_nodes import JoinedNodes

KINDS = (LayerNormalization, RMSNormalization, UnitNormalization)  # No classes derived from these.


class NormalizedSum(JoinedNodes):
    """The sum of two arrays, and the first that normalizes it."""

    def make(self, values):
        x, other = (values[id(t)] for t in self.first.inputs)
        layer = self.second.operation
        if not (devices.is_cupy(plain(x)) and are_alike([x, other])) or self._needs_calls(x, other):
            return False
        _, weights, options = layer._operation(x)
        if not all(w is None or devices.is_cupy(w._value) for w in weights):
            return False
        both = normalized_sum(x, other, *weights, **options)
        values[id(self.first.outputs)], values[id(self.second.outputs)] = both
        return True

    def _needs_calls(self, x, other) -> bool:
        """Whether there is more to the two calls than their arithmetic."""
        if get_mask(x) is not None or get_mask(other) is not None:
            return True
        operations = (self.first.operation, self.second.operation)
        return any(isinstance(op, Layer) and asks_for_more(op, x, True) for op in operations)


def normalized_sums(nodes, outputs) -> dict[int, NormalizedSum]:
    """Those among the nodes of a graph with such outputs, by the identity of either node."""
    readers, found = readers_of(nodes, outputs), {}
    for node in nodes:
        if not adds_two(node):
            continue
        known = readers.get(id(node.outputs), [])
        after = next((n for n in known if n is not None and _normalizes(n)), None)
        if after is not None:
            found[id(node)] = found[id(after)] = NormalizedSum(node, after)
    return found


def _normalizes(node) -> bool:
    return type(node.operation) in KINDS and arrays_alone(node) is not None


def adds_two(node) -> bool:
    """Whether a node is the sum of two KerasTensors without masks, by whatever spelling."""
    if len(node.inputs) != 2 or node.kwargs:
        return False
    if type(node.operation) is Add:
        return arrays_alone(node) is not None
    is_function = type(node.operation) is Function and node.operation.name == "add"
    masked = [t for t in node.inputs if getattr(t, "_mask", None) is not None]
    return (is_function or node.operation is add) and len(node.args) == 2 and not masked
