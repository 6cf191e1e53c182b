"""Noise in training: dropout makes a mask, and makes it again for the gradient."""

from __future__ import annotations

from gpulayers.layers import AlphaDropout, Dropout, GaussianDropout, GaussianNoise, SpatialDropout2D

from . import layer
from .libraries import normal


class TenPercent(layer.LayerBenchmark):
    def make(self):
        return Dropout(0.1), normal(256, 1024)


class Alpha(layer.LayerBenchmark):
    def make(self):
        return AlphaDropout(0.1), normal(256, 1024)


class Channels(layer.LayerBenchmark):
    def make(self):
        return SpatialDropout2D(0.1), normal(8, 56, 56, 64)


class Factors(layer.LayerBenchmark):
    def make(self):
        return GaussianDropout(0.1), normal(256, 1024)


class Noise(layer.LayerBenchmark):
    def make(self):
        return GaussianNoise(0.1), normal(256, 1024)
