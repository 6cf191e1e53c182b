"""Dense layers, of the sizes of a small and of a large network."""

from __future__ import annotations

from gpulayers.layers import Dense

from . import layer
from .libraries import normal


class Relu32To64(layer.LayerBenchmark):
    def make(self):
        return Dense(64, activation="relu"), normal(32, 32)


class GeluOf1024(layer.LayerBenchmark):
    def make(self):
        return Dense(1024, activation="gelu"), normal(256, 1024)
