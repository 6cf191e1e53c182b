"""Initializers: the values with which weights start.

An initializer is called with (shape, dtype) and gives a NumPy array, which a Variable moves to
where it lives; so one seed gives the same weights on every device.  Any function of that kind, or
an array of the weight's shape, may stand in for one.
"""

from __future__ import annotations

from .. import registry
from ..arrays import is_array
from .base import Initializer, host, numpy_dtype
from .constants import STFT, Constant, Identity, Ones, Zeros
from .random_values import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from .scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

constant, zeros, ones, random_normal = Constant, Zeros, Ones, RandomNormal
random_uniform, truncated_normal = RandomUniform, TruncatedNormal
variance_scaling, glorot_uniform, glorot_normal = VarianceScaling, GlorotUniform, GlorotNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
he_uniform, he_normal = HeUniform, HeNormal
orthogonal = OrthogonalInitializer = Orthogonal
identity = IdentityInitializer = Identity
stft = STFTInitializer = STFT

ALIASES = {"normal": RandomNormal, "uniform": RandomUniform, "zero": Zeros, "one": Ones}


def serialize(initializer) -> dict:
    """A description of an initializer that `deserialize`, and Keras, read."""
    return registry.serialize(initializer)


def deserialize(config, custom_objects: dict | None = None):
    """The initializer that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="initializers")


def get(identifier):
    """The initializer that a name, a config, a class or a function means; None for None.

    An array gives a function that gives the array's values, for its shape only.
    Raises ValueError for unknown names, TypeError for other kinds of values.
    """
    if is_array(identifier):
        return _given(identifier)
    return registry.get("initializers", identifier)


def _given(values):
    def initialize(shape, dtype=None):
        array = host(values)
        if tuple(shape) != array.shape:
            raise ValueError(
                f"an initializer made of an array of shape {array.shape} was asked for "
                f"{tuple(shape)}."
            )
        return array.astype(numpy_dtype(dtype))

    return initialize
