"""Descriptions that older versions of Keras wrote, in the form of Keras 3.15.

Keras 2 gave no module, but "class_name" and "config" alone; it had other names for some arguments,
and listed the calls of a layer as [[["layer", node, output, further arguments], ...], ...].
Before Keras 3.11, one input or output of a graph was a list of one, and meant just that one.
"""

from __future__ import annotations

import re
from typing import Any

# Arguments that Keras 3 does not have, by class ("" for any), with the values that can be left out
# without changing what the layer does; () for all.
_NO_KERNEL = dict.fromkeys(("kernel_initializer", "kernel_regularizer", "kernel_constraint"), ())
_GONE: dict[str, dict[str, tuple]] = {
    "": {"batch_input_shape": (), "time_major": (False,)},
    "BatchNormalization": {"fused": (), "virtual_batch_size": (None,), "adjustment": (None,)},
    "Conv1DTranspose": {"groups": (1,)},
    "Conv2DTranspose": {"groups": (1,)},
    "Conv3DTranspose": {"groups": (1,)},
    "DepthwiseConv1D": {"groups": (1,), "filters": (), **_NO_KERNEL},
    "DepthwiseConv2D": {"groups": (1,), "filters": (), **_NO_KERNEL},
    "Lambda": dict.fromkeys(
        ("module", "function_type", "output_shape_type", "output_shape_module"), ()
    ),
    "MultiHeadAttention": dict.fromkeys(
        ("query_shape", "key_shape", "value_shape", "softmax_robust_masking"), ()
    ),
    "SeparableConv1D": {"groups": (1,), **_NO_KERNEL},
    "SeparableConv2D": {"groups": (1,), **_NO_KERNEL},
}
_OPTIMIZER = {"decay": (0.0,), "jit_compile": (), "is_legacy_optimizer": ()}
_GONE_SINCE_3_0 = {"RandomRotation": {"value_range": ()}}
# What tells the layers of a graph from its functions, such as x + y, and where Keras 3 has these.
_OF_LAYERS = {"trainable", "layers", "batch_shape"}
_FUNCTIONS = "keras.src.ops.numpy"
_CUSTOM = "Custom>"  # What Keras 2.11 and later put before the names of its own optimizers.


def upgraded(config: Any) -> Any:
    """A description of layers, or any part of one, in the form of Keras 3.

    What has that form already stays as it is.  Raises ValueError for arguments that nothing in
    Keras 3 stands for.
    """
    if isinstance(config, list):
        return [upgraded(part) for part in config]
    if not isinstance(config, dict):
        return config
    name, inner = config.get("class_name"), config.get("config")
    if isinstance(name, str) and str(config.get("module", "keras")).startswith("keras"):
        if name == "Policy":  # Of mixed precision.
            name = "DTypePolicy"
        if name == "Sequential":
            inner = _sequential(inner)
        elif isinstance(inner, dict) and not name.startswith("__"):
            inner = _single_ends(_arguments(name, inner))
        config = {**config, "class_name": name, "config": inner}
        if isinstance(config.get("inbound_nodes"), list):
            config["inbound_nodes"] = [_call(node) for node in config["inbound_nodes"]]
            if isinstance(inner, dict) and not inner.keys() & _OF_LAYERS:
                config.setdefault("module", _FUNCTIONS)
    return {key: upgraded(part) for key, part in config.items()}


def upgraded_since(version: str, config: Any) -> Any:
    """A description that Keras 3 of some version wrote, in the form of Keras 3.15."""
    if _numbers(version) >= (3, 11):
        return config
    if isinstance(config, list):
        return [upgraded_since(version, part) for part in config]
    if not isinstance(config, dict):
        return config
    name, inner = config.get("class_name"), config.get("config")
    if isinstance(inner, dict) and config.get("registered_name") in (None, name):
        gone = _GONE_SINCE_3_0.get(str(name), {})
        config = {**config, "config": _single_ends(_without(str(name), dict(inner), gone))}
    return {key: upgraded_since(version, part) for key, part in config.items()}


def _numbers(version) -> tuple[int, ...]:
    """The first two numbers of a version; those of the newest if it is none."""
    parts = re.match(r"(\d{1,4})\.(\d{1,4})", version if isinstance(version, str) else "")
    return tuple(map(int, parts.groups())) if parts else (3, 15)


def _single_ends(inner: dict) -> dict:
    """A graph of one input, or one output, with that instead of a list of one."""
    for key in ("input_layers", "output_layers"):
        ends = inner.get(key)
        if isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list):
            inner = {**inner, key: ends[0]}
    return inner


def upgraded_training(config: dict) -> dict:
    """The description of what `compile` was given, in the form of Keras 3."""
    config = upgraded({key: part for key, part in config.items() if key != "sample_weight_mode"})
    optimizer = config.pop("optimizer_config", None)
    if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict):
        name, inner = str(optimizer.get("class_name")), dict(optimizer["config"])
        if "lr" in inner:
            inner["learning_rate"] = inner.pop("lr")
        inner = _without(name, inner, _OPTIMIZER)
        name = name.removeprefix(_CUSTOM)
        config["optimizer"] = {"module": "keras.optimizers", "class_name": name, "config": inner}
    for key, kind in (("loss", "losses"), ("metrics", "metrics"), ("weighted_metrics", "metrics")):
        config[key] = _of_kind(config.get(key), f"keras.{kind}")
    return config


def _of_kind(value, module):
    """Losses or metrics, with the module that tells which: they have names in common."""
    if isinstance(value, list):
        return [_of_kind(part, module) for part in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value or not isinstance(value.get("config"), dict):
        return {key: _of_kind(part, module) for key, part in value.items()}
    inner = dict(value["config"])
    if inner.get("reduction") in ("auto", "none"):
        inner["reduction"] = {"auto": "sum_over_batch_size", "none": None}[inner["reduction"]]
    if value["class_name"] not in ("MeanMetricWrapper", "LossFunctionWrapper"):
        inner.pop("fn", None)  # The class says which function it is.
    elif isinstance(inner.get("fn"), str):
        function = {"module": "builtins", "class_name": "function", "config": inner["fn"]}
        inner["fn"] = function
    return {"module": module, **value, "config": inner}


def _sequential(inner):
    """The description of a Sequential model, whose first layer may say what its input is."""
    inner = {"layers": inner} if isinstance(inner, list) else dict(inner)
    layers = inner.get("layers")
    if isinstance(layers, list) and layers and isinstance(layers[0], dict):
        first = layers[0].get("config")
        shape = first.get("batch_input_shape") if isinstance(first, dict) else None
        if shape is not None and layers[0].get("class_name") != "InputLayer":
            dtype = "float32" if layers[0]["class_name"] != "Embedding" else "int32"
            entry = {"batch_shape": shape, "dtype": dtype}
            inner["layers"] = [{"class_name": "InputLayer", "config": entry}, *layers]
    return inner


def _arguments(name: str, inner: dict) -> dict:
    """The arguments of one layer, or other object."""
    inner = dict(inner)
    if name == "InputLayer" and "batch_input_shape" in inner:
        inner["batch_shape"] = inner.pop("batch_input_shape")
    if name == "BatchNormalization" and isinstance(inner.get("axis"), list):
        (inner["axis"],) = inner["axis"]
    if name == "Lambda" and isinstance(inner.get("function"), list):
        parts = dict(zip(("code", "defaults", "closure"), inner["function"], strict=False))
        inner["function"] = {"class_name": "__lambda__", "config": parts}
    return _without(name, inner, {**_GONE[""], **_GONE.get(name, {})})


def _without(name: str, inner: dict, gone: dict[str, tuple]) -> dict:
    for key in gone.keys() & inner.keys():
        value = inner.pop(key)
        if gone[key] and value not in gone[key]:
            raise ValueError(f"{name}: {key}={value!r:.60} of Keras 2 is not there in Keras 3.")
    return inner


def _call(node):
    """One call of a layer, as Keras 3 describes it."""
    if not isinstance(node, list) or not node:
        return node
    if isinstance(node[0], str):  # A layer that takes one array, in the middle of Keras 2.
        node = [node]
    tensors = [_tensor(end) for end in node]
    further = node[0][3] if len(node[0]) > 3 and isinstance(node[0][3], dict) else {}
    kwargs = {key: _tensors_in(value) for key, value in further.items()}
    return {"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": kwargs}


def _tensor(end) -> dict:
    history = list(end[:3])
    return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}


def _tensors_in(value):
    """An argument of a call: what looks like ["layer", node, output] stands for that output."""
    if isinstance(value, list):
        if len(value) in (3, 4) and [type(part) for part in value[:3]] == [str, int, int]:
            return _tensor(value)
        return [_tensors_in(part) for part in value]
    return value
