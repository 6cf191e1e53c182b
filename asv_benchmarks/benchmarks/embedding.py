"""Embedding: rows of a table by their numbers, and gradients added into rows."""

from __future__ import annotations

from gpulayers.layers import Embedding

from . import layer
from .libraries import integers


class Words(layer.LayerBenchmark):
    """Sentences of 100 words out of 10,000."""

    def make(self):
        return Embedding(10_000, 128), integers(10_000, 32, 100)


class Letters(layer.LayerBenchmark):
    """Few rows, each met many times."""

    def make(self):
        return Embedding(64, 32), integers(64, 32, 1000)
