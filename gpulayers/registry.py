"""Names and objects: how classes and functions are found by name, and described for files.

Everything that a file or a string can name is one of our own public classes and functions, or
something that the caller registered.  Nothing here imports a module, or looks up an attribute,
by a name that came from outside.
"""

from __future__ import annotations

import contextlib
import contextvars
import difflib
import inspect
import re
from functools import cache
from importlib import import_module
from typing import Any

# Public modules whose `__all__` can be named in files, as Keras calls them.
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
_CLASS_NAMES = {"GroupedQueryAttention": "GroupQueryAttention"}  # Exported under another name.
_SKIPPED = frozenset({"get", "serialize", "deserialize", "Input"})

_registered: dict[str, Any] = {}  # "package>Name" -> object
_registered_names: dict[Any, str] = {}
_scope: contextvars.ContextVar[dict] = contextvars.ContextVar("custom_objects", default={})
_shared: contextvars.ContextVar[dict | None] = contextvars.ContextVar("shared", default=None)


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
def custom_object_scope(custom_objects: dict):
    """Within it, names are looked up in `custom_objects` first."""
    token = _scope.set({**_scope.get(), **custom_objects})
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


@cache
def _canonical() -> dict[Any, tuple[str, str]]:
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
    from .arrays.policy import DTypePolicy

    table[DTypePolicy] = ("keras", "DTypePolicy")
    return table


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


def find(kind: str, name: str, custom_objects: dict | None = None):
    """The public or registered object that `name` means in the module `kind`.

    Raises ValueError that lists names which look alike.
    """
    found = get_registered_object(name, custom_objects)
    if found is None:
        table = _by_any_spelling(kind)
        found = table.get(name)
        if found is None:
            close = difflib.get_close_matches(name, table, 4) or sorted(table)[:6]
            raise ValueError(
                f"{kind}.get: unknown name {name!r}; known are, for example, {', '.join(close)}. "
                "Your own classes and functions: register them with "
                "gpulayers.saving.register_keras_serializable, or use custom_object_scope."
            )
    return found


def get(kind: str, identifier, custom_objects: dict | None = None):
    """The object of a public module that `identifier` means.

    None gives None; a string in any known spelling gives the function, or an instance of the
    class, of that name; a dictionary is deserialized; a class is instantiated; anything callable
    stays as it is.  Raises ValueError for unknown names, TypeError for other kinds of values.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        obj = deserialize(identifier, custom_objects, kind=kind)
    elif isinstance(identifier, str):
        obj = find(kind, identifier, custom_objects)
    else:
        obj = identifier
    if inspect.isclass(obj):
        obj = obj()
    if callable(obj) or hasattr(obj, "get_config"):
        return obj
    raise TypeError(
        f"{kind}.get: expected a name, a config, a class or something callable, got "
        f"{type(identifier).__name__}: {str(identifier)[:60]!r}."
    )


# Descriptions.


@contextlib.contextmanager
def sharing():
    """Within it, an object that is described twice is made once by `deserialize`."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def serialize(obj) -> Any:
    """A description of `obj` in Keras's form, made of what JSON can hold.

    Objects give {"module", "class_name", "config", "registered_name"}; functions their name;
    numbers, strings, None stay as they are.  Raises TypeError for what cannot be described.
    """
    plain = _serialize_plain(obj)
    if plain is not NotImplemented:
        return plain
    if inspect.isclass(obj) or (callable(obj) and hasattr(obj, "__name__")):
        if not inspect.isclass(obj):
            return _serialize_function(obj)
        raise TypeError(f"serialize: expected an instance, got the class {obj.__name__}.")
    if not hasattr(obj, "get_config"):
        raise TypeError(f"serialize: {type(obj).__name__} has no get_config().")
    module, name, registered = identity(type(obj))
    config = {
        "module": module,
        "class_name": name,
        "config": _serialize_dict(obj.get_config()),
        "registered_name": registered,
    }
    build_config = obj.get_build_config() if hasattr(obj, "get_build_config") else None
    if build_config is not None:
        config["build_config"] = _serialize_dict(build_config)
    compile_config = obj.get_compile_config() if hasattr(obj, "get_compile_config") else None
    if compile_config is not None:
        config["compile_config"] = _serialize_dict(compile_config)
    return config


def identity(cls) -> tuple[str | None, str, str | None]:
    """(module, class name, registered name) that a file gives for a class."""
    if cls in _registered_names:
        return None, cls.__name__, _registered_names[cls]
    own = getattr(cls, "keras_identity", None)  # Classes that Keras does not export.
    if own is not None and "keras_identity" in cls.__dict__:
        return own
    known = _canonical().get(cls)
    if known is not None:
        return (*known, None)
    return cls.__module__, cls.__name__, cls.__name__


def _serialize_dict(config: dict) -> dict:
    return {str(key): serialize(value) for key, value in config.items()}


def _serialize_plain(obj):
    import numpy as np

    from .arrays import KerasTensor, Variable, dtypes

    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj.item() if isinstance(obj, np.generic) else obj
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, (list, tuple)):
        return [serialize(part) for part in obj]
    if isinstance(obj, dict):
        return _serialize_dict(obj)
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, slice):
        value = {k: getattr(obj, k) for k in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": value}
    if isinstance(obj, KerasTensor):
        from .models.functional import serialize_tensor

        return serialize_tensor(obj)
    if isinstance(obj, (np.ndarray, Variable)):
        value = obj.numpy() if isinstance(obj, Variable) else obj
        config = {"value": value.tolist(), "dtype": dtypes.name(value.dtype)}
        return {"class_name": "__numpy__", "config": config}
    if isinstance(obj, np.dtype):
        return dtypes.name(obj)
    return NotImplemented


def _serialize_function(function):
    if function.__name__ == "<lambda>":
        from .saving.functions import serialize_lambda

        return serialize_lambda(function)
    known = _canonical().get(function)
    name = _registered_names.get(function) or (known[1] if known else function.__name__)
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    }


def deserialize(config, custom_objects=None, safe_mode: bool = True, kind: str | None = None):
    """The object that `serialize`, or Keras, described.

    Args:
        config: what `serialize` gave; names stand for public or registered objects.
        custom_objects: name -> class or function, looked at first.
        safe_mode: refuse Python code (lambdas).
        kind: the public module in which bare names are looked up.

    Raises ValueError for unknown names, and for configs that a class does not accept.
    """
    if isinstance(config, (list, tuple)):
        return [deserialize(part, custom_objects, safe_mode, kind) for part in config]
    if isinstance(config, str) and kind is not None:
        return find(kind, config, custom_objects)
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {k: deserialize(v, custom_objects, safe_mode) for k, v in config.items()}
    special = _deserialize_special(config, custom_objects, safe_mode)
    if special is not NotImplemented:
        return special
    shared, key = _shared.get(), config.get("shared_object_id")
    if shared is not None and key is not None and key in shared:
        return shared[key]
    cls = find_class(config, custom_objects, kind)
    obj = _instantiate(cls, config, custom_objects, safe_mode)
    if shared is not None and key is not None:
        shared[key] = obj
    return obj


def _instantiate(cls, config, custom_objects, safe_mode):
    inner = config["config"]
    if not hasattr(cls, "from_config"):
        raise ValueError(f"deserialize: {cls.__name__} has no from_config().")
    with custom_object_scope(custom_objects or {}), _loading(safe_mode):
        try:
            obj = cls.from_config(dict(inner) if isinstance(inner, dict) else inner)
        except TypeError as error:
            raise ValueError(f"{cls.__name__}: this config does not fit: {error}") from error
        build_config = config.get("build_config")
        if build_config and hasattr(obj, "build_from_config") and not getattr(obj, "built", False):
            obj.build_from_config(build_config)
        compile_config = config.get("compile_config")
        if compile_config and hasattr(obj, "compile_from_config"):
            obj.compile_from_config(compile_config)
    return obj


_safe: contextvars.ContextVar[bool] = contextvars.ContextVar("safe_mode", default=True)


@contextlib.contextmanager
def _loading(safe_mode: bool):
    token = _safe.set(safe_mode)
    try:
        yield
    finally:
        _safe.reset(token)


def in_safe_mode() -> bool:
    """Whether what is being loaded may not hold Python code."""
    return _safe.get()


def find_class(config: dict, custom_objects=None, kind: str | None = None):
    """The class that a description names.  Raises ValueError if there is none."""
    name, registered = config["class_name"], config.get("registered_name")
    for key in (registered, name):
        found = get_registered_object(key, custom_objects) if key else None
        if found is not None:
            return found
    module = config.get("module")
    if name in ("Functional", "Sequential", "Model") and module != "keras.layers":
        from . import models

        return {"Sequential": models.Sequential}.get(name, models.functional_class())
    if name in ("DTypePolicy", "FloatDTypePolicy", "DTypePolicyMap"):
        from .arrays.policy import DTypePolicy

        return DTypePolicy
    for place in _places(module, kind):
        found = exported(place).get(name)
        if found is not None:
            return found
    raise ValueError(
        f"unknown class {name!r} (module {module!r}, registered as {registered!r}). If it is yours, "
        "register it with gpulayers.saving.register_keras_serializable, or give "
        f"custom_objects={{{name!r}: ...}}."
    )


def _places(module: str | None, kind: str | None):
    """Where to look for a class: the module named, then all that exist."""
    first = []
    parts = (module or "").split(".")
    for place in MODULES:
        if parts[-len(place.split(".")) :] == place.split(".") or place in parts:
            first.append(place)
    if kind:
        first.insert(0, kind)
    for place in dict.fromkeys([*first, *MODULES]):
        try:
            exported(place)
        except ModuleNotFoundError:
            continue
        yield place


def _deserialize_special(config, custom_objects, safe_mode):
    import numpy as np

    name, inner = config["class_name"], config["config"]
    if name == "function":
        for kind in ("activations", "losses", "metrics", "initializers", "regularizers"):
            found = get_registered_object(inner, custom_objects) or exported(kind).get(inner)
            if found is not None:
                return found
        return find("activations", inner, custom_objects)
    if name in ("__numpy__", "__tensor__"):
        from .arrays import dtypes

        return np.array(inner["value"], dtype=dtypes.numpy_dtype(inner["dtype"]))
    if name == "__bytes__":
        return inner["value"].encode("utf-8")
    if name == "__tuple__":
        return tuple(deserialize(part, custom_objects, safe_mode) for part in inner["value"])
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__slice__":
        return slice(inner["start"], inner["stop"], inner["step"])
    if name == "__lambda__":
        from .saving.functions import deserialize_lambda

        return deserialize_lambda(inner, safe_mode and in_safe_mode())
    return NotImplemented
