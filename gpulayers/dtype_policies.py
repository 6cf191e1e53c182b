"""Dtype policies.  The names of `keras.dtype_policies`."""

from .arrays.policy import DTypePolicy, FloatDTypePolicy, deserialize, get, serialize

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]
