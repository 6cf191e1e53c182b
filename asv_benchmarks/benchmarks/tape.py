"""The tape: what recording an operation and running it backwards cost on small arrays."""

from __future__ import annotations

from functools import cache

import numpy as np

from gpulayers.arrays import Tape, Variable, namespace

from .libraries import LIBRARIES, finish, peak, to_library

OPERATIONS = 90


@cache
def operands(library: str):
    weight, x = to_library(library, np.linspace(0, 1, 8), np.linspace(1, 2, 8))
    return Variable(weight), x


def chain(y, x):
    """Multiply, add and tanh, ninety in all."""
    xp = namespace(y)
    for _ in range(OPERATIONS // 3):
        y = xp.tanh(y * x + x)
    return y


class NinetyOperations:
    """A chain over arrays of 8 elements: by itself, recorded, and there and back."""

    params = (LIBRARIES,)
    param_names = ("library",)

    def setup(self, library):
        self.variable, self.x = operands(library)

    def time_forward(self, library):
        chain(self.variable.value, self.x)
        finish(library)

    def time_recording(self, library):
        with Tape():
            chain(self.variable.value, self.x)
        finish(library)

    def time_training_step(self, library):
        with Tape() as tape:
            y = chain(self.variable.value, self.x)
        tape.gradient(y, self.variable)
        finish(library)

    def track_peak_of_training(self, library):
        return peak(library, lambda: self.time_training_step(library))

    track_peak_of_training.unit = "bytes"
