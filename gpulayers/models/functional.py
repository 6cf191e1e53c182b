"""Models that are graphs: how they take inputs, and how they are described."""

from __future__ import annotations

import warnings
from collections import deque
from contextvars import ContextVar

from .. import registry, tree
from ..arrays import KerasTensor, as_array, get_mask, is_array, masked, namespace, set_mask
from ..layers.input_layer import InputLayer
from ..layers.layer import Layer
from .graph import operation_of, sizes_fit
from .model import Model
from .operations import describe, function_of, name_of

_histories: ContextVar[dict | None] = ContextVar("histories", default=None)


class Functional(Model):
    """What `Model(inputs, outputs)` gives: a model that is a graph of layers."""

    keras_identity = ("keras.src.models.functional", "Functional", "Functional")
    _hands_masks_on = True

    def get_config(self) -> dict:
        return {
            "name": self.name,
            "trainable": self.trainable,
            **_graph_config(self),
        }

    def get_build_config(self) -> dict:
        """A graph needs no shapes to be built; Keras writes as much."""
        return {"input_shape": None}


def arranged(model: Model, inputs, mask=None) -> list:
    """The arrays for a graph's inputs, in their order, of the ranks that these have.

    Raises ValueError if their number, names or ranks do not fit.
    """
    expected = model._graph.inputs
    given = _by_structure(model, inputs, expected)
    masks = tree.flatten(mask) if mask is not None else [None] * len(given)
    tensors = model._graph.input_tensors
    if len(given) != len(tensors):
        raise ValueError(
            f"model {model.name!r} takes {len(tensors)} inputs ({', '.join(model.input_names)}), "
            f"got {len(given)}."
        )
    out = []
    for x, tensor, m in zip(given, tensors, masks, strict=True):
        x = x if x is None or is_array(x) else as_array(x)
        if x is not None and m is not None:
            x = masked(x, m)
        x = ranked(model, x, tensor)
        if x is not None and not sizes_fit(x, tensor):
            _refuse(model, x, tensor)
        out.append(x)
    return out


def _by_structure(model, inputs, expected):
    if isinstance(inputs, dict) and not isinstance(expected, dict):
        missing = [name for name in model.input_names if name not in inputs]
        if missing:
            raise ValueError(
                f"model {model.name!r}: inputs {', '.join(missing)} are missing; got "
                f"{', '.join(map(str, inputs))}."
            )
        return [inputs[name] for name in model.input_names]
    if isinstance(expected, dict) and isinstance(inputs, dict):
        missing = set(expected) - set(inputs)
        if missing:
            raise ValueError(
                f"model {model.name!r}: inputs {sorted(missing)} are missing; got {sorted(inputs)}."
            )
        if len(inputs) > len(expected):
            _warn(model, f"{sorted(set(inputs) - set(expected))} of the inputs are not used")
        return tree.flatten({key: inputs[key] for key in expected})
    if isinstance(expected, dict) and tree.is_nested(inputs):
        if list(expected) != sorted(expected):
            raise ValueError(
                f"model {model.name!r}: expected a dict of the inputs {list(expected)}, got a "
                f"{type(inputs).__name__}."
            )
        _warn(model, f"a {type(inputs).__name__} is taken for the dict of {list(expected)}")
    return tree.flatten(inputs)


def _warn(model, what):
    warnings.warn(
        f"model {model.name!r}: the inputs have another structure than expected: {what}.",
        stacklevel=2,
    )


def ranked(model, x, tensor):
    """`x` with an axis of size 1 added or taken off at its end, if that is all that differs."""
    if x is None:
        if not tensor.optional:
            raise ValueError(f"model {model.name!r}: input {tensor.name!r} must not be None.")
        return None
    rank, given = len(tensor.shape), len(x.shape)
    if rank == given:
        return x
    mask = get_mask(x)
    if given == rank + 1 and x.shape[-1] == 1:
        x = namespace(x).squeeze(x, axis=-1)
    elif given == rank - 1 and tensor.shape[-1] == 1:
        x = namespace(x).expand_dims(x, axis=-1)
    else:
        _refuse(model, x, tensor)
    if mask is not None:
        set_mask(x, mask)
    return x


def _refuse(model, x, tensor):
    raise ValueError(
        f"model {model.name!r}: input {tensor.name!r}: expected the shape {tensor.shape}, got "
        f"{tuple(x.shape)}."
    )


# Descriptions.


def _graph_config(model) -> dict:
    graph = model._graph
    names, histories = _name_nodes(graph)
    by_operation: dict[int, list] = {}
    for node in graph.nodes:
        by_operation.setdefault(id(node.operation), []).append(node)
    token = _histories.set(histories)
    try:
        layers = []
        for operation in graph.operations():
            if isinstance(operation, Layer):
                entry = registry.serialize(operation)
                calls = [(list(n.args), n.kwargs) for n in by_operation.get(id(operation), ())]
            else:
                entry, *call = describe(operation, names[id(operation)])
                calls = [call]
            entry["name"] = names[id(operation)]
            entry["inbound_nodes"] = [
                {"args": registry.serialize(args), "kwargs": registry.serialize(kwargs)}
                for args, kwargs in calls
            ]
            layers.append(entry)
        ends = [
            tree.map_structure(lambda t: _end_of(t, histories), structure)
            for structure in (graph.inputs, graph.outputs)
        ]
    finally:
        _histories.reset(token)
    return {"layers": layers, "input_layers": ends[0], "output_layers": ends[1]}


def _name_nodes(graph):
    """Unique names of the operations, and (name, node, output) of every KerasTensor."""
    names, taken, counts, histories = {}, set(), {}, {}
    for operation in graph.operations():
        name = base = operation.name or name_of(operation.operation)
        i = 0
        while name in taken:
            i += 1
            name = f"{base}_{i}"
        taken.add(name)
        names[id(operation)] = name
    for tensor in graph.input_tensors:
        histories[id(tensor)] = (names[id(operation_of(tensor.node))], 0, 0)
    for node in graph.nodes:
        operation = operation_of(node)
        index = counts[id(operation)] = counts.get(id(operation), -1) + 1
        for i, tensor in enumerate(tree.flatten(node.outputs)):
            histories[id(tensor)] = (names[id(operation)], index, i)
    return names, histories


def _end_of(tensor, histories) -> list:
    """The history of an input or output of the model.

    There, but not in the arguments of calls, Keras counts the making of a graph as its first call.
    """
    name, index, part = histories[id(tensor)]
    return [name, index + _is_graph(operation_of(tensor.node)), part]


def _is_graph(operation) -> bool:
    from .sequential import Sequential

    is_model = isinstance(operation, Model) and not isinstance(operation, Sequential)
    return is_model and operation._graph is not None


def serialize_tensor(tensor: KerasTensor) -> dict:
    """A KerasTensor inside the description of its model."""
    history = (_histories.get() or {}).get(id(tensor))
    if history is None:
        raise TypeError(f"serialize: {tensor} belongs to no model that is being described.")
    return {
        "class_name": "__keras_tensor__",
        "config": {
            "shape": list(tensor.shape),
            "dtype": tensor.dtype,
            "keras_history": list(history),
        },
    }


def from_graph_config(cls, config, custom_objects):
    """The model that `get_config` of a graph described."""
    made: dict[str, object] = {}
    outputs: dict[tuple, KerasTensor] = {}
    pending, shifts = [], {}
    last = _last_calls(config)
    for entry in config["layers"]:
        operation = function_of(entry)
        if operation is None:
            operation = registry.deserialize(
                entry, custom_objects, registry.in_safe_mode(), kind="layers"
            )
        name = entry.get("name") or entry["config"]["name"]
        made[name] = operation
        if isinstance(operation, InputLayer):
            outputs[name, 0, 0] = operation.output
            continue
        nodes = entry["inbound_nodes"]
        # In old files the arguments of calls too count a graph's making as its first call.
        first = int(_is_graph(operation) and last.get(name) == len(nodes))
        pending += [(name, first + i, node) for i, node in enumerate(nodes)]
        if _is_graph(operation):
            shifts[name] = first - 1
    _make_calls(pending, made, outputs)
    ends = [_ends(config[key], outputs, shifts) for key in ("input_layers", "output_layers")]
    own = {k: config[k] for k in ("name", "trainable") if k in config}
    return (Model if cls is Functional else cls)(*ends, **own)


def _make_calls(calls, made, outputs) -> None:
    """Make calls as soon as their inputs are there, which they wait for by name.

    Args:
        calls: (name of the layer, number of the call, description of its arguments) of each.
        made: the layers by name.
        outputs: (name, number of the call, number of the output) -> KerasTensor; more are added.
    """
    waiting: dict[tuple, list[int]] = {}
    missing = [set(_needed(node)) for _, _, node in calls]
    for (name, _, _), needed in zip(calls, missing, strict=True):
        if not needed:  # It would be run at once.
            raise ValueError(f"Model config: {name} is called on no output of a layer.")
    for i, needed in enumerate(missing):
        needed.difference_update(outputs)
        for key in needed:
            waiting.setdefault(key, []).append(i)
    ready = deque(i for i, needed in enumerate(missing) if not needed)
    left = dict.fromkeys(range(len(calls)))
    while ready:
        i = ready.popleft()
        left.pop(i)
        name, index, node = calls[i]
        out = _call(made[name], node, outputs)
        if not isinstance(made[name], Layer):
            tree.flatten(out)[0].node.name = name
        for part, tensor in enumerate(tree.flatten(out)):
            key = name, index, part
            outputs[key] = tensor
            for other in waiting.pop(key, ()):
                missing[other].discard(key)
                if not missing[other]:
                    ready.append(other)
    if left:
        names = ", ".join(sorted({calls[i][0] for i in left}))
        raise ValueError(f"Model config: the inputs of {names} are never made.")


def _last_calls(config) -> dict[str, int]:
    """The highest number of a call of each layer in the arguments of other calls."""
    found: dict[str, int] = {}
    for name, index, _ in _needed(config["layers"]):
        found[name] = max(found.get(name, 0), index)
    return found


def _needed(value):
    """The histories of all KerasTensors inside a node's description."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield tuple(value["config"]["keras_history"])
        elif "inbound_nodes" in value:  # A layer: what its config holds is a graph of its own.
            yield from _needed(value["inbound_nodes"])
        else:
            for part in value.values():
                yield from _needed(part)
    elif isinstance(value, list):
        for part in value:
            yield from _needed(part)


def _call(operation, node, outputs):
    def resolve(value):
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                return outputs[tuple(value["config"]["keras_history"])]
            if "class_name" in value and "config" in value:
                return registry.deserialize(value)
            return {key: resolve(part) for key, part in value.items()}
        return [resolve(part) for part in value] if isinstance(value, list) else value

    args, kwargs = resolve(node["args"]), resolve(node["kwargs"])
    if not isinstance(operation, Layer):  # The key of x[1, 2] was a tuple.
        args[1:] = [tuple(a) if isinstance(a, list) else a for a in args[1:]]
    return operation(*args, **kwargs)


def _ends(value, outputs, shifts):
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        name, index, part = value
        return outputs[name, index + shifts.get(name, 0), part]
    if isinstance(value, dict):
        return {key: _ends(part, outputs, shifts) for key, part in value.items()}
    return type(value)(_ends(part, outputs, shifts) for part in value)
