"""A Variable without axes whose number the host knows without asking the device for it."""

from __future__ import annotations

import numpy as np

from ..arrays import Variable
from ..arrays.capturing import ACTIVE, refuse


class HostNumber:
    """Mirrors a scalar Variable: asks for its number only after somebody assigned it."""

    __slots__ = ("_kind", "_number", "_seen", "variable")

    def __init__(self, variable: Variable, kind: type):
        self.variable, self._kind, self._seen, self._number = variable, kind, None, None

    def read(self):
        """The number, as a Python int or float."""
        if ACTIVE:
            refuse(f"{self.variable.path} is read as a Python number.")
        value = self.variable._value
        if value is not self._seen:
            self._seen, self._number = value, self._kind(value)
        return self._number

    def increment(self) -> None:
        """Add 1, on the Variable's device."""
        value = self.variable._value
        known = value is self._seen
        dtype, value = value.dtype, value + 1
        if isinstance(value, np.generic):  # What NumPy makes of arrays without axes.
            value = np.asarray(value, dtype)
        self.variable.replace(value)
        if known:
            self._seen, self._number = value, self._number + 1
