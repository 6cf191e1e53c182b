"""EinsumDense as attention uses it: features into heads, and back."""

from __future__ import annotations

from gpulayers.layers import EinsumDense

from . import layer
from .libraries import normal


class IntoHeads(layer.LayerBenchmark):
    def make(self):
        return EinsumDense("btd,dhk->bthk", (None, 8, 32), bias_axes="hk"), normal(16, 64, 256)


class OutOfHeads(layer.LayerBenchmark):
    def make(self):
        return EinsumDense("bthk,hkd->btd", (None, 256), bias_axes="d"), normal(16, 64, 8, 32)
