"""Layers that add margins of zeros: ZeroPadding1D, ZeroPadding2D, ZeroPadding3D."""

from __future__ import annotations

from .. import config
from ..ops.padding import padded
from . import arguments
from .input_spec import InputSpec
from .layer import Layer
from .pieces import Margins

__all__ = ["ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"]


class _ZeroPadding(Layer):
    """Add `padding` zeros, one (before, after) pair an axis, to the spatial axes."""

    _keeps_samples_apart = True

    def __init__(self, padding, data_format, **kwargs):
        super().__init__(**kwargs)
        self.padding = padding
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=len(padding) + 2)

    def _widths(self):
        """The margins of all axes."""
        if self.data_format == "channels_first":
            return ((0, 0), (0, 0), *self.padding)
        return ((0, 0), *self.padding, (0, 0))

    def call(self, inputs):
        return padded(inputs, widths=self._widths(), mode="constant", value=0)

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        return [Margins(self.name, self.call, self._widths())]

    def compute_output_shape(self, input_shape):
        return tuple(
            None if size is None else before + size + after
            for size, (before, after) in zip(input_shape, self._widths(), strict=True)
        )

    def get_config(self):
        own = {"padding": self.padding, "data_format": self.data_format}
        return {**super().get_config(), **own}


class ZeroPadding1D(_ZeroPadding):
    """Add steps of zeros to the ends of sequences.

    Args:
        padding: how many steps at either end, or a pair (start, end); 1 by default.
        data_format: "channels_last" for (batch, steps, channels), "channels_first" for
            (batch, channels, steps); `config.image_data_format()` by default.

    Raises ValueError if `padding` is no such thing.
    """

    def __init__(self, padding=1, data_format=None, **kwargs):
        pair = arguments.sizes("ZeroPadding1D", "padding", padding, 2, least=0)
        super().__init__((pair,), data_format, **kwargs)

    def get_config(self):
        return {**super().get_config(), "padding": self.padding[0]}


class ZeroPadding2D(_ZeroPadding):
    """Add rows and columns of zeros to the edges of images.

    Args:
        padding: one number for all edges, a pair (rows, columns) for both sides each, or
            ((top, bottom), (left, right)); one everywhere by default.
        data_format: "channels_last" for (batch, height, width, channels), "channels_first" for
            (batch, channels, height, width); `config.image_data_format()` by default.

    Raises ValueError if `padding` is no such thing.
    """

    def __init__(self, padding=(1, 1), data_format=None, **kwargs):
        padding = arguments.margins("ZeroPadding2D", "padding", padding, 2)
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding3D(_ZeroPadding):
    """Add slices of zeros to the faces of volumes.

    Args:
        padding: one number for all faces, three for both sides of each axis, or three pairs
            (before, after); one slice everywhere by default.
        data_format: "channels_last" for (batch, dim1, dim2, dim3, channels), "channels_first" for
            (batch, channels, dim1, dim2, dim3); `config.image_data_format()` by default.

    Raises ValueError if `padding` is no such thing.
    """

    def __init__(self, padding=((1, 1), (1, 1), (1, 1)), data_format=None, **kwargs):
        padding = arguments.margins("ZeroPadding3D", "padding", padding, 3)
        super().__init__(padding, data_format, **kwargs)
