"""Layers that keep the largest or the mean value of windows: Max- and AveragePooling1D to 3D."""

from __future__ import annotations

from .. import config
from ..ops.pooling import average_pooling, max_pooling, pooled
from ..ops.sliding import margins
from . import arguments
from .input_spec import InputSpec
from .layer import Layer
from .pooling_pieces import Pooling
from .product_pieces import products_fit
from .training_plan import primitive_link, without_gradients

__all__ = [
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
]


class BasePooling(Layer):
    """The {what} of each window, for each channel.

    Args:
        pool_size: the sizes of the window, one whole number or one for each axis.
        strides: how far the window moves, likewise; `pool_size` by default.
        padding: "valid": only windows inside the inputs; "same": ceil(size / stride) windows,
            {margins}.
        data_format: "channels_last" for (batch, ..., channels), or "channels_first" for
            (batch, channels, ...); `config.image_data_format()` by default.

    Raises ValueError for sizes that are no positive integers, and for inputs smaller than the
    window.
    """

    _keeps_samples_apart = True
    rank = 2
    operation = max_pooling

    def __init__(
        self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(name=name, **kwargs)
        who = type(self).__name__
        self.pool_size = arguments.sizes(who, "pool_size", pool_size, self.rank)
        strides = self.pool_size if strides is None else strides
        self.strides = arguments.sizes(who, "strides", strides, self.rank)
        self.padding = padding.lower() if isinstance(padding, str) else padding
        if self.padding not in ("valid", "same"):
            raise ValueError(f"{who}: padding must be 'valid' or 'same', got {padding!r}.")
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        return pooled(
            f"{type(self).__name__} {self.name!r}", type(self).operation, inputs, self.pool_size,
            self.strides, self.padding, self.data_format,
        )  # fmt: skip

    def compute_output_shape(self, input_shape):
        first = self.data_format == "channels_first"
        sizes = input_shape[2:] if first else input_shape[1:-1]
        found = [
            None if n is None else self._count(sizes, n, k, s)
            for n, k, s in zip(sizes, self.pool_size, self.strides, strict=True)
        ]
        channels = input_shape[1 if first else -1]
        return (input_shape[0], channels, *found) if first else (input_shape[0], *found, channels)

    def _count(self, sizes, n, k, s) -> int:
        ((low, high),) = margins(self.padding, (n,), (k,), (s,), (1,))
        if n + low + high < k:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: inputs of sizes {tuple(sizes)} are smaller "
                f"than windows of sizes {self.pool_size}; padding='same' would allow it."
            )
        return (n + low + high - k) // s + 1

    def _training_links(self, x):
        """What this layer is in training: see `training_plan.py`."""
        options = self._options(x)
        link = None if options is None else primitive_link(type(self).operation, x, **options)
        return None if link is None else [link]

    def _options(self, x) -> dict | None:
        """The options of the operation for arrays like `x`; None if channels are not last."""
        if x.ndim != self.rank + 2 or self.data_format == "channels_first":
            return None
        self.compute_output_shape(x.shape)  # Refuses what is too small.
        window = self.pool_size, self.strides
        around = margins(self.padding, x.shape[1:-1], *window, (1,) * self.rank)
        return {"windows": self.pool_size, "strides": self.strides, "padding": around}

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        options = self._options(x) if products_fit(x) else None
        return None if options is None else [Pooling(self.name, type(self).operation, options)]

    def _inference_step(self, x):
        """What this layer is for plain NumPy arrays: see `plan.py`."""
        links = self._training_links(x)
        return self.call if links is None else without_gradients(links)

    def get_config(self):
        own = {
            "pool_size": self.pool_size,
            "padding": self.padding,
            "strides": self.strides,
            "data_format": self.data_format,
        }
        return {**super().get_config(), **own}


_LARGEST = {"what": "largest value", "margins": "the margins counting as smaller than all"}
_MEAN = {"what": "mean", "margins": "the margins not counting"}


class MaxPooling1D(BasePooling):
    __doc__ = BasePooling.__doc__.format(**_LARGEST)
    rank = 1


class MaxPooling2D(BasePooling):
    __doc__ = BasePooling.__doc__.format(**_LARGEST)
    rank = 2


class MaxPooling3D(BasePooling):
    __doc__ = BasePooling.__doc__.format(**_LARGEST)
    rank = 3


class _AveragePooling(BasePooling):
    operation = average_pooling

    def __init__(
        self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class AveragePooling1D(_AveragePooling):
    __doc__ = BasePooling.__doc__.format(**_MEAN)
    rank = 1


class AveragePooling2D(_AveragePooling):
    __doc__ = BasePooling.__doc__.format(**_MEAN)
    rank = 2


class AveragePooling3D(_AveragePooling):
    __doc__ = BasePooling.__doc__.format(**_MEAN)
    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
