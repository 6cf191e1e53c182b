"""Models and their weights in files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import registry
from ..arrays import limits
from . import archive, hdf5, legacy_files
from .assets import load_assets, saved_assets
from .files import blaming, replacing
from .legacy_configs import upgraded_since
from .weights import load_state, save_state
from .weights_files import check_built, check_new

MOST_NUMBERS_A_BYTE = 4  # Of a file; each is in it, but may be compressed. Small files may ...
LEAST_NUMBERS = 16 << 20  # ... make this many all the same.


def save_model(
    model, filepath, overwrite: bool = True, zipped: bool | None = None, **kwargs
) -> None:
    """Write a whole model to a `.keras` file, which Keras 3 reads too.

    Or to an `.h5` file, as Keras 2 did: without vocabularies, and for graphs of layers only.

    The file holds how the model is made, its weights and vocabularies, what `compile` was given,
    and the state of the optimizer, so that training goes on as if it had not been interrupted; but
    not the seeds of random layers. It replaces an old file when it is complete, so that there is
    always a whole one.

    Args:
        model: a model.
        filepath: ends in ".keras", ".h5" or ".hdf5"; or a binary file open for writing.
        overwrite: whether an old file may be replaced.
        zipped: False for a folder of the same files, of which each is replaced by itself.
        include_optimizer: False leaves out the state of the optimizer.

    Raises FileExistsError, unless `overwrite`, if there is such a file; ValueError for another
    ending; TypeError for what is no model, or has parts that files cannot hold.
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    kwargs.pop("save_format", None)
    if kwargs:
        raise ValueError(f"save_model: unknown arguments {', '.join(sorted(kwargs))}.")
    _check_model("save_model", model)
    is_file = hasattr(filepath, "write")
    path = "" if is_file else os.fspath(filepath)
    if not is_file:
        _check_ending(path, zipped)
        check_new(path, overwrite)
    if path.endswith(legacy_files.ENDINGS):
        check_built("save_model", model)
        with replacing(path) as file:
            legacy_files.save_model(model, file, include_optimizer)
        return
    config = registry.serialize(model)

    def write_weights(file):
        save_state(model, file, include_optimizer)

    if zipped is False:
        archive.write_folder(path, config, write_weights, saved_assets(model))
    else:
        target = filepath if is_file else path
        archive.write_archive(target, config, write_weights, saved_assets(model))


def load_model(filepath, custom_objects=None, compile: bool = True, safe_mode: bool = True):
    """The model in a `.keras` file, or in an `.h5` file, written by `save_model` or by Keras.

    Keras 3.0 to 3.15 wrote `.keras` files; these and Keras 2 wrote `.h5` files.

    Names in the file mean Keras's classes and functions, those registered by
    `register_keras_serializable`, and those in `custom_objects`: a file cannot make anything else
    run.

    Args:
        filepath: a file, a folder written with `zipped=False`, or a binary file open for reading.
        custom_objects: name -> class or function of your own.
        compile: whether to compile the model as it was.
        safe_mode: False lets Python lambdas in the file be loaded; they could do anything.

    Raises ValueError or OSError, which name the file and what is wrong with it.
    """
    name = _name(filepath)
    if name.endswith(legacy_files.ENDINGS):
        with blaming(name), open(filepath, "rb") as file, _bounded(os.path.getsize(filepath)):
            return _legacy(file, custom_objects, compile, safe_mode)
    with blaming(name), archive.reading(filepath) as found:
        config = found.config()
        config = upgraded_since(found.version(), config)
        if not compile:
            config["compile_config"] = None
        weights = found.weights()
        with registry.to_be_filled(), _bounded(found.size):
            model = _made(config, custom_objects, safe_mode)
        load_state(model, hdf5.WeightsFile(weights))
        load_assets(model, found)
    for variable in model.variables:
        value = variable._value
        if type(value) is np.ndarray and not value.flags.writeable:  # Still a placeholder.
            variable.replace(value.copy())
    return model


def _bounded(size: int):
    """Layers may ask for as many numbers as a file of so many bytes could hold, not for more."""
    return limits.limited(max(MOST_NUMBERS_A_BYTE * size, LEAST_NUMBERS))


def _legacy(file, custom_objects, compile, safe_mode):
    config = legacy_files.read_config(file)
    training = config.pop("compile_config", None)
    model = _made(config, custom_objects, safe_mode)
    if compile and training:
        with registry.custom_object_scope(custom_objects):
            model.compile_from_config(training)
    legacy_files.load_state(model, file)
    if model.optimizer is not None:
        legacy_files.load_optimizer(model.optimizer, file)
    return model


def _made(config: dict[str, Any], custom_objects, safe_mode: bool):
    try:
        model = registry.deserialize(config, custom_objects, safe_mode)
    except registry.UnknownNameError as error:
        raise ValueError(_unknown(config, custom_objects) or str(error)) from error
    _check_model("load_model", model)
    return model


def _unknown(config, custom_objects) -> str | None:
    """Which classes a description names that are not known, and where."""
    found: dict[str, str] = {}

    def visit(value, place):
        if isinstance(value, list):
            for part in value:
                visit(part, place)
        elif isinstance(value, dict):
            if isinstance(value.get("class_name"), str) and isinstance(value.get("config"), dict):
                if not value["class_name"].startswith("__"):
                    place = f"{place} / {value['config'].get('name', value['class_name'])}"
                    _try(value, place)
            for part in value.values():
                visit(part, place)

    def _try(value, place):
        try:
            registry.find_class(value, custom_objects)
        except registry.UnknownNameError:
            if not str(value.get("module")).startswith("keras.src.ops"):
                name = value.get("registered_name") or value["class_name"]
                found.setdefault(name, f"{value['class_name']} at {place.removeprefix(' / ')}")

    visit(config, "")
    if not found:
        return None
    objects = ", ".join(f"{name!r}: ..." for name in found)
    return (
        f"unknown classes: {'; '.join(found.values())}. If they are yours, import the module that "
        "registers them with gpulayers.saving.register_keras_serializable, or give "
        f"custom_objects={{{objects}}}."
    )


def _name(filepath) -> str:
    if hasattr(filepath, "read"):
        return str(getattr(filepath, "name", None) or "the file")
    return os.fspath(filepath)


def _check_model(who, model):
    from ..models import Model

    if not isinstance(model, Model):
        raise TypeError(f"{who}: expected a model, got {type(model).__name__}.")


def _check_ending(path, zipped):
    if zipped is None and path.endswith(legacy_files.ENDINGS):
        return
    zipped = zipped is not False
    if zipped != path.endswith(".keras"):
        what = "be a folder, and not end in .keras, if not zipped"
        what = "end in .keras, .h5 or .hdf5" if zipped else what
        raise ValueError(f"save_model: filepath must {what}, got {path!r}.")
