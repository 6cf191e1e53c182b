"""Layers that enlarge sequences, images and volumes: UpSampling1D, UpSampling2D, UpSampling3D."""

from __future__ import annotations

from .. import config
from ..ops.resize import INTERPOLATIONS, repeat_blocks, resize
from . import arguments
from .input_spec import InputSpec
from .layer import Layer

__all__ = ["UpSampling1D", "UpSampling2D", "UpSampling3D"]


class _UpSampling(Layer):
    """Repeat the entries along the spatial axes, each axis `size` times."""

    def __init__(self, size, data_format, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=len(size) + 2)

    def _factors(self):
        """How often the entries of each axis are repeated."""
        return (1, 1, *self.size) if self.data_format == "channels_first" else (1, *self.size, 1)

    def call(self, inputs):
        return repeat_blocks(inputs, factors=self._factors())

    def compute_output_shape(self, input_shape):
        return tuple(
            None if size is None else size * factor
            for size, factor in zip(input_shape, self._factors(), strict=True)
        )

    def get_config(self):
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}


class UpSampling1D(_UpSampling):
    """Repeat each time step.

    Args:
        size: how often, a positive integer; 2 by default.

    Input (batch, steps, features); output (batch, size * steps, features).

    Raises TypeError if `size` is no integer, ValueError if it is not positive.
    """

    def __init__(self, size=2, **kwargs):
        size = arguments.whole("UpSampling1D", "size", size)
        super().__init__((size,), "channels_last", **kwargs)

    def get_config(self):
        base = super().get_config()
        del base["data_format"]
        return {**base, "size": self.size[0]}


class UpSampling2D(_UpSampling):
    """Enlarge images by whole factors.

    Args:
        size: the factors of height and width, or one for both; (2, 2) by default.
        data_format: "channels_last" for (batch, height, width, channels), "channels_first" for
            (batch, channels, height, width); `config.image_data_format()` by default.
        interpolation: "nearest" (the default) repeats pixels; "bilinear", "bicubic", "lanczos3"
            and "lanczos5" interpolate as `ops.image.resize` does.

    Raises ValueError for another size or interpolation.
    """

    def __init__(self, size=(2, 2), data_format=None, interpolation="nearest", **kwargs):
        size = arguments.sizes("UpSampling2D", "size", size, 2)
        super().__init__(size, data_format, **kwargs)
        self.interpolation = str(interpolation).lower()
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"UpSampling2D: interpolation must be one of {', '.join(INTERPOLATIONS)}, "
                f"got {interpolation!r}."
            )

    def call(self, inputs):
        if self.interpolation == "nearest":
            return super().call(inputs)
        first = arguments.first_spatial_axis(self.data_format)
        height, width = self.compute_output_shape(inputs.shape)[first : first + 2]
        return resize(inputs, (height, width), self.interpolation, data_format=self.data_format)

    def get_config(self):
        return {**super().get_config(), "interpolation": self.interpolation}


class UpSampling3D(_UpSampling):
    """Repeat the voxels of volumes along each axis.

    Args:
        size: how often along each of the three axes, or one integer for all; (2, 2, 2) by default.
        data_format: "channels_last" for (batch, dim1, dim2, dim3, channels), "channels_first" for
            (batch, channels, dim1, dim2, dim3); `config.image_data_format()` by default.

    Raises ValueError if `size` is no such thing.
    """

    def __init__(self, size=(2, 2, 2), data_format=None, **kwargs):
        size = arguments.sizes("UpSampling3D", "size", size, 3)
        super().__init__(size, data_format, **kwargs)
