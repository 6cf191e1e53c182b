"""What all initializers share."""

from __future__ import annotations

import numpy as np

from ..arrays import devices, dtypes, plain


class Initializer:
    """Base class: a subclass defines `__call__` and, if it has arguments, `get_config()`."""

    def __call__(self, shape, dtype=None):
        """An array of this shape and dtype (a name; floatx by default)."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype).")

    def get_config(self) -> dict:
        """The arguments that make this initializer again."""
        return {}

    @classmethod
    def from_config(cls, config: dict):
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self):
        """A new initializer of the same arguments: another seed if none was given."""
        return type(self).from_config(self.get_config())


def host(values):
    """An array of any library on the CPU; a number or a list as it is."""
    return devices.to_numpy(plain(values)) if hasattr(values, "shape") else values


def numpy_dtype(dtype) -> np.dtype:
    """NumPy's dtype of that name, or of floatx for None."""
    return dtypes.numpy_dtype(dtypes.standardize(dtype))
