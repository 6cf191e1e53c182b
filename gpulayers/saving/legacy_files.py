"""HDF5 files of whole models, and of weights, in the form of Keras 2: they end in .h5.

    attributes                 model_config, training_config: descriptions, as JSON
    model_weights/<layer>      attribute weight_names; arrays under these names
    optimizer_weights          the same for the state of the optimizer

A file of weights alone has the groups of layers at its top.  Layers come in the order of the
attribute layer_names; those of an inner model are one layer.  Arrays of one layer come in the order
of its trainable weights, then its other ones.
"""

from __future__ import annotations

import json
import warnings
from typing import Any, BinaryIO

import numpy as np

from .. import registry
from ..arrays import devices, dtypes
from .archive import KERAS_VERSION, MOST_TEXT, parsed
from .hdf5_objects import Part, opened
from .legacy_configs import upgraded, upgraded_training

ENDINGS = (".h5", ".hdf5")
MOST_NAMES = 100_000  # Of layers in a file, or of arrays in a layer.
LARGEST_ATTRIBUTE = 64_000  # Bytes that one attribute can have; longer lists are split.
TOP = "top_level_model_weights"


# Reading.


def read_config(file: BinaryIO) -> dict[str, Any]:
    """The description of the model in a file, in the form of `registry.serialize`.

    "compile_config" is there if the model was compiled.  Raises ValueError if there is none.
    """
    with opened(file) as stored:
        text = _text(stored, "model_config")
        if text is None:
            raise ValueError("it holds no model, but at most weights: build one, and load them.")
        config = upgraded(parsed(text))
        training = _text(stored, "training_config")
    config = {"registered_name": None, **config}
    if training is not None:
        config["compile_config"] = upgraded_training(parsed(training))
    return config


def load_state(model, file: BinaryIO, skip_mismatch: bool = False, by_name: bool = False) -> None:
    """Give a model the weights in a file.

    Args:
        by_name: give them to the layers of the same names, and leave the others as they are.

    Raises ValueError that lists the layers whose weights do not fit; nothing is changed then.
    """
    with opened(file) as stored:
        group = stored.part("model_weights")
        values = _values(stored if group is None else group)
    pairs, misfits = _paired(model, values, by_name)
    for layer, name, found in list(pairs):
        expected = [tuple(v.shape) for v in _weights(layer)]
        shapes = [a.shape for a in found]
        if expected != shapes:
            pairs.remove((layer, name, found))
            misfits.append(f"{layer.name!r}: expected {expected}; found {shapes} of {name!r}")
    if misfits:
        text = "the weights do not fit:\n" + "\n".join(f"  {text}" for text in misfits)
        if not skip_mismatch:
            raise ValueError(text)
        warnings.warn(text, stacklevel=4)
    for layer, _, found in pairs:
        for variable, value in zip(_weights(layer), found, strict=True):
            variable.assign(value)
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def load_optimizer(optimizer, file: BinaryIO) -> None:
    """Give an optimizer the state in a file, if there is one."""
    with opened(file) as stored:
        state = _arrays(stored.part("optimizer_weights"))
    variables = optimizer.variables
    if len(state) == len(variables) - 1:
        variables = [variables[0], *variables[2:]]  # Keras 2 kept the learning rate elsewhere.
    if [a.shape for a in state] != [tuple(v.shape) for v in variables]:
        if len(state) < 3 and all(array.shape == () for array in state):
            return  # Saved before its first step.
        warnings.warn(
            "the state of the optimizer does not fit, and begins anew: expected "
            f"{len(variables)} arrays, found {len(state)} in the file, or of other shapes.",
            stacklevel=4,
        )
        return
    for variable, value in zip(variables, state, strict=True):
        variable.assign(value)


def _paired(model, values, by_name):
    """(layer, its name in the file, arrays) of all layers that have weights, and what is amiss."""
    if by_name:
        named = dict(values)
        layers = [layer for layer in _layers(model) if layer.name in named]
        return [(layer, layer.name, named[layer.name]) for layer in layers], []
    top = [arrays for name, arrays in values if name == TOP]
    values = [(name, arrays) for name, arrays in values if name != TOP and arrays]
    layers = [layer for layer in _layers(model) if _weights(layer)]
    if len(layers) != len(values):
        theirs = ", ".join(name for name, _ in values)
        ours = ", ".join(layer.name for layer in layers)
        return [], [f"expected {len(layers)} layers ({ours}); found {len(values)} ({theirs})"]
    pairs = [(layer, *value) for layer, value in zip(layers, values, strict=True)]
    own = _Top(model)
    if top and (own.weights or top[0]):
        pairs.append((own, TOP, top[0]))
    return pairs, []


class _Top:
    """The weights that a model has beside those of its layers."""

    def __init__(self, model):
        inside = {id(v) for layer in _layers(model) for v in layer.weights}
        self.name = model.name
        self.weights = [v for v in model.weights if id(v) not in inside]
        self.trainable_weights = [v for v in self.weights if v.trainable]
        self.non_trainable_weights = [v for v in self.weights if not v.trainable]


def _layers(model) -> list:
    return model.layers


def _weights(layer) -> list:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _text(group: Part, name) -> bytes | None:
    """An attribute that is a text, or None."""
    found = group.texts(name)
    if found is None:
        return None
    text = "".join(found).encode()
    if len(text) > MOST_TEXT:
        raise ValueError(f"the attribute {name} has {len(text)} bytes, more than any model has.")
    return text


def _values(group) -> list[tuple[str, list[np.ndarray]]]:
    """(name, arrays) of each layer, and of the model itself, in a group."""
    if not group.has_texts("layer_names") and not group.has_texts("layer_names0"):
        raise ValueError("it holds no weights of layers.")
    names = _names(group, "layer_names")
    if group.part(TOP) is not None:
        names.append(TOP)
    return [(name, _arrays(_inside(group, name))) for name in names]


def _inside(group, path):
    found = group.part(path)
    if found is None:
        raise ValueError(f"the layer {path!r} is listed, but not there.")
    return found


def _arrays(group) -> list[np.ndarray]:
    if group is None:
        return []
    return [group.array(name) for name in _names(group, "weight_names")]


def _names(group, name) -> list[str]:
    """A list of texts, which may be split over several attributes."""
    keys = [name] if group.has_texts(name) else []
    while not keys or keys[-1] != name:
        key = f"{name}{len(keys)}"
        if not group.has_texts(key):
            break
        keys.append(key)
    found: list[str] = []
    for key in keys:
        found += group.texts(key)
        if len(found) > MOST_NAMES:
            raise ValueError(f"{group.where} lists more {name} than any model has.")
    return found


# Writing.


def save_model(model, file: BinaryIO, include_optimizer: bool = True) -> None:
    """Write a whole model into an HDF5 file, which Keras 2 and 3 read."""
    import h5py

    description = registry.serialize(model)
    config = {key: description[key] for key in ("class_name", "config")}
    with h5py.File(file, "w") as made:
        made.attrs["keras_version"] = KERAS_VERSION
        made.attrs["backend"] = "gpulayers"
        made.attrs["model_config"] = json.dumps(config)
        _write_weights(made.create_group("model_weights"), model)
        compiled = description.get("compile_config")
        if not compiled or not include_optimizer:
            return
        optimizer = compiled.pop("optimizer")
        if isinstance(optimizer, dict):
            kept = {key: optimizer[key] for key in ("class_name", "config")}
            compiled["optimizer_config"] = kept
            made.attrs["training_config"] = json.dumps(compiled)
            variables = model.optimizer.variables
            _write_arrays(made.create_group("optimizer_weights"), variables)


def save_weights(model, file: BinaryIO) -> None:
    """Write the weights of a model into an HDF5 file in the form of Keras 2."""
    import h5py

    with h5py.File(file, "w") as made:
        _write_weights(made, model)


def _write_weights(group, model) -> None:
    group.attrs["backend"], group.attrs["keras_version"] = "gpulayers", KERAS_VERSION
    _write_names(group, "layer_names", [layer.name for layer in _layers(model)])
    for layer in sorted(_layers(model), key=lambda layer: layer.name):
        _write_arrays(group.require_group(layer.name), _weights(layer))
    _write_arrays(group.create_group(TOP), _weights(_Top(model)))


def _write_arrays(group, variables) -> None:
    _write_names(group, "weight_names", [v.path for v in variables])
    for variable in variables:
        value = devices.to_numpy(variable._value)
        if dtypes.name(value.dtype) == "bfloat16":
            raise TypeError(f"{variable.path}: .h5 files hold no bfloat16; save a .keras file.")
        group.create_dataset(variable.path, data=value)


def _write_names(group, name, names) -> None:
    texts = [text.encode() for text in names]
    parts, size = [[]], 0
    for text in texts:
        size += len(text) + 16
        if size > LARGEST_ATTRIBUTE:
            parts.append([])
            size = len(text) + 16
        parts[-1].append(text)
    for i, part in enumerate(parts):
        group.attrs[name if len(parts) == 1 else f"{name}{i}"] = part
