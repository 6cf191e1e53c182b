"""The tape: what recording an operation and running it backwards cost on small arrays."""

from __future__ import annotations

from functools import cache

import numpy as np

from gpulayers.arrays import Tape, Variable, namespace

OPERATIONS = 90


@cache
def operands():
    return Variable(np.linspace(0, 1, 8)), np.linspace(1, 2, 8)


class Record:
    """A chain of multiply, add and tanh over arrays of 8 elements."""

    def setup(self):
        operands()

    def run(self):
        variable, x = operands()
        with Tape() as tape:
            y = variable.value
            xp = namespace(y)
            for _ in range(OPERATIONS // 3):
                y = xp.tanh(y * x + x)
        return tape.gradient(y, variable)

    def time_ninety_operations(self):
        return self.run()
