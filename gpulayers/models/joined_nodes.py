"""Two nodes of a graph that can be made together: see `normalized_sums`, `followed_layers`."""

from __future__ import annotations


class JoinedNodes:
    """A node, and one that reads it, which the first makes as well wherever `make` can.

    Plans of inference join layers on their own (`inference_plan`); these are for calls layer by
    layer, as in training.  Derived classes have make(values), which puts what both give beside
    other values; where that cannot be, it does nothing and gives False.
    """

    def __init__(self, first, second):
        self.first, self.second = first, second

    def run(self, node, values: dict) -> bool:
        """Whether this has made what `node`, either of both, gives."""
        if node is self.second:
            return id(node.outputs) in values
        return self.make(values)
