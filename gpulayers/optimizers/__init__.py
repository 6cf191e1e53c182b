"""Optimizers: they change weights, step by step, so that a loss falls."""

from __future__ import annotations

from .. import registry
from . import schedules
from .adadelta import Adadelta
from .adafactor import Adafactor
from .adagrad import Adagrad
from .adam import Adam, Adamax, AdamW, Nadam
from .ftrl import Ftrl
from .lamb import Lamb
from .lion import Lion
from .loss_scale import LossScaleOptimizer
from .multi import MultiOptimizer, OptimizerMap
from .muon import Muon
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .schedule_free import ScheduleFreeAdamW
from .sgd import SGD


def serialize(optimizer: Optimizer) -> dict:
    """A description of an optimizer that `deserialize`, and Keras, read."""
    return registry.serialize(optimizer)


def deserialize(config: dict, custom_objects=None) -> Optimizer:
    """The optimizer that `serialize`, or Keras, described.

    Raises ValueError for unknown names and for settings that do not fit.
    """
    name, registered = config["class_name"], config.get("registered_name")
    if registered in (None, name) and name.lower() in _NAMES:
        config = {**config, "class_name": _NAMES[name.lower()], "module": "keras.optimizers"}
    return registry.deserialize(config, custom_objects, kind="optimizers")


def get(identifier) -> Optimizer | None:
    """The optimizer that a name (in any case), a config or an instance means; None for None.

    Raises ValueError for unknown names, TypeError for other kinds of values.
    """
    if isinstance(identifier, dict):
        found = deserialize(identifier)
    elif isinstance(identifier, str):
        found = registry.get("optimizers", _NAMES.get(identifier.lower(), identifier))
    elif isinstance(identifier, type) and issubclass(identifier, Optimizer):
        found = identifier()
    else:
        found = identifier
    if found is None or isinstance(found, Optimizer):
        return found
    raise TypeError(
        "optimizers.get: expected a name, a config or an Optimizer, got "
        f"{type(identifier).__name__}: {identifier!r}."
    )


__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_NAMES = {name.lower(): name for name in __all__ if isinstance(globals()[name], type)}
