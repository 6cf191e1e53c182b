"""Layers that move numbers: cut, filled, repeated, in another order."""

from __future__ import annotations

from gpulayers.layers import (
    Cropping2D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling2D,
    ZeroPadding2D,
)

from . import layer
from .libraries import normal


class Moves(layer.LayerBenchmark):
    cases = {
        "Reshape": lambda: (Reshape((256, 128)), normal(64, 128, 256)),
        "Flatten": lambda: (Flatten(), normal(64, 128, 256)),
        "Permute": lambda: (Permute((2, 1)), normal(64, 128, 256)),
        "RepeatVector": lambda: (RepeatVector(100), normal(64, 256)),
        "Cropping2D": lambda: (Cropping2D(4), normal(8, 64, 64, 64)),
        "ZeroPadding2D": lambda: (ZeroPadding2D(1), normal(8, 56, 56, 64)),
        "UpSampling2D": lambda: (UpSampling2D(2), normal(8, 32, 32, 64)),
        "UpSampling2D, bilinear": lambda: (
            UpSampling2D(2, interpolation="bilinear"),
            normal(8, 32, 32, 64),
        ),
    }
