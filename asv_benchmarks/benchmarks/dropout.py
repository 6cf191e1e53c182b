"""Dropout: a mask is made, and made again for the gradient."""

from __future__ import annotations

from gpulayers.layers import Dropout

from . import layer
from .libraries import normal


class TenPercent(layer.LayerBenchmark):
    def make(self):
        return Dropout(0.1), normal(256, 1024)
