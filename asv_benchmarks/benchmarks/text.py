"""Texts and strings as numbers; `adapt` is their training.  CuPy has none: they are NumPy's."""

from __future__ import annotations

from functools import cache

import numpy as np

from gpulayers import layers

from . import layer
from .libraries import QUICK, peak

COUNT = 200 if QUICK else 20_000


@cache
def texts():
    """Texts of a dozen invented words."""
    rng = np.random.default_rng(0)
    words = np.array([f"Word{n}," for n in range(COUNT)], object)
    chosen = np.minimum(rng.zipf(1.3, (COUNT, 12)), COUNT) - 1
    return np.array([" ".join(row) for row in words[chosen]], object)


@cache
def words():
    """Those of all texts, 240,000."""
    return np.array(" ".join(texts()).split(), object)


def vectorization(mode):
    return layers.TextVectorization(max_tokens=5000, output_mode=mode), texts()


LEARNING = {
    "TextVectorization to int": lambda: vectorization("int"),
    "TextVectorization to multi_hot": lambda: vectorization("multi_hot"),
    "TextVectorization to tf_idf": lambda: vectorization("tf_idf"),
    "StringLookup": lambda: (layers.StringLookup(), words()),
}


@cache
def learnt(name):
    """A layer that has seen what it is called with."""
    found, x = LEARNING[name]()
    found.adapt(x)
    return found, x


class Strings(layer.PreprocessingBenchmark):
    libraries = ("numpy",)
    cases = {name: lambda name=name: learnt(name) for name in LEARNING}
    cases |= {"Hashing": lambda: (layers.Hashing(1000), words())}


class Adapting:
    params = (tuple(LEARNING),)
    param_names = ("layer",)

    def setup(self, name):
        self.layer, self.x = learnt(name)

    def time_adapt(self, name):
        self.layer.adapt(self.x)

    def track_peak_of_adapting(self, name):
        return peak("numpy", lambda: self.time_adapt(name))

    track_peak_of_adapting.unit = "bytes"
