"""Objects as dictionaries that JSON can hold, in Keras's form, and back."""

from __future__ import annotations

import contextlib
import inspect
from collections import Counter
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any

from . import names
from .names import custom_object_scope, find, find_class

_safe: ContextVar[bool | None] = ContextVar("safe_mode", default=None)
_filled: ContextVar[bool] = ContextVar("filled", default=False)
_copied: ContextVar[dict | None] = ContextVar("copied", default=None)
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
def copying():
    """Within it, descriptions hold functions themselves, and classes need not be registered.

    For copies of objects that never leave the process.
    """
    known: dict[str, type] = {}
    token = _copied.set(known)
    try:
        with custom_object_scope(known):
            yield
    finally:
        _copied.reset(token)


@contextlib.contextmanager
def loading(safe_mode: bool):
    """Within it, `safe_mode` decides whether code is refused, whatever `deserialize` is given."""
    token = _safe.set(safe_mode)
    try:
        yield
    finally:
        _safe.reset(token)


@contextlib.contextmanager
def to_be_filled():
    """Within it, weights need no random values, for those of a file follow."""
    token = _filled.set(True)
    try:
        yield
    finally:
        _filled.reset(token)


def is_to_be_filled() -> bool:
    """Whether the values of weights follow from a file."""
    return _filled.get()


def in_safe_mode() -> bool:
    """Whether what is being loaded may not hold Python code."""
    return _safe.get() is not False


# Describing.


def serialize(obj) -> Any:
    """A description of `obj` in Keras's form, made of what JSON can hold.

    Objects give {"module", "class_name", "config", "registered_name"}; functions their name;
    numbers, strings, None stay as they are.  Objects that occur several times are marked, so that
    `deserialize` makes each once.  Raises TypeError for what cannot be described.
    """
    if _described.get() is not None:
        return _serialize(obj)
    described: dict[int, tuple] = {}
    token = _described.set(described)
    try:
        description = _serialize(obj)
    finally:
        _described.reset(token)
    if described:
        _unmark_single(description)
    return description


def _serialize(obj):
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
    _mark(obj, config)
    if _copied.get() is not None and registered:
        _copied.get()[registered] = type(obj)
    return config


def _mark(obj, config):
    """Give the description of an object the number that all descriptions of this object have."""
    from ..arrays.policy import DTypePolicy

    if not isinstance(obj, DTypePolicy):  # Policies of one name are as good as the same.
        described = _described.get()  # Keeps the object, so that no other one gets its id.
        config["shared_object_id"] = described.setdefault(id(obj), (len(described) + 1, obj))[0]


def _unmark_single(description):
    counts = Counter(part["shared_object_id"] for part in _marked(description))
    for part in list(_marked(description)):
        if counts[part["shared_object_id"]] == 1:
            del part["shared_object_id"]


def _marked(value):
    if isinstance(value, dict):
        if "shared_object_id" in value:
            yield value
        for part in value.values():
            yield from _marked(part)
    elif isinstance(value, list):
        for part in value:
            yield from _marked(part)


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
    if _copied.get() is not None:
        return function
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
    safe_mode = safe_mode if outer is None else outer
    if _shared.get() is not None:
        return _deserialize(config, custom_objects, safe_mode, kind)
    token = _shared.set({})
    try:
        return _deserialize(config, custom_objects, safe_mode, kind)
    finally:
        _shared.reset(token)


def _deserialize(config, custom_objects, safe_mode, kind=None):
    if isinstance(config, (list, tuple)):
        return [_deserialize(part, custom_objects, safe_mode, kind) for part in config]
    if isinstance(config, str) and kind is not None:
        return find(kind, config, custom_objects)
    if not isinstance(config, dict):
        return config
    if "class_name" not in config or "config" not in config:
        return {k: _deserialize(v, custom_objects, safe_mode) for k, v in config.items()}
    special = _deserialize_special(config, custom_objects, safe_mode)
    if special is not NotImplemented:
        return special
    shared, key = _shared.get(), config.get("shared_object_id")
    if key is not None and key in shared:
        return shared[key]
    cls = find_class(config, custom_objects, kind)
    obj = _instantiate(cls, config, custom_objects, safe_mode)
    if key is not None:
        shared[key] = obj
    return obj


def _instantiate(cls, config, custom_objects, safe_mode):
    inner = config["config"]
    if not hasattr(cls, "from_config"):
        raise ValueError(f"deserialize: {cls.__name__} has no from_config().")
    with ExitStack() as scopes:
        if custom_objects:
            scopes.enter_context(custom_object_scope(custom_objects))
        if _safe.get() is not safe_mode:
            scopes.enter_context(loading(safe_mode))
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

        return np.array(
            inner["value"], dtype=dtypes.numpy_dtype(dtypes.standardize(inner["dtype"]))
        )
    if name == "__bytes__":
        return inner["value"].encode("utf-8")
    if name == "__tuple__":
        return tuple(_deserialize(part, custom_objects, safe_mode) for part in inner["value"])
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__slice__":
        return slice(*(inner[key] for key in ("start", "stop", "step")))
    if name == "__lambda__":
        from ..saving.functions import deserialize_lambda

        return deserialize_lambda(inner, safe_mode)
    return NotImplemented
