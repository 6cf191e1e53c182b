"""Preprocessing of numbers; `adapt` is their training."""

from __future__ import annotations

from functools import cache

from gpulayers import layers

from . import layer
from .libraries import LIBRARIES, finish, integers, normal, peak, to_library


def scaled():
    found = layers.Normalization()
    found.adapt(normal(4096, 64))
    return found, normal(4096, 64)


class Features(layer.PreprocessingBenchmark):
    cases = {
        "Rescaling": lambda: (layers.Rescaling(1 / 255), integers(256, 32, 64, 64, 3)),
        "Normalization": scaled,
        "Discretization": lambda: (layers.Discretization([-1.0, 0.0, 1.0]), normal(4096, 64)),
        "CategoryEncoding": lambda: (layers.CategoryEncoding(1000), integers(1000, 4096, 8)),
        "IntegerLookup": lambda: (
            layers.IntegerLookup(vocabulary=[*range(500)]),
            integers(1000, 65536),
        ),
        "Hashing": lambda: (layers.Hashing(1000), integers(1000, 65536)),
        "HashedCrossing": lambda: (
            layers.HashedCrossing(1000),
            (integers(10, 65536), integers(20, 65536)),
        ),
    }


LEARNING = {
    "Normalization": lambda: (layers.Normalization(), normal(4096, 64)),
    "Discretization": lambda: (layers.Discretization(num_bins=20), normal(4096, 64)),
    "IntegerLookup": lambda: (layers.IntegerLookup(), integers(1000, 65536)),
}


@cache
def learning(library: str, name: str):
    found, x = LEARNING[name]()
    return found, to_library(library, x)[0]


class Adapting:
    params = (LIBRARIES, tuple(LEARNING))
    param_names = ("library", "layer")

    def setup(self, *case):
        self.layer, self.x = learning(*case)

    def time_adapt(self, library, name):
        self.layer.adapt(self.x)
        finish(library)

    def track_peak_of_adapting(self, library, name):
        return peak(library, lambda: self.time_adapt(library, name))

    track_peak_of_adapting.unit = "bytes"
