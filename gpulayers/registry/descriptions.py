"""Objects as dictionaries that JSON can hold, in Keras's form, and back."""

from __future__ import annotations

import contextlib
import inspect
from contextvars import ContextVar
from typing import Any

from . import names
from .names import custom_object_scope, find, find_class

_safe: ContextVar[bool | None] = ContextVar("safe_mode", default=None)
_described: ContextVar[dict | None] = ContextVar("described", default=None)
_shared: ContextVar[dict | None] = ContextVar("shared", default=None)


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


@contextlib.contextmanager
def sharing():
    """Within it, an object that is described twice is marked, and made once by `deserialize`."""
    described, shared = _described.set({}), _shared.set({})
    try:
        yield
    finally:
        _described.reset(described)
        _shared.reset(shared)


@contextlib.contextmanager
def loading(safe_mode: bool):
    """Within it, `safe_mode` decides whether code is refused, whatever `deserialize` is given."""
    token = _safe.set(safe_mode)
    try:
        yield
    finally:
        _safe.reset(token)


def in_safe_mode() -> bool:
    """Whether what is being loaded may not hold Python code."""
    return _safe.get() is not False


# Describing.


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
    module, name, registered = names.identity(type(obj))
    config = {
        "module": module,
        "class_name": name,
        "config": _serialize_dict(obj.get_config()),
        "registered_name": registered,
    }
    for what in ("build_config", "compile_config"):
        part = getattr(obj, f"get_{what}", lambda: None)()
        if part is not None:
            config[what] = _serialize_dict(part)
    _mark_if_shared(obj, config)
    return config


def _mark_if_shared(obj, config):
    described = _described.get()
    if described is None:
        return
    if id(obj) in described:
        _, number, first = described[id(obj)]
        config["shared_object_id"] = first["shared_object_id"] = number
    else:  # The object is kept, so that no other one gets its id.
        described[id(obj)] = (obj, len(described) + 1, config)


def _serialize_dict(config: dict) -> dict:
    return {str(key): serialize(value) for key, value in config.items()}


def _serialize_plain(obj):
    import numpy as np

    from ..arrays import KerasTensor, Variable, devices, dtypes, is_array

    if isinstance(obj, np.generic):
        return obj.item()
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, (list, tuple)):
        return [serialize(part) for part in obj]
    if isinstance(obj, dict):
        return _serialize_dict(obj)
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, slice):
        value = {key: serialize(getattr(obj, key)) for key in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": value}
    if isinstance(obj, KerasTensor):
        from ..models.functional import serialize_tensor

        return serialize_tensor(obj)
    if isinstance(obj, Variable):
        obj = obj._value
    if not callable(obj) and not hasattr(obj, "get_config") and is_array(obj):
        value = devices.to_numpy(obj)
        config = {"value": value.tolist(), "dtype": dtypes.name(value.dtype)}
        return {"class_name": "__numpy__", "config": config} if value.shape else config["value"]
    if isinstance(obj, np.dtype):
        return dtypes.name(obj)
    return NotImplemented


def _serialize_function(function):
    if function.__name__ == "<lambda>":
        from ..saving.functions import serialize_lambda

        return serialize_lambda(function)
    return {
        "module": "builtins",
        "class_name": "function",
        "config": names.function_name(function),
        "registered_name": "function",
    }


# Making.


def deserialize(config, custom_objects=None, safe_mode: bool = True, kind: str | None = None):
    """The object that `serialize`, or Keras, described.

    Args:
        config: what `serialize` gave; names stand for public or registered objects.
        custom_objects: name -> class or function, looked at first.
        safe_mode: refuse Python code (lambdas); inside another `deserialize`, that one's counts.
        kind: the public module in which bare names are looked up.

    Raises ValueError for unknown names, and for configs that a class does not accept.
    """
    outer = _safe.get()
    if outer is not None:
        safe_mode = outer
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
    with custom_object_scope(custom_objects or {}), loading(safe_mode):
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


def _deserialize_special(config, custom_objects, safe_mode):
    name, inner = config["class_name"], config["config"]
    if name == "function":
        return names.find_function(inner, custom_objects)
    if name in ("__numpy__", "__tensor__"):
        import numpy as np

        from ..arrays import dtypes

        return np.array(inner["value"], dtype=dtypes.numpy_dtype(dtypes.standardize(inner["dtype"])))
    if name == "__bytes__":
        return inner["value"].encode("utf-8")
    if name == "__tuple__":
        return tuple(deserialize(part, custom_objects, safe_mode) for part in inner["value"])
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__slice__":
        return slice(*(deserialize(inner[key], custom_objects) for key in ("start", "stop", "step")))
    if name == "__lambda__":
        from ..saving.functions import deserialize_lambda

        return deserialize_lambda(inner, safe_mode)
    return NotImplemented
