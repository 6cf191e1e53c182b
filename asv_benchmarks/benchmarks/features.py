"""Preprocessing of numbers: forward and memory, for there is nothing to train."""

from __future__ import annotations

from functools import cache

from gpulayers import layers

from .libraries import LIBRARIES, finish, integers, normal, peak, to_library


def scaled():
    layer = layers.Normalization()
    layer.adapt(normal(4096, 64))
    return layer, normal(4096, 64)


MADE = {
    "Rescaling": lambda: (layers.Rescaling(1 / 255), integers(256, 32, 64, 64, 3)),
    "Normalization": scaled,
    "Discretization": lambda: (layers.Discretization([-1.0, 0.0, 1.0]), normal(4096, 64)),
    "CategoryEncoding": lambda: (layers.CategoryEncoding(1000), integers(1000, 4096, 8)),
    "IntegerLookup": lambda: (
        layers.IntegerLookup(vocabulary=[*range(500)]),
        integers(1000, 65536),
    ),
    "HashedCrossing": lambda: (
        layers.HashedCrossing(1000),
        (integers(10, 65536), integers(20, 65536)),
    ),
}


@cache
def made(library: str, name: str):
    """A layer, and its input in that library."""
    layer, x = MADE[name]()
    given = to_library(library, *x) if isinstance(x, tuple) else to_library(library, x)[0]
    layer(given)
    return layer, given


class Features:
    params = (LIBRARIES, tuple(MADE))
    param_names = ("library", "layer")

    def setup(self, *case):
        self.layer, self.x = made(*case)

    def time_forward(self, library, name):
        self.layer(self.x)
        finish(library)

    def track_peak(self, library, name):
        return peak(library, lambda: self.layer(self.x))

    track_peak.unit = "bytes"
