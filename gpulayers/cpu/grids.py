"""Where the arrays of a program lie in its memory: see `program.py`."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from ..jit import tiles
from .sliding import AXES

LARGEST_ARRAY = 1 << 18  # Elements: several such stay in a core's cache, or its neighbour's.


class Unwritable(Exception):
    """That a program cannot do something, or not as fast."""


class Grid:
    """An array on the way: samples, three axes with margins, and channels.

    shape: that of the array.
    fill: what its margins hold, None as long as it has none.
    """

    def __init__(self, shape, storage=None):
        if not 2 <= len(shape) <= AXES + 2 or not 0 < prod(shape) <= LARGEST_ARRAY:
            raise Unwritable
        self.shape, self.storage = shape, storage  # None, or the grid in whose place it is.
        self.sizes = (1,) * (AXES + 2 - len(shape)) + shape[1:-1]
        self.samples, self.channels = shape[0], shape[-1]
        self.margins, self.fill, self._at = ((0, 0),) * AXES, None, None
        self.maker = None  # The chain of moves that writes it, if it is one.
        self.fixed = False  # Whether it gets no margins any more.
        self.lasting = False  # Whether some of it is written but once, before all runs.

    def takes(self, margins, fill) -> bool:
        """Whether it may have such margins; it has them then, or larger ones."""
        if not any(map(any, margins)):
            return True
        if self.fixed or self.storage or self.fill not in (None, fill) or (fill and self.lasting):
            return False
        both = zip(self.margins, margins, strict=True)
        self.margins = tuple((max(a, c), max(b, d)) for (a, b), (c, d) in both)
        self.fill = fill
        return True

    def place(self, at: int) -> int:
        """Begin at a place in memory; gives where the next one may begin."""
        if self.storage is None:
            self._at = at
            at += -(-self.samples * self.steps[0] // 16) * 16
        return at

    @property
    def steps(self):
        """How far behind each other samples, places on three axes, and channels are."""
        found = [1, self.channels]
        for n, (low, high) in list(zip(self.sizes, self.margins, strict=True))[::-1]:
            found.append(found[-1] * (n + low + high))
        return tuple(found[::-1])

    @property
    def begin(self) -> int:
        """Where it begins behind its margins."""
        if self.storage is not None:
            return self.storage.begin
        lows = [low for low, _ in self.margins]
        return self._at + sum(low * s for low, s in zip(lows, self.steps[1:4], strict=True))

    def places(self, whole: int = 0):
        """Where all its places are, or only what the last `whole` axes but channels begin with."""
        counts = (self.samples, *self.sizes)[: AXES + 1 - whole]
        return table(counts, self.steps[: len(counts)])


@lru_cache(256)
def table(counts, steps):
    """Offsets of places, the last again to fill a tile."""
    found = np.zeros(1, np.intp)
    for n, step in zip(counts, steps, strict=True):
        found = (found[:, None] + np.arange(n) * step).reshape(-1)
    return filled(found)


def filled(places):
    """Places, the last again to fill a tile."""
    return np.pad(places, (0, -len(places) % (2 * tiles.shape(4)[0])), "edge")


def joint(whole: int, *grids) -> int:
    """Of how many last axes the places follow each other in all grids: at most `whole`."""
    for grid in grids:
        inner = [i for i, pair in enumerate(grid.margins[::-1]) if any(pair)]
        whole = min([whole, *inner])
    return whole
