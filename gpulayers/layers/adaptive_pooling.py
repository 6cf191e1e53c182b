"""Pooling to a given size: AdaptiveMaxPooling1D to 3D, AdaptiveAveragePooling1D to 3D."""

from __future__ import annotations

from .. import config
from ..ops.pooling import adapted, average_pooling, max_pooling
from . import arguments
from .input_spec import InputSpec
from .layer import Layer

__all__ = [
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
]


class BaseAdaptivePooling(Layer):
    """The {what} of windows that divide each axis into a given number of parts.

    Part i of m of an axis of size n goes from floor(i n / m) to ceil((i + 1) n / m).

    Args:
        output_size: how many parts, one whole number or one for each axis.
        data_format: "channels_last" for (batch, ..., channels), or "channels_first" for
            (batch, channels, ...); `config.image_data_format()` by default.

    Raises ValueError for sizes that are no positive integers.
    """

    rank, operation = 2, max_pooling

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(**kwargs)
        who = type(self).__name__
        self.output_size = arguments.sizes(who, "output_size", output_size, self.rank)
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        return adapted(
            f"{type(self).__name__} {self.name!r}", type(self).operation, inputs, self.output_size,
            self.data_format,
        )  # fmt: skip

    def compute_output_shape(self, input_shape):
        if self.data_format == "channels_last":
            return (input_shape[0], *self.output_size, input_shape[-1])
        return (*input_shape[:2], *self.output_size)

    def get_config(self):
        own = {"output_size": self.output_size, "data_format": self.data_format}
        return {**super().get_config(), **own}


class AdaptiveMaxPooling1D(BaseAdaptivePooling):
    __doc__ = BaseAdaptivePooling.__doc__.format(what="largest values")
    rank = 1


class AdaptiveMaxPooling2D(BaseAdaptivePooling):
    __doc__ = BaseAdaptivePooling.__doc__.format(what="largest values")
    rank = 2


class AdaptiveMaxPooling3D(BaseAdaptivePooling):
    __doc__ = BaseAdaptivePooling.__doc__.format(what="largest values")
    rank = 3


class AdaptiveAveragePooling1D(BaseAdaptivePooling):
    __doc__ = BaseAdaptivePooling.__doc__.format(what="means")
    rank, operation = 1, average_pooling


class AdaptiveAveragePooling2D(BaseAdaptivePooling):
    __doc__ = BaseAdaptivePooling.__doc__.format(what="means")
    rank, operation = 2, average_pooling


class AdaptiveAveragePooling3D(BaseAdaptivePooling):
    __doc__ = BaseAdaptivePooling.__doc__.format(what="means")
    rank, operation = 3, average_pooling
