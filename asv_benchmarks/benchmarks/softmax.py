"""Softmax over short and over long rows."""

from __future__ import annotations

from gpulayers.layers import Softmax

from . import layer
from .libraries import normal


class ShortRows(layer.LayerBenchmark):
    def make(self):
        return Softmax(), normal(4096, 64)


class LongRows(layer.LayerBenchmark):
    def make(self):
        return Softmax(), normal(64, 4096)
