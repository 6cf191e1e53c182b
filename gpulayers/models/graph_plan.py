"""Graphs in which layers follow each other: see `layers/training_plan.py`."""

from __future__ import annotations

from ..layers.layer import Layer


def line_of_layers(graph):
    """The layers of a graph in which each takes what the one before gives; None for others."""
    tensor, layers = graph.input_tensors[0], []
    for node in graph.nodes:
        takes_it = len(node.args) == 1 and node.args[0] is tensor and not node.kwargs
        if not takes_it or not isinstance(node.operation, Layer):
            return None
        tensor = node.outputs
        layers.append(node.operation)
    return layers if tensor is graph.output_tensors[0] else None
