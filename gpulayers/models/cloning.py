"""New models from old ones and from descriptions."""

from __future__ import annotations

from collections.abc import Callable

from .. import registry, tree
from ..arrays import KerasTensor
from ..layers.input_layer import Input, InputLayer
from ..layers.layer import Layer
from .functional import Functional
from .graph import keep
from .model import Model
from .sequential import Sequential


def clone_model(
    model: Model,
    input_tensors=None,
    clone_function: Callable | None = None,
    call_function: Callable | None = None,
    recursive: bool = False,
) -> Model:
    """A model of the same layers, newly made, with weights of its own; compiled as the old one.

    Args:
        model: a Sequential or functional model; others only if their `get_config` says all.
        input_tensors: KerasTensors to be the new model's inputs, in the old ones' structure.
        clone_function: layer -> new layer, for all but Inputs;
            `layer.from_config(layer.get_config())` by default.
        call_function: (new layer, *args, **kwargs) -> outputs, in the place of the layer's call;
            for functional models alone.
        recursive: whether `clone_function` gets the layers of inner models, not these themselves.

    A layer that several layers or inner models share is cloned once.  Raises ValueError for what is
    no model, and for arguments that do not fit it.
    """
    if not isinstance(model, Model):
        raise ValueError(f"clone_model: expected a model, got {type(model).__name__}.")
    if isinstance(model, Sequential) or model._graph is None:
        if call_function is not None:
            raise ValueError("clone_model: call_function is for functional models alone.")
        if not isinstance(model, Sequential) and (clone_function or input_tensors is not None):
            raise ValueError(
                "clone_model: clone_function and input_tensors are for Sequential and functional "
                f"models, {type(model).__name__} is neither."
            )
    with registry.copying():
        made = _Cloning(clone_function, call_function, recursive).of_model(model, input_tensors)
        if model.compiled:
            made.compile_from_config(model.get_compile_config())
    return made


class _Cloning:
    """One call of `clone_model`: what it was told, and the copies made so far."""

    def __init__(self, clone_function, call_function, recursive):
        self._clone, self._call = clone_function, call_function
        self._enter = recursive or clone_function is None
        self._copies: dict[int, Layer] = {}

    def of_model(self, model, input_tensors=None) -> Model:
        if isinstance(model, Sequential):
            return self._of_sequential(model, input_tensors)
        if model._graph is None:
            return type(model).from_config(model.get_config())
        return self._of_graph(model, input_tensors)

    def _of_layer(self, layer):
        made = self._copies.get(id(layer))
        if made is None:
            if self._enter and type(layer) in (Sequential, Functional):
                made = self.of_model(layer)
            elif self._clone is not None and not isinstance(layer, InputLayer):
                made = self._clone(layer)
            else:
                made = type(layer).from_config(layer.get_config())
            self._copies[id(layer)] = made
        return made

    def _of_sequential(self, model, input_tensors):
        layers = [self._of_layer(layer) for layer in model.layers]
        if input_tensors is not None:
            first, *others = tree.flatten(input_tensors)
            if others or not isinstance(first, KerasTensor):
                raise ValueError(
                    "clone_model: expected one KerasTensor as input_tensors of a Sequential model, "
                    f"got {input_tensors!r:.80}."
                )
            layers.insert(0, Input(tensor=first, name=first.name))
        elif model._input_layer is not None:
            layers.insert(0, self._of_layer(model._input_layer))
        return Sequential(layers, name=model.name, trainable=model.trainable)

    def _of_graph(self, model, input_tensors):
        graph = model._graph
        inputs = self._inputs(graph, input_tensors)
        values = dict(zip(map(id, graph.input_tensors), tree.flatten(inputs), strict=True))

        def given(x):
            return values[id(x)] if type(x) is KerasTensor else x

        for node in graph.nodes:
            function = node.operation
            args, kwargs = tree.map_structure(given, [list(node.args), node.kwargs])
            if isinstance(function, Layer):
                function = self._of_layer(function)
                if self._call is not None:
                    args.insert(0, function)
                    function = self._call
            keep(node, function(*args, **kwargs), values)
        outputs = tree.map_structure(lambda t: values[id(t)], graph.outputs)
        return Model(inputs, outputs, name=model.name, trainable=model.trainable)

    def _inputs(self, graph, input_tensors):
        if input_tensors is None:
            return tree.map_structure(
                lambda t: self._of_layer(t.node.operation).output, graph.inputs
            )
        flat = tree.flatten(input_tensors)
        if len(flat) != len(graph.input_tensors) or not all(type(x) is KerasTensor for x in flat):
            raise ValueError(
                f"clone_model: expected {len(graph.input_tensors)} KerasTensors as input_tensors, "
                f"got {input_tensors!r:.80}."
            )
        return tree.pack_sequence_as(graph.inputs, flat)


def model_from_json(json_string: str, custom_objects: dict | None = None) -> Model:
    """The model, with new weights, that `Model.to_json` described.

    Args:
        json_string: from `to_json`, ours or Keras's.
        custom_objects: name -> class or function of your own.

    Raises ValueError for what is no JSON of a model, and for unknown classes.
    """
    import json

    model = registry.deserialize(json.loads(json_string), custom_objects)
    if not isinstance(model, Model):
        raise ValueError(
            f"model_from_json: expected the description of a model, got {type(model).__name__}."
        )
    return model
