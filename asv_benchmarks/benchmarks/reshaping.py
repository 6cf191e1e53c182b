"""Layers that move numbers: cut, filled, repeated, in another order."""

from __future__ import annotations

from gpulayers.layers import Cropping2D, Permute, UpSampling2D, ZeroPadding2D

from . import layer
from .libraries import normal


class Turned(layer.LayerBenchmark):
    def make(self):
        return Permute((2, 1)), normal(64, 128, 256)


class Cut(layer.LayerBenchmark):
    def make(self):
        return Cropping2D(4), normal(8, 64, 64, 64)


class Padded(layer.LayerBenchmark):
    def make(self):
        return ZeroPadding2D(1), normal(8, 56, 56, 64)


class Larger(layer.LayerBenchmark):
    def make(self):
        return UpSampling2D(2), normal(8, 32, 32, 64)


class LargerAndSmooth(layer.LayerBenchmark):
    def make(self):
        return UpSampling2D(2, interpolation="bilinear"), normal(8, 32, 32, 64)
