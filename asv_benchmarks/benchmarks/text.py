"""Texts and strings as numbers."""

from __future__ import annotations

from functools import cache

import numpy as np

from gpulayers import layers

from .libraries import peak


@cache
def texts(count=20_000):
    """Texts of a dozen invented words."""
    rng = np.random.default_rng(0)
    words = np.array([f"Word{n}," for n in range(20_000)], object)
    chosen = np.minimum(rng.zipf(1.3, (count, 12)), 20_000) - 1
    return np.array([" ".join(row) for row in words[chosen]], object)


class Vectorization:
    """20,000 short texts."""

    params = ("int", "multi_hot", "tf_idf")
    param_names = ("output_mode",)

    def setup(self, mode):
        self.layer = layers.TextVectorization(max_tokens=5000, output_mode=mode)
        self.layer.adapt(texts())

    def time_call(self, mode):
        self.layer(texts())

    def time_adapt(self, mode):
        self.layer.adapt(texts())

    def track_peak(self, mode):
        return peak("numpy", lambda: self.layer(texts()))

    track_peak.unit = "bytes"


class Strings:
    """240,000 words."""

    def setup(self):
        self.words = np.array(" ".join(texts()).split(), object)
        self.lookup, self.hashing = layers.StringLookup(), layers.Hashing(1000)
        self.lookup.adapt(self.words)

    def time_lookup(self):
        self.lookup(self.words)

    def time_hashing(self):
        self.hashing(self.words)
