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


class Digits(layer.LayerBenchmark):
    """Of images of 8 x 8: what a call costs beside the arithmetic."""

    def make(self):
        return Conv2D(16, 3, padding="same", activation="relu"), normal(32, 8, 8, 1)


class Windows3x3Of64(layer.LayerBenchmark):
    def make(self):
        return Conv2D(64, 3, padding="same", activation="relu"), normal(8, 56, 56, 64)


class Windows3x3Of256(layer.LayerBenchmark):
    def make(self):
        return Conv2D(256, 3, padding="same", activation="relu"), normal(8, 14, 14, 256)


class Windows1x1(layer.LayerBenchmark):
    def make(self):
        return Conv2D(64, 1), normal(8, 56, 56, 256)


class Stem(layer.LayerBenchmark):
    def make(self):
        return Conv2D(64, 7, strides=2, padding="same"), normal(1, 224, 224, 3)


class FewChannels(layer.LayerBenchmark):
    def make(self):
        return Conv2D(16, 3, padding="same"), normal(8, 112, 112, 16)


class EachChannel(layer.LayerBenchmark):
    def make(self):
        return DepthwiseConv2D(3, padding="same"), normal(8, 112, 112, 32)


class Transposed(layer.LayerBenchmark):
    def make(self):
        return Conv2DTranspose(32, 3, strides=2, padding="same"), normal(8, 28, 28, 64)


class Causal(layer.LayerBenchmark):
    def make(self):
        return Conv1D(64, 5, padding="causal", dilation_rate=2), normal(16, 1000, 32)


class Separable(layer.LayerBenchmark):
    def make(self):
        return SeparableConv2D(64, 3, padding="same"), normal(8, 56, 56, 64)


class Volumes(layer.LayerBenchmark):
    def make(self):
        return Conv3D(16, 3, padding="same"), normal(2, 16, 32, 32, 8)
