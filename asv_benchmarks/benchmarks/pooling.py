"""Pooling layers."""

from __future__ import annotations

from gpulayers.layers import (
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling2D,
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)

from . import layer
from .libraries import normal


class Pooling(layer.LayerBenchmark):
    cases = {
        "largest of 2x2": lambda: (MaxPooling2D(2), normal(8, 112, 112, 64)),
        "largest of 3x3, overlapping": lambda: (
            MaxPooling2D(3, strides=2, padding="same"),
            normal(8, 112, 112, 64),
        ),
        "mean of 2x2": lambda: (AveragePooling2D(2), normal(8, 112, 112, 64)),
        "largest of all": lambda: (GlobalMaxPooling2D(), normal(32, 7, 7, 512)),
        "mean of all": lambda: (GlobalAveragePooling2D(), normal(32, 7, 7, 512)),
        "largest, to 7x7": lambda: (AdaptiveMaxPooling2D(7), normal(8, 56, 56, 64)),
        "mean, to 7x7": lambda: (AdaptiveAveragePooling2D(7), normal(8, 56, 56, 64)),
    }
