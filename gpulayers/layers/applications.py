"""The two layers that models of `keras.applications` have, and `keras.layers` does not.

Files name them, so they are known there; as layers of one's own they are a line each.
"""

from __future__ import annotations

from ..initializers import Constant
from .layer import Layer


class LayerScale(Layer):
    """Inputs times a learned number for each channel: in ConvNeXt.

    Args:
        init_values: what the numbers begin with.
        projection_dim: how many channels there are.

    Touvron, Cord, Sablayrolles, Synnaeve, Jegou: "Going deeper with image transformers", 2021
    (arXiv:2103.17239).
    """

    keras_identity = ("keras.src.applications.convnext", "LayerScale", "LayerScale")
    supports_masking = True

    def __init__(self, init_values, projection_dim, **kwargs):
        super().__init__(**kwargs)
        self.init_values, self.projection_dim = init_values, projection_dim

    def build(self, input_shape):
        start = Constant(self.init_values)
        self.gamma = self.add_weight((self.projection_dim,), start, name="gamma")

    def call(self, x):
        return x * self.gamma

    def get_config(self):
        own = {"init_values": self.init_values, "projection_dim": self.projection_dim}
        return {**super().get_config(), **own}


class CustomScaleLayer(Layer):
    """The first input plus `scale` times the second: in Inception-ResNet V2.

    Szegedy, Ioffe, Vanhoucke, Alemi: "Inception-v4, Inception-ResNet and the impact of residual
    connections on learning", 2016 (arXiv:1602.07261).
    """

    keras_identity = (
        "keras.src.applications.inception_resnet_v2",
        "CustomScaleLayer",
        "CustomScaleLayer",
    )

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs):
        first, second = inputs
        return first + second * self.scale

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
