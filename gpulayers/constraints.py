"""Constraints: what an optimizer does to a weight after each step, to keep it within bounds.

A constraint is called with an array of any library, and gives one of the same shape and dtype.
Any function of that kind may stand in for one.
"""

from __future__ import annotations

from . import config, registry
from .arrays import as_array, namespace

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]


class Constraint:
    """Base class: a subclass defines `__call__(w)` and, if it has arguments, `get_config()`."""

    def __call__(self, w):
        """The weight `w` within the bounds."""
        return w

    def get_config(self) -> dict:
        """The arguments that make this constraint again."""
        return {}

    @classmethod
    def from_config(cls, config: dict):
        """The constraint that `get_config` described."""
        return cls(**config)


class MaxNorm(Constraint):
    """Vectors that are too long are scaled down: `w * clip(norm, 0, max_value) / (epsilon + norm)`.

    Args:
        max_value: the largest norm.
        axis: the axis or axes along which a vector lies: 0 for the kernel of Dense, (0, 1, 2) for
            that of Conv2D.

    Srebro, Shraibman: "Rank, trace-norm and max-norm", 2005.
    """

    def __init__(self, max_value: float = 2, axis=0):
        self.max_value, self.axis = max_value, axis

    def __call__(self, w):
        w = as_array(w)
        norm = _norm(w, self.axis)
        allowed = namespace(w).clip(norm, 0, self.max_value)
        return w * (allowed / (config.epsilon() + norm))

    def get_config(self) -> dict:
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """Negative elements become 0."""

    def __call__(self, w):
        w = as_array(w)
        return namespace(w).clip(w, 0, None)


class UnitNorm(Constraint):
    """Vectors are scaled to length 1: `w / (epsilon + norm)`.

    Args:
        axis: the axis or axes along which a vector lies: 0 for the kernel of Dense, (0, 1, 2) for
            that of Conv2D.
    """

    def __init__(self, axis=0):
        self.axis = axis

    def __call__(self, w):
        w = as_array(w)
        return w / (config.epsilon() + _norm(w, self.axis))

    def get_config(self) -> dict:
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Vectors that are too short or too long are scaled towards what is allowed.

    `w * wanted / (epsilon + norm)` with
    `wanted = rate * clip(norm, min_value, max_value) + (1 - rate) * norm`.

    Args:
        min_value, max_value: bounds of the norm.
        rate: how much of the way to go at each step; 1 goes all of it.
        axis: the axis or axes along which a vector lies: 0 for the kernel of Dense, (0, 1, 2) for
            that of Conv2D.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis=0):
        self.min_value, self.max_value = min_value, max_value
        self.rate, self.axis = rate, axis

    def __call__(self, w):
        w = as_array(w)
        norm = _norm(w, self.axis)
        allowed = namespace(w).clip(norm, self.min_value, self.max_value)
        wanted = self.rate * allowed + (1 - self.rate) * norm
        return w * (wanted / (config.epsilon() + norm))

    def get_config(self) -> dict:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm


def serialize(constraint) -> dict:
    """A description of a constraint that `deserialize`, and Keras, read."""
    return registry.serialize(constraint)


def deserialize(config, custom_objects: dict | None = None):
    """The constraint that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="constraints")


def get(identifier):
    """The constraint that a name, a config, a class or a function means; None for None.

    Raises ValueError for unknown names, TypeError for other kinds of values.
    """
    return registry.get("constraints", identifier)


def _norm(w, axis):
    xp = namespace(w)
    axis = tuple(axis) if isinstance(axis, list) else axis
    return xp.sqrt(xp.sum(xp.square(w), axis=axis, keepdims=True))
