"""Pooling layers."""

from __future__ import annotations

from gpulayers.layers import (
    AdaptiveAveragePooling2D,
    AveragePooling2D,
    GlobalAveragePooling2D,
    MaxPooling2D,
)

from . import layer
from .libraries import normal


class Largest2x2(layer.LayerBenchmark):
    def make(self):
        return MaxPooling2D(2), normal(8, 112, 112, 64)


class LargestOverlapping(layer.LayerBenchmark):
    def make(self):
        return MaxPooling2D(3, strides=2, padding="same"), normal(8, 112, 112, 64)


class Mean2x2(layer.LayerBenchmark):
    def make(self):
        return AveragePooling2D(2), normal(8, 112, 112, 64)


class Global(layer.LayerBenchmark):
    def make(self):
        return GlobalAveragePooling2D(), normal(32, 7, 7, 512)


class Adaptive(layer.LayerBenchmark):
    def make(self):
        return AdaptiveAveragePooling2D(7), normal(8, 56, 56, 64)
