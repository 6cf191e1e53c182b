"""Checks of constructor arguments that several layers share."""

from __future__ import annotations

import inspect
import operator
from functools import wraps

import numpy as np

from .. import registry


def whole(who: str, name: str, value, least: int = 1) -> int:
    """`value` as an integer of at least `least`, 0 or 1.

    Raises TypeError for what is no integer, ValueError for one that is too small.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{who}: {name} must be an integer, got {type(value).__name__}.")
    if number < least:
        wanted = "positive" if least else "non-negative"
        raise ValueError(f"{who}: {name} must be a {wanted} integer, got {value}.")
    return number


def sizes(who: str, name: str, value, count: int, least: int = 1) -> tuple[int, ...]:
    """`value` as `count` integers of at least `least`, 0 or 1: one integer stands for all of them.

    Raises ValueError for anything else.
    """
    try:
        if not hasattr(value, "__len__"):
            return (whole(who, name, value, least),) * count
        if len(value) == count and not isinstance(value, str):
            return tuple(whole(who, name, entry, least) for entry in value)
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"{who}: {name} must be an integer or {count} integers, each at least {least}, "
        f"got {value!r}."
    )


def margins(who: str, name: str, value, rank: int) -> tuple[tuple[int, int], ...]:
    """`value` as one (before, after) pair of non-negative integers for each of `rank` axes.

    One integer stands for all of them, and an integer in place of a pair for both sides.

    Raises ValueError for anything else.
    """
    if not hasattr(value, "__len__"):
        return (sizes(who, name, value, 2, least=0),) * rank
    if len(value) != rank or isinstance(value, str):
        raise ValueError(
            f"{who}: {name} must be an integer, {rank} integers or {rank} pairs of integers, "
            f"got {value!r}."
        )
    return tuple(
        sizes(who, f"{name}[{axis}]", entry, 2, least=0) for axis, entry in enumerate(value)
    )


def first_spatial_axis(data_format: str) -> int:
    """Where the spatial axes of a batch of images begin: 2 for channels_first, else 1."""
    return 2 if data_format == "channels_first" else 1


def checked_bool(who: str, name: str, value) -> bool:
    """`value` as True or False.  Raises TypeError for text and whatever else is neither."""
    if not isinstance(value, (bool, int, np.bool_)):
        raise TypeError(f"{who}: {name} must be True or False, got {value!r}.")
    return bool(value)


def older_input_shape(kwargs: dict) -> tuple | None:
    """The shape, batch axis included, from the spellings of older Keras versions."""
    for name in ("batch_input_shape", "batch_shape"):
        if name in kwargs:
            return tuple(kwargs.pop(name))
    if "input_shape" in kwargs:
        shape = kwargs.pop("input_shape")
        return (None, *((shape,) if isinstance(shape, int) else shape))
    return (None, kwargs.pop("input_dim")) if "input_dim" in kwargs else None


_KINDS = {"activations": "activation", "initializers": "initializer",
          "regularizers": "regularizer", "constraints": "constraint"}  # fmt: skip


def naming_arguments(init):
    """`__init__` of a layer, whose errors about names of functions say for which argument.

    Arguments whose default is True or False must be one of them.
    """
    signature = inspect.signature(init)
    flags = {p.name for p in signature.parameters.values() if type(p.default) is bool}

    @wraps(init)
    def named(self, *args, **kwargs):
        who = type(self).__name__
        for name in flags & kwargs.keys():
            checked_bool(who, name, kwargs[name])
        if kwargs.get("lora_rank") is not None:
            whole(who, "lora_rank", kwargs["lora_rank"])
        try:
            init(self, *args, **kwargs)
        except (TypeError, ValueError) as error:
            kind, found, _ = str(error).partition(".get: ")
            if not found or kind not in _KINDS:
                if who not in str(error):
                    error.add_note(f"Raised while a {who} was made.")
                raise
            given = signature.bind(self, *args, **kwargs).arguments
            name = _refused(kind, {**given, **given.get("kwargs", {})})
            raise type(error)(f"{who}: {name}: {error}") from None

    return named


def _refused(kind: str, given: dict) -> str:
    """The name of the argument that `registry.get` refuses."""
    for name, value in given.items():
        if name.endswith(_KINDS[kind]):
            try:
                registry.get(kind, value)
            except (TypeError, ValueError):
                return name
    return _KINDS[kind]
