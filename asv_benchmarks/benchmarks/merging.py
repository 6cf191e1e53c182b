"""Layers that merge several inputs into one."""

from __future__ import annotations

from gpulayers.layers import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract

from . import layer
from .libraries import normal


def pair():
    """Two inputs of 131,072 numbers each."""
    return [normal(128, 1024), normal(128, 1024) + 1]


class OfTwo(layer.LayerBenchmark):
    cases = {
        kind.__name__: lambda kind=kind: (kind(), pair())
        for kind in (Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate)
    }
    cases |= {"Dot": lambda: (Dot(axes=1, normalize=True), pair())}
