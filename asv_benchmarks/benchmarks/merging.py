"""Layers that merge several inputs into one."""

from __future__ import annotations

from gpulayers.layers import Add, Concatenate, Dot, Maximum, Multiply

from . import layer
from .libraries import normal


def pair():
    """Two inputs of 131,072 numbers each."""
    return [normal(128, 1024), normal(128, 1024) + 1]


class AddTwo(layer.LayerBenchmark):
    def make(self):
        return Add(), pair()


class MultiplyTwo(layer.LayerBenchmark):
    def make(self):
        return Multiply(), pair()


class MaximumOfTwo(layer.LayerBenchmark):
    def make(self):
        return Maximum(), pair()


class ConcatenateTwo(layer.LayerBenchmark):
    def make(self):
        return Concatenate(), pair()


class DotOfTwo(layer.LayerBenchmark):
    def make(self):
        return Dot(axes=1, normalize=True), pair()
