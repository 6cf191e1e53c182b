"""What a graph of layers is without the detours of full calls: see `layers/plan.py`."""

from __future__ import annotations

from functools import partial

from ..arrays import KerasTensor
from ..layers.calling import call_signature
from ..layers.layer import Layer
from ..layers.plan import step
from .graph import keep, operation_of


def inference_of(graph, x):
    """The nodes of a graph one after another, each as its plan's step where it has one."""
    values = {id(graph.input_tensors[0]): x}
    moves = []
    for node, free in zip(graph.nodes, graph._free, strict=True):
        if "training" in node.kwargs:
            return None
        operation, out = node.operation, node.outputs
        single = len(node.args) == 1 and type(node.args[0]) is KerasTensor and not node.kwargs
        run = None
        if isinstance(operation, Layer) and single and type(out) is KerasTensor:
            run = step(operation, values[id(node.args[0])])
        if run is None:
            if isinstance(operation_of(node), Layer) and not _is_stateless(operation):
                return None
            keep(node, node.run(values), values)
            moves.append((partial(_run_node, node), None, None, free))
        else:
            values[id(out)] = run(values[id(node.args[0])])
            moves.append((run, id(node.args[0]), id(out), free))
    first, last = id(graph.input_tensors[0]), id(graph.output_tensors[0])
    line = [first, *(to for _, _, to, _ in moves)]
    if all(a == source for a, (_, source, _, _) in zip(line, moves, strict=False)):
        return chain([run for run, *_ in moves])

    def run(x):
        values = {first: x}
        for move, source, to, free in moves:
            if to is None:
                move(values)
            else:
                values[to] = move(values[source])
            for key in free:
                values.pop(key, None)
        return values[last]

    return run


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


def _run_node(node, values):
    keep(node, node.run(values), values)


def _is_stateless(layer) -> bool:
    """Whether a layer's full call may stand inside a plan.

    Layers that augment, by themselves or inside of others, may not: where nothing is said of
    training they take it for granted, and a plan runs for `predict` too.
    """
    inside = (call_signature(type(one)) for one in layer._flatten_layers())
    if any(signature.training_default for signature in inside):
        return False
    return layer.activity_regularizer is None and type(layer).__module__.startswith("gpulayers.")


def chain(steps):
    def run(x):
        for move in steps:
            x = move(x)
        return x

    return run
