"""What graphs of layers do in training, without a tape: see `layers/training_plan.py`."""

from __future__ import annotations

import numpy as np

from ..arrays import Abstract, KerasTensor, infer
from ..layers.layer import Layer
from ..layers.training_plan import Link, links_of


def links_of_graph(graph, x) -> list[Link] | None:
    """The links of a graph with one input and one output for arrays like `x`.

    None if there are more, or if some layer needs full calls.
    """
    if len(graph.input_tensors) != 1 or len(graph.output_tensors) != 1:
        return None
    links, start = [], id(graph.input_tensors[0])
    places, shapes = {start: -1}, {start: Abstract(x.shape, x.dtype)}
    for node in graph.nodes:
        tensors = arrays_alone(node)
        if tensors is None:
            return None
        given = [shapes[id(t)] for t in tensors]
        made = links_of(node.operation, *map(_ghost, given))
        if made is None:
            return None
        sources, result = [places[id(t)] for t in tensors], id(node.outputs)
        places[result] = len(links) + len(made) - 1 if made else sources[0]
        links += _joined_to(made, sources, len(links))
        shapes[result] = infer(node.operation, given if type(node.args[0]) is list else given[0])
    return links if places[id(graph.output_tensors[0])] == len(links) - 1 else None


def arrays_alone(node):
    """The KerasTensors of a layer that is called on one, or on a list of them; None for others."""
    call = [v for k, v in node.kwargs.items() if k != "mask" or v is not None]
    if call or len(node.args) != 1 or not isinstance(node.operation, Layer):
        return None
    if type(node.outputs) is not KerasTensor:
        return None
    tensors = node.args[0] if type(node.args[0]) is list else [node.args[0]]
    masked = [t for t in (*tensors, node.outputs) if getattr(t, "_mask", None) is not None]
    return None if masked or any(type(t) is not KerasTensor for t in tensors) else tensors


def readers_of(nodes, outputs) -> dict[int, list]:
    """The nodes that read a KerasTensor, by its identity; None first for an output of the graph."""
    readers: dict[int, list] = {id(t): [None] for t in outputs}
    for node in nodes:
        for tensor in node.inputs:
            readers.setdefault(id(tensor), []).append(node)
    return readers


def _ghost(x: Abstract):
    """An array of that shape and dtype that takes no memory."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape)


def _joined_to(links, sources, start):
    """The links of a layer, with inputs at the places `sources`, behind `start` other links."""
    for i, link in enumerate(links):
        at = [i - back for back in link.back]  # Among the layer's own links, or before them.
        at = [start + place if place >= 0 else sources[place] for place in at]
        yield link._replace(back=tuple([start + i - place for place in at]))
