"""Layers that keep the largest or the mean value of each channel: GlobalMax-, GlobalAverage-."""

from __future__ import annotations

from .. import config
from ..arrays import dtypes, namespace
from ..ops.pooling import average_pooling, max_pooling
from .input_spec import InputSpec
from .layer import Layer
from .pooling_pieces import Reduction
from .product_pieces import products_fit
from .training_plan import Link, function_link

__all__ = [
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
]


class BaseGlobalPooling(Layer):
    """The {what} of each channel over all places.

    Args:
        data_format: "channels_last" for (batch, ..., channels), or "channels_first" for
            (batch, channels, ...); `config.image_data_format()` by default.
        keepdims: whether the axes of the places stay, with size 1.

    Gives (batch, channels).
    """

    _keeps_samples_apart = True
    rank, reduction = 2, "max"

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _axes(self) -> tuple[int, ...]:
        first = 2 if self.data_format == "channels_first" else 1
        return tuple(range(first, first + self.rank))

    def call(self, inputs):
        reduce = getattr(namespace(inputs), self.reduction)
        return reduce(inputs, axis=self._axes, keepdims=self.keepdims)

    def _training_links(self, x) -> list[Link] | None:
        """What this layer is in training: see `training_plan.py`."""
        if x.ndim != self.rank + 2 or not dtypes.is_floating(x):
            return None
        return [function_link(self.reduction, axis=self._axes, keepdims=self.keepdims)]

    def _inference_step(self, x):
        """What this layer is for plain NumPy arrays: see `plan.py`."""
        return self.call

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        if x.ndim != self.rank + 2 or self.data_format == "channels_first" or not products_fit(x):
            return None
        operation = max_pooling if self.reduction == "max" else average_pooling
        shape = self.compute_output_shape(x.shape)[1:]
        return [Reduction(self.name, self.call, operation, shape)]

    def compute_output_shape(self, input_shape):
        axes = self._axes
        if self.keepdims:
            return tuple(1 if axis in axes else n for axis, n in enumerate(input_shape))
        return tuple(n for axis, n in enumerate(input_shape) if axis not in axes)

    def get_config(self):
        own = {"data_format": self.data_format, "keepdims": self.keepdims}
        return {**super().get_config(), **own}


class GlobalMaxPooling1D(BaseGlobalPooling):
    __doc__ = BaseGlobalPooling.__doc__.format(what="largest value")
    rank = 1


class GlobalMaxPooling2D(BaseGlobalPooling):
    __doc__ = BaseGlobalPooling.__doc__.format(what="largest value")
    rank = 2


class GlobalMaxPooling3D(BaseGlobalPooling):
    __doc__ = BaseGlobalPooling.__doc__.format(what="largest value")
    rank = 3


class GlobalAveragePooling1D(BaseGlobalPooling):
    __doc__ = f"""{BaseGlobalPooling.__doc__.format(what="mean")}
    A mask (batch, steps) leaves out what it marks False: the mean is over the others.
    """

    rank, reduction = 1, "mean"
    supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            return super().call(inputs)
        xp, axes = namespace(inputs, mask), self._axes
        kept = xp.expand_dims(mask, axis=2 if self.data_format == "channels_last" else 1)
        kept = xp.astype(kept, dtypes.of(xp, "bool"))
        total = xp.sum(xp.where(kept, inputs, 0.0), axis=axes, keepdims=self.keepdims)
        counted = xp.astype(kept, inputs.dtype)
        return total / xp.sum(counted, axis=axes, keepdims=self.keepdims)

    def compute_mask(self, inputs, previous_mask):
        return None


class GlobalAveragePooling2D(BaseGlobalPooling):
    __doc__ = BaseGlobalPooling.__doc__.format(what="mean")
    rank, reduction = 2, "mean"


class GlobalAveragePooling3D(BaseGlobalPooling):
    __doc__ = BaseGlobalPooling.__doc__.format(what="mean")
    rank, reduction = 3, "mean"


GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = (
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
