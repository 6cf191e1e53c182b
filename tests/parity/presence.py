"""Which of the objects that a recorded case needs exist in gpulayers, and how they are made."""

from __future__ import annotations

import copy
import importlib
import inspect
import re
import sys

HOMES = (
    "layers", "models", "models.functional", "optimizers", "optimizers.schedules", "losses",
    "metrics", "activations", "initializers", "regularizers", "constraints", "ops", "random",
    "dtype_policies", "quantizers",
)  # fmt: skip
CUSTOM_FUNCTIONS = {  # Local functions of Keras's tests, which cases name.
    "square": lambda x: x * x,
    "stacker": lambda x: x.__array_namespace__().concat([x, x], axis=1),
    "stacker_shape": lambda shape: (shape[0], shape[1] * 2),
}


class Absent(Exception):
    """gpulayers has no such class or function (yet)."""


def module(path: str):
    """The module gpulayers.<path>.  Raises Absent if there is none."""
    try:
        return importlib.import_module("gpulayers" + (f".{path}" if path else ""))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gpulayers"):
            raise Absent(f"gpulayers.{path}") from None
        raise


def find(name: str, homes=HOMES):
    """The public object `name` of the first home that has it.  Raises Absent."""
    for home in homes:
        try:
            place = module(home)
        except Absent:
            continue
        found = getattr(place, name, None)
        if found is not None and not inspect.ismodule(found):
            return found
    raise Absent(name)


def function(path: str):
    """The function of a recorded path: "ops.numpy.cumsum" is `gpulayers.ops.cumsum`."""
    home, *inner, name = path.split(".")
    for part in inner:
        found = getattr(getattr(module(home), part, None), name, None)
        if found is not None and not inspect.ismodule(found):
            return found
    return find(name, (home,))


def require(config) -> None:
    """Raise Absent for the first class or function named in `config` that does not exist."""
    if isinstance(config, list):
        for part in config:
            require(part)
        return
    if not isinstance(config, dict):
        return
    if isinstance(config.get("class_name"), str) and "module" in config:
        _require_object(config)
    for part in config.values():
        require(part)


def _require_object(config: dict) -> None:
    name, home = config["class_name"], config["module"] or ""
    if name == "function" and home == "builtins":
        _require_function(config["config"])
    elif name.startswith("__") or home.startswith("keras.src.ops"):
        return  # Values, and operators of a functional model.
    elif home.startswith("keras.src") or home in ("keras", "builtins"):
        find(name, (*HOMES, ""))
    elif home.startswith("keras."):
        find(name, (home.removeprefix("keras."),))
    else:
        raise Absent(config.get("registered_name") or name)


def _require_function(name: str) -> None:
    if name not in CUSTOM_FUNCTIONS:
        find(name, ("activations", "losses", "metrics", "initializers", "ops"))


def make(config: dict, **more):
    """The object of a Keras config.  Raises Absent if it, or a part of it, does not exist."""
    require(config)
    if "__lambda__" in str(config) and sys.version_info[:2] != (3, 11):
        raise Absent("a lambda in the byte code of Python 3.11")
    config = copy.deepcopy({**config, **more})
    return module("registry").deserialize(config, CUSTOM_FUNCTIONS, safe_mode=False)


def public_name(path: str) -> str:
    """The class of a recorded path such as "keras.src.losses.losses:MeanSquaredError"."""
    return re.split(r"[:.]", path)[-1]
