"""Regularizers: penalties on weights or activations that are added to the loss.

A regularizer is called with an array of any library (recorded ones and Variables included), and
gives a scalar array of its dtype.  Any function of that kind may stand in for one.
"""

from __future__ import annotations

import math
from numbers import Real

from . import config, registry
from .arrays import as_array, namespace

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


class Regularizer:
    """Base class: a subclass defines `__call__(x)` and, to be saved, `get_config()`."""

    def __call__(self, x):
        """The penalty for `x`, a scalar."""
        return 0.0

    def get_config(self) -> dict:
        """The arguments that make this regularizer again."""
        raise NotImplementedError(f"{type(self).__name__} must define get_config() to be saved.")

    @classmethod
    def from_config(cls, config: dict):
        """The regularizer that `get_config` described."""
        return cls(**config)


class L1L2(Regularizer):
    """The penalty `l1 * sum(|x|) + l2 * sum(x**2)` (elastic net: Zou and Hastie, 2005).

    Args:
        l1, l2: factors, finite and not negative; None means 0.

    Raises TypeError for a factor that is no number, ValueError for one out of range.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1 = _factor("L1L2", "l1", 0.0 if l1 is None else l1)
        self.l2 = _factor("L1L2", "l2", 0.0 if l2 is None else l2)

    def __call__(self, x):
        x = as_array(x)
        xp = namespace(x)
        if self.l1 == 0:
            if self.l2 == 0:
                return xp.sum(xp.zeros_like(x))
            return self.l2 * xp.sum(xp.square(x))
        penalty = self.l1 * xp.sum(xp.abs(x))
        return penalty + self.l2 * xp.sum(xp.square(x)) if self.l2 else penalty

    def get_config(self) -> dict:
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """The penalty `l1 * sum(|x|)`, which makes many weights zero.

    Args:
        l1: the factor, finite and not negative; None means 0.01.

    Raises TypeError for a factor that is no number, ValueError for one out of range.
    """

    def __init__(self, l1: float = 0.01):
        self.l1 = _factor("L1", "l1", 0.01 if l1 is None else l1)

    def __call__(self, x):
        x = as_array(x)
        xp = namespace(x)
        return self.l1 * xp.sum(xp.abs(x))

    def get_config(self) -> dict:
        return {"l1": self.l1}


class L2(Regularizer):
    """The penalty `l2 * sum(x**2)`, which keeps weights small.

    Args:
        l2: the factor, finite and not negative; None means 0.01.

    Raises TypeError for a factor that is no number, ValueError for one out of range.
    """

    def __init__(self, l2: float = 0.01):
        self.l2 = _factor("L2", "l2", 0.01 if l2 is None else l2)

    def __call__(self, x):
        x = as_array(x)
        xp = namespace(x)
        return self.l2 * xp.sum(xp.square(x))

    def get_config(self) -> dict:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """The penalty `factor * mean(|cosine of two different vectors|)`, over all pairs of vectors.

    Args:
        factor: finite and not negative.
        mode: "rows" or "columns": which of a matrix are the vectors.

    Vectors are brought to norm 1 by 1 / max(norm, epsilon); a single vector gives 0.  Calling it
    raises ValueError unless `x` is a matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        self.factor = _factor("OrthogonalRegularizer", "factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(
                f'OrthogonalRegularizer: mode must be "rows" or "columns", got {mode!r}.'
            )
        self.mode = mode

    def __call__(self, x):
        x = as_array(x)
        if len(x.shape) != 2:
            raise ValueError(f"OrthogonalRegularizer: expected a matrix, got shape {x.shape}.")
        xp = namespace(x)
        vectors = x if self.mode == "rows" else xp.matrix_transpose(x)
        squares = xp.sum(xp.square(vectors), axis=1, keepdims=True)
        vectors = vectors / xp.sqrt(xp.clip(squares, config.epsilon() ** 2, None))
        cosines = xp.abs(xp.matmul(vectors, xp.matrix_transpose(vectors)))
        count = vectors.shape[0]
        pairs = max(count * (count - 1), 1)
        # Above and below the diagonal: each pair stands there twice.
        return (
            self.factor * (xp.sum(xp.triu(cosines, k=1)) + xp.sum(xp.tril(cosines, k=-1))) / pairs
        )

    def get_config(self) -> dict:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


def serialize(regularizer) -> dict:
    """A description of a regularizer that `deserialize`, and Keras, read."""
    return registry.serialize(regularizer)


def deserialize(config, custom_objects: dict | None = None):
    """The regularizer that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="regularizers")


def get(identifier):
    """The regularizer that a name, a config, a class or a function means; None for None.

    Raises ValueError for unknown names, TypeError for other kinds of values.
    """
    return registry.get("regularizers", identifier)


def _factor(who: str, name: str, value) -> float:
    if not isinstance(value, Real):
        raise TypeError(f"{who}: {name} must be a number, got {type(value).__name__}: {value!r}.")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{who}: {name} must be finite and not negative, got {value}.")
    return float(value)
