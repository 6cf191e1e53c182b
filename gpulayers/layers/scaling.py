"""Layers that bring numbers into another range."""

from __future__ import annotations

import numpy as np

from .. import config, registry
from ..arrays import as_array
from .layer import Layer
from .pieces import ChannelMap
from .product_pieces import products_fit


class Rescaling(Layer):
    """Numbers times `scale`, plus `offset`: Rescaling(1 / 127.5, -1) takes bytes to -1 ... 1.

    Args:
        scale, offset: numbers, or arrays that broadcast with the inputs; an array of scales has
            one for each channel in the "channels_first" data format too.

    Takes numbers of any kind and shape, gives floats of that shape.
    """

    supports_masking = True

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset

    def call(self, inputs):
        dtype = self._working_dtype([inputs]) or self.compute_dtype
        x = as_array(inputs, dtype=dtype)
        scale, offset = (
            part if isinstance(part, (int, float)) else as_array(part, dtype=dtype, like=x)
            for part in (self.scale, self.offset)
        )
        missing = 3 - len(getattr(scale, "shape", ()))
        if missing in (1, 2) and config.image_data_format() == "channels_first":
            scale = scale[(..., *[None] * missing)]
        return x * scale + offset

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        given = self.scale, self.offset
        if not products_fit(x) or not all(type(part) in (int, float) for part in given):
            return None
        values = [np.full(x.shape[-1], part, x.dtype) for part in given]
        return [ChannelMap(self.name, lambda: (values[0], values[1] if self.offset else None))]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {"scale": registry.serialize(self.scale)}
        return {**super().get_config(), **config, "offset": registry.serialize(self.offset)}

    @classmethod
    def from_config(cls, config):
        values = {name: registry.deserialize(config[name]) for name in ("scale", "offset")}
        return super().from_config({**config, **values})
