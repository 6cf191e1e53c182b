"""Normalization of features, and of channels over a batch."""

from __future__ import annotations

from gpulayers.layers import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
)

from . import layer
from .libraries import normal


class Layer(layer.LayerBenchmark):
    def make(self):
        return LayerNormalization(), normal(1024, 256)


class Rms(layer.LayerBenchmark):
    def make(self):
        return RMSNormalization(), normal(1024, 256)


class Batch(layer.LayerBenchmark):
    def make(self):
        return BatchNormalization(), normal(16, 28, 28, 32)


class Groups(layer.LayerBenchmark):
    def make(self):
        return GroupNormalization(8), normal(16, 28, 28, 32)
