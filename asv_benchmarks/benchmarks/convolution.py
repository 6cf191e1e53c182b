"""Convolution layers, of sizes that networks for images have."""

from __future__ import annotations

from gpulayers.layers import (
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    DepthwiseConv2D,
    SeparableConv2D,
)

from . import layer
from .libraries import normal

SAME = {"padding": "same"}


class Convolutions(layer.LayerBenchmark):
    """That of the digits, 8 x 8, shows what a call costs beside the arithmetic."""

    cases = {
        "digits": lambda: (Conv2D(16, 3, activation="relu", **SAME), normal(32, 8, 8, 1)),
        "3x3 of 64": lambda: (Conv2D(64, 3, activation="relu", **SAME), normal(8, 56, 56, 64)),
        "3x3 of 256": lambda: (Conv2D(256, 3, activation="relu", **SAME), normal(8, 14, 14, 256)),
        "1x1": lambda: (Conv2D(64, 1), normal(8, 56, 56, 256)),
        "stem": lambda: (Conv2D(64, 7, strides=2, **SAME), normal(1, 224, 224, 3)),
        "few channels": lambda: (Conv2D(16, 3, **SAME), normal(8, 112, 112, 16)),
        "depthwise": lambda: (DepthwiseConv2D(3, **SAME), normal(8, 112, 112, 32)),
        "separable": lambda: (SeparableConv2D(64, 3, **SAME), normal(8, 56, 56, 64)),
        "transposed": lambda: (Conv2DTranspose(32, 3, strides=2, **SAME), normal(8, 28, 28, 64)),
        "causal": lambda: (
            Conv1D(64, 5, padding="causal", dilation_rate=2),
            normal(16, 1000, 32),
        ),
        "volumes": lambda: (Conv3D(16, 3, **SAME), normal(2, 16, 32, 32, 8)),
    }
