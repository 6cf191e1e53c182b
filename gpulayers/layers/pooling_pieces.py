"""Pieces of inference plans that keep one number of many: see `pieces.py`."""

from __future__ import annotations

from .pieces import Piece


class Pooling(Piece):
    """A primitive that reduces what windows see, with its options."""

    def __init__(self, name, operation, options):
        super().__init__(name)
        self.operation, self.options = operation, options

    def ready(self, own, floor):
        return floor.pooled(self.operation, self.options)

    def write(self, program, own, x):
        return program.pooled(x, self.operation, **self.options)

    @property
    def what(self):
        sizes = " x ".join(map(str, self.options["windows"]))
        return f"{self.operation.__name__} of {sizes}"


class Reduction(Piece):
    """The largest or the mean of each channel over all places.

    Args:
        function: of an array, which does that.
        operation: the pooling primitive that does it with a window.
        shape: that of the result for one sample.
    """

    def __init__(self, name, function, operation, shape):
        super().__init__(name)
        self.function, self.operation, self.shape = function, operation, shape

    def ready(self, own, floor):
        return self.function

    def write(self, program, own, x):
        once = (1,) * len(x.shape[1:-1])
        y = program.pooled(x, self.operation, x.shape[1:-1], once, ((0, 0),) * len(once))
        return program.rows(y, self.shape)

    @property
    def what(self):
        return f"{self.operation.__name__} of all places"
