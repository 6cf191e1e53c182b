"""What names mean: those of our public modules, and those that the caller registered."""

from __future__ import annotations

import contextlib
import contextvars
import difflib
import inspect
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

# Public modules whose `__all__` strings and files can name, as Keras calls them.
MODULES = (
    "activations",
    "callbacks",
    "constraints",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "optimizers.schedules",
    "quantizers",
    "random",
    "regularizers",
)
_IN_FILES = tuple(kind for kind in MODULES if kind != "callbacks")  # Some of these write files.
_WITH_FUNCTIONS = ("activations", "losses", "metrics", "initializers", "regularizers", "ops")
_CLASS_NAMES = {"GroupedQueryAttention": "GroupQueryAttention"}  # Exported under another name.
_SKIPPED = frozenset({"get", "serialize", "deserialize", "Input"})
_OWN_PACKAGES = frozenset({"builtins", "gpulayers", "keras", "tensorflow", "tf_keras"})

_registered: dict[str, Any] = {}  # "package>Name" -> object
_registered_names: dict[Any, str] = {}
_scope: contextvars.ContextVar[Mapping] = contextvars.ContextVar(
    "custom_objects",
    default=MappingProxyType({}),
)


class UnknownNameError(ValueError):
    """A description names a class or function that is neither ours nor registered."""


# Registration.


def register_keras_serializable(package: str = "Custom", name: str | None = None):
    """Class or function decorator: lets files and strings name it "package>name".

    Raises ValueError if a class has no `get_config`, or the name is taken by another object.
    """

    def register(obj):
        if inspect.isclass(obj) and not hasattr(obj, "get_config"):
            raise ValueError(f"register_keras_serializable: {obj.__name__} has no get_config().")
        full = f"{package}>{name or obj.__name__}"
        known = _registered.get(full)
        if known is not None and known is not obj and known.__qualname__ != obj.__qualname__:
            raise ValueError(f"register_keras_serializable: {full} is registered as {known}.")
        _registered[full], _registered_names[obj] = obj, full
        return obj

    return register


def get_registered_name(obj) -> str:
    """The name an object was registered under, else its own."""
    return _registered_names.get(obj, obj.__name__)


def get_registered_object(name: str, custom_objects: dict | None = None, module_objects=None):
    """The object that is registered under `name`, or None."""
    for table in (custom_objects or {}, _scope.get(), _registered, module_objects or {}):
        if name in table:
            return table[name]
    return None


def get_custom_objects() -> dict:
    """The registered objects by name: a live dictionary, to which entries may be added."""
    return _registered


@contextlib.contextmanager
def custom_object_scope(custom_objects: dict | None):
    """Within it, names are looked up in `custom_objects` (None: no more of them) first."""
    token = _scope.set(ChainMap(custom_objects or {}, _scope.get()))
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope


# The public names.


def module_of(kind: str):
    """Our module of a public name such as "layers" or "optimizers.schedules"."""
    return import_module(f"gpulayers.{kind}")


@cache
def exported(kind: str) -> dict[str, Any]:
    """Public name -> object for one module of `MODULES` that exists."""
    module = module_of(kind)
    names = [name for name in module.__all__ if name not in _SKIPPED]
    found = {name: getattr(module, name) for name in names}
    return {name: obj for name, obj in found.items() if not inspect.ismodule(obj)}


def _not_exported(kind: str) -> dict[str, Any]:
    """The classes of a module that files name, although they are not public."""
    return getattr(module_of(kind), "IN_FILES", {})


@cache
def canonical() -> dict[Any, tuple[str, str]]:
    """Public object -> (module as Keras names it, name)."""
    table = {}
    for kind in MODULES:
        try:
            names = exported(kind)
        except ModuleNotFoundError:
            continue
        for name, obj in names.items():
            own = _CLASS_NAMES.get(getattr(obj, "__name__", name), getattr(obj, "__name__", name))
            if own == name or obj not in table:
                table[obj] = (f"keras.{kind}", name)
    from ..arrays.policy import DTypePolicy

    table[DTypePolicy] = ("keras", "DTypePolicy")
    return table


def identity(cls) -> tuple[str | None, str, str | None]:
    """(module, class name, registered name) that a file gives for a class."""
    if cls in _registered_names:
        return None, cls.__name__, _registered_names[cls]
    own = getattr(cls, "keras_identity", None)  # Classes that Keras does not export.
    if own is not None and "keras_identity" in cls.__dict__:
        return own
    known = canonical().get(cls)
    if known is not None:
        return (*known, None)
    module = None if cls.__module__ == "__main__" else cls.__module__
    return module, cls.__name__, cls.__name__


def function_name(function) -> str:
    """The name that a file gives for a function."""
    known = canonical().get(function)
    return _registered_names.get(function) or (known[1] if known else function.__name__)


def to_snake_case(name: str) -> str:
    """Keras's snake case of a class name: "Conv2DTranspose" -> "conv2d_transpose"."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


@cache
def _by_any_spelling(kind: str) -> dict[str, Any]:
    """Every spelling under which a name of a module is known: exported, lower, snake case."""
    names = exported(kind)
    table = {}
    for name, obj in names.items():
        if inspect.isclass(obj):
            table.setdefault(name.lower(), obj)
            table.setdefault(to_snake_case(name), obj)
    table.update(names)
    extra = getattr(module_of(kind), "ALIASES", {})  # Spellings that are strings only.
    return {**table, **extra}


_HINT = (
    "Your own classes and functions: register them with "
    "gpulayers.saving.register_keras_serializable, or use custom_object_scope."
)


def find(kind: str, name: str, custom_objects: dict | None = None):
    """The public or registered object that `name` means in the module `kind`.

    Raises ValueError that lists names which look alike.
    """
    found = get_registered_object(name, custom_objects)
    if found is None:
        table = _by_any_spelling(kind)
        found = table.get(name)
        if found is None:
            close = difflib.get_close_matches(name[:80], table, 4) or sorted(table)[:6]
            raise UnknownNameError(
                f"{kind}.get: unknown name {name!r:.80}; known are, for example, "
                f"{', '.join(close)}. {_HINT}"
            )
    return found


# The names in descriptions.


def find_class(config: dict, custom_objects=None, kind: str | None = None):
    """The class that a description names.  Raises ValueError if there is none."""
    name, registered = config["class_name"], config.get("registered_name")
    for key in (registered, name):
        if key is not None and not isinstance(key, str):
            raise ValueError(f"expected the name of a class, got {key!r:.60}.")
        found = get_registered_object(key, custom_objects) if key else None
        if found is not None:
            return found
    module = config.get("module")
    if _is_ours(config, module):
        found = _model_or_policy(name) if module != "keras.layers" else None
        for place in () if found is not None else _places(module, kind):
            found = exported(place).get(name) or _not_exported(place).get(name)
            if found is not None:
                break
        if found is not None:
            return found
    raise UnknownNameError(
        f"unknown class {name!r:.80} (module {module!r:.80}, registered as {registered!r:.80}). "
        "If it is "
        "yours, register it with gpulayers.saving.register_keras_serializable, or give "
        f"custom_objects={{{registered or name!r:.80}: ...}}."
    )


def _is_ours(config, module) -> bool:
    """Whether a class may be one of Keras's: others may have the same names."""
    if module is None:
        return "module" not in config  # As in old files.
    return isinstance(module, str) and module.partition(".")[0] in _OWN_PACKAGES


def _model_or_policy(name):
    from .. import models
    from ..arrays.policy import DTypePolicy

    if name == "Sequential":
        return models.Sequential
    if name in ("Functional", "Model"):
        return models.functional_class()
    return DTypePolicy if name in ("DTypePolicy", "FloatDTypePolicy") else None


def _places(module: str | None, kind: str | None) -> Iterator[str]:
    """Where to look for a class: the module named, then all that exist."""
    for place in _ordered_places(module, kind):
        try:
            exported(place)
        except ModuleNotFoundError:
            continue
        yield place


@lru_cache(maxsize=200)
def _ordered_places(module, kind):
    first = [kind] if kind else []
    parts = (module or "").split(".")
    for place in _IN_FILES:
        if parts[-len(place.split(".")) :] == place.split(".") or place in parts:
            first.append(place)
    return tuple(dict.fromkeys([*first, *_IN_FILES]))


def find_function(name: str, custom_objects=None):
    """The function that a description names.  Raises ValueError if there is none."""
    if not isinstance(name, str):
        raise ValueError(f"expected the name of a function, got {name!r:.60}.")
    found = get_registered_object(name, custom_objects)
    if found is not None:
        return found
    for kind in _WITH_FUNCTIONS:
        found = exported(kind).get(name)
        if found is not None and callable(found) and not inspect.isclass(found):
            return found
    raise UnknownNameError(f"unknown name {name!r:.80} of a function. {_HINT}")
