"""Activations by themselves: one pass over memory each way."""

from __future__ import annotations

from gpulayers.layers import Activation

from . import layer
from .libraries import normal


class Gelu(layer.LayerBenchmark):
    def make(self):
        return Activation("gelu"), normal(256, 1024)


class Silu(layer.LayerBenchmark):
    def make(self):
        return Activation("silu"), normal(256, 1024)
