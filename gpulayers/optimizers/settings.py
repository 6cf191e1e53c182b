"""The settings that all optimizers share: joined to each one's own, checked, described."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import warnings

import numpy as np

SHARED = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "name": None,
}


def with_shared_settings(init):
    """Give an optimizer's `__init__` the shared settings where Keras has them.

    `init` lists what is its own, and takes the rest as `**shared`: the shared settings stand behind
    its positional parameters, and before its keyword-only ones.  All may be given by position.
    """
    parameters = list(inspect.signature(init).parameters.values())
    own = [p for p in parameters[1:] if p.kind is not p.VAR_KEYWORD]
    names = {p.name for p in own}
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shared = [
        inspect.Parameter(name, either, default=default)
        for name, default in SHARED.items()
        if name not in names
    ]
    first = [p for p in own if p.kind is either]
    last = [p.replace(kind=either) for p in own if p.kind is not either]
    signature = inspect.Signature([parameters[0], *first, *shared, *last, parameters[-1]])

    kinds = [p for p in own if p.name not in ("learning_rate", *SHARED)]

    @functools.wraps(init)
    def complete(self, *args, **kwargs):
        given = signature.bind(self, *args, **kwargs).arguments
        rest = given.pop(parameters[-1].name, {})
        for parameter in kinds:
            if parameter.name in given:
                check_kind(type(self).__name__, parameter, given[parameter.name])
        init(**given, **rest)

    complete.__signature__ = signature
    complete.own_settings = [p.name for p in kinds]
    return complete


def own_settings(optimizer) -> dict:
    """The settings beside the shared ones, from the attributes that have their names."""
    names = {}
    for cls in reversed(type(optimizer).__mro__):
        names.update(dict.fromkeys(getattr(cls.__dict__.get("__init__"), "own_settings", ())))
    return {name: getattr(optimizer, name) for name in names}


def check_shared(who: str, given: dict, unknown: dict) -> None:
    """Raise for shared settings that mean nothing; warn of `decay`, which Keras 3 dropped."""
    if unknown.pop("decay", None) is not None:
        warnings.warn(
            f"{who}: `decay` is ignored; use a schedule of gpulayers.optimizers.schedules.",
            stacklevel=4,
        )
    if unknown:
        raise ValueError(f"{who}: unknown arguments {', '.join(sorted(unknown))}.")
    check_flag(who, "use_ema", given["use_ema"])
    for name in ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor"):
        check_number(who, name, given[name], optional=True)
    clips = {n: given[n] for n in ("clipnorm", "clipvalue", "global_clipnorm")}
    chosen = [f"{name}={value}" for name, value in clips.items() if value is not None]
    if len(chosen) > 1:
        raise ValueError(
            f"{who}: expected at most one of clipnorm, clipvalue and global_clipnorm, "
            f"got {', '.join(chosen)}."
        )
    steps = given["gradient_accumulation_steps"]
    if steps and not (_is_whole(steps) and steps >= 2):
        raise ValueError(
            f"{who}: gradient_accumulation_steps must be an integer of 2 or more, got {steps!r}."
        )
    check_number(who, "ema_momentum", given["ema_momentum"], 0.0, 1.0)
    every = given["ema_overwrite_frequency"]
    if every is not None and not (_is_whole(every) and every >= 0):
        raise ValueError(
            f"{who}: ema_overwrite_frequency must be a positive integer, got {every!r}."
        )


def check_kind(who: str, parameter, value) -> None:
    """Raise unless a setting is of the kind of its default: a number, or True or False."""
    if type(parameter.default) is bool:
        check_flag(who, parameter.name, value)
    elif isinstance(parameter.default, (int, float)) and value is not None:
        check_number(who, parameter.name, value, low=-math.inf)


def check_flag(who: str, name: str, value) -> None:
    """Raise TypeError unless `value` is True or False (or 1 or 0)."""
    if not isinstance(value, (bool, np.bool_)) and not (_is_whole(value) and value in (0, 1)):
        raise TypeError(f"{who}: {name} must be True or False, got {value!r}.")


def check_number(who, name, value, low=0.0, high=math.inf, optional=False) -> None:
    """Raise TypeError unless `value` is a real number, ValueError unless low <= value <= high."""
    if optional and value is None:
        return
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{who}: {name} must be a number, got {type(value).__name__}: {value!r}.")
    if not low <= value <= high:
        span = f"between {low:g} and {high:g}" if high < math.inf else f"{low:g} or more"
        span = "a number" if low == -math.inf else span  # And not NaN.
        raise ValueError(f"{who}: {name} must be {span}, got {value!r}.")


def _is_whole(value) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
