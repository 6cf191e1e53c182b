"""New models from old ones and from descriptions."""

from __future__ import annotations

from .. import registry
from ..layers.input_layer import InputLayer
from .model import Model


def clone_model(model: Model, input_tensors=None, clone_function=None, call_function=None) -> Model:
    """A model of the same layers, newly made, with weights of its own.

    Args:
        model: a Sequential or functional model (others: if their config says all).
        input_tensors: KerasTensors to be the new model's inputs.
        clone_function: layer -> new layer; `layer.from_config(layer.get_config())` by default.

    Raises ValueError for what is no model.
    """
    from .sequential import Sequential

    if not isinstance(model, Model):
        raise ValueError(f"clone_model: expected a model, got {type(model).__name__}.")

    def clone(layer):
        if clone_function is not None and not isinstance(layer, InputLayer):
            return clone_function(layer)
        return type(layer).from_config(layer.get_config())

    if isinstance(model, Sequential):
        layers = [clone(layer) for layer in model.layers]
        if input_tensors is not None:
            first = input_tensors[0] if isinstance(input_tensors, (list, tuple)) else input_tensors
            layers.insert(0, first.node.operation)
        elif model._input_layer is not None:
            layers.insert(0, clone(model._input_layer))
        return Sequential(layers, name=model.name, trainable=model.trainable)
    if model._graph is None:
        return type(model).from_config(model.get_config())
    copies: dict[int, object] = {}
    return _clone_graph(model, input_tensors, clone, call_function, copies)


def _clone_graph(model, input_tensors, clone, call_function, copies):
    from .. import tree
    from ..arrays import KerasTensor
    from ..layers.layer import Layer
    from .graph import keep

    graph = model._graph
    if input_tensors is None:
        inputs = tree.map_structure(lambda t: clone(t.node.operation).output, graph.inputs)
    else:
        inputs = tree.pack_sequence_as(graph.inputs, tree.flatten(input_tensors))
    values = dict(zip(map(id, graph.input_tensors), tree.flatten(inputs), strict=True))
    for node in graph.nodes:
        operation = node.operation
        if isinstance(operation, Layer):
            if id(operation) not in copies:
                inner = isinstance(operation, Model) and operation._graph is not None
                copies[id(operation)] = clone_model(operation) if inner else clone(operation)
            operation = copies[id(operation)]

        def given(x, values=values):
            return values[id(x)] if type(x) is KerasTensor else x

        args, kwargs = tree.map_structure(given, [list(node.args), node.kwargs])
        if call_function is not None and isinstance(operation, Layer):
            keep(node, call_function(operation, *args, **kwargs), values)
        else:
            keep(node, operation(*args, **kwargs), values)
    outputs = tree.map_structure(lambda t: values[id(t)], graph.outputs)
    return Model(inputs, outputs, name=model.name)


def model_from_json(json_string: str, custom_objects=None) -> Model:
    """The model, with new weights, that `Model.to_json` described."""
    import json

    return registry.deserialize(json.loads(json_string), custom_objects)
