"""Initializers with a seed: normal and uniform values, orthogonal matrices."""

from __future__ import annotations

import math

import numpy as np

from .. import registry
from ..arrays import random
from .base import Initializer, numpy_dtype


class RandomInitializer(Initializer):
    """Base class of those with a seed.

    Args:
        seed: a whole number, or a SeedGenerator for other values at each call.  With None the
            initializer takes a number from Python's `random` once, so that all its calls of one
            shape give the same values.

    Raises TypeError if `seed` is something else.
    """

    def __init__(self, seed=None):
        self._initial_seed = seed
        if seed is None:
            seed = random.make_default_seed()
        elif isinstance(seed, dict):
            seed = registry.deserialize(seed)
        elif not (isinstance(seed, random.SeedGenerator) or hasattr(seed, "__index__")):
            raise TypeError(
                f"{type(self).__name__}: seed must be a whole number, a SeedGenerator or None, "
                f"got {type(seed).__name__}: {str(seed)[:60]!r}."
            )
        self.seed = seed

    def get_config(self) -> dict:
        return {"seed": registry.serialize(self._initial_seed)}


class RandomNormal(RandomInitializer):
    """Values of the normal distribution.

    Args:
        mean, stddev: of the distribution.
        seed: see `RandomInitializer`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed=None):
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape, dtype=None):
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)

    def get_config(self) -> dict:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Values of the normal distribution within two standard deviations of its mean.

    Args:
        mean, stddev: of the distribution before it is truncated.
        seed: see `RandomInitializer`.
    """

    def __call__(self, shape, dtype=None):
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


class RandomUniform(RandomInitializer):
    """Values spread evenly over minval <= x < maxval.

    Args:
        minval, maxval: the bounds.
        seed: see `RandomInitializer`.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed=None):
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape, dtype=None):
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)

    def get_config(self) -> dict:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class Orthogonal(RandomInitializer):
    """A matrix with orthonormal rows or columns (whichever are fewer), times `gain`.

    It is Q of the QR decomposition of a normal matrix, its columns times the signs of R's
    diagonal, which makes it uniform among such matrices.  All axes but the last are rows.
    Saxe, McClelland, Ganguli: "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", ICLR 2014.

    Calling it raises ValueError for a shape of fewer than two axes.
    """

    def __init__(self, gain: float = 1.0, seed=None):
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape, dtype=None):
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected two axes or more, got shape {tuple(shape)}.")
        dtype = numpy_dtype(dtype)
        working = "float64" if dtype == np.float64 else "float32"
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        q, r = np.linalg.qr(random.normal(tall, dtype=working, seed=self.seed))
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0).astype(q.dtype)
        # Programs read weights row by row, as all others lie.
        q = np.ascontiguousarray(q.T if rows < columns else q)
        return (self.gain * q).reshape(shape).astype(dtype, copy=False)

    def get_config(self) -> dict:
        return {**super().get_config(), "gain": self.gain}
