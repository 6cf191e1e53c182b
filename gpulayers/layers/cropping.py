"""Layers that cut margins off: Cropping1D, Cropping2D, Cropping3D."""

from __future__ import annotations

from .. import config
from ..arrays import Abstract
from . import arguments
from .input_spec import InputSpec
from .unknown_sizes import TakesUnknownSizes, is_guessed

__all__ = ["Cropping1D", "Cropping2D", "Cropping3D"]


class _Cropping(TakesUnknownSizes):
    """Cut `cropping`, one (before, after) pair an axis, off the spatial axes."""

    def __init__(self, cropping, data_format, **kwargs):
        super().__init__(**kwargs)
        self.cropping = cropping
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=len(cropping) + 2)

    def call(self, inputs):
        try:
            shape = self.compute_output_shape(inputs.shape)
        except ValueError:
            if not is_guessed(inputs):
                raise
            return Abstract(inputs.shape, inputs.dtype)
        first = arguments.first_spatial_axis(self.data_format)
        cut = (
            slice(before, before + size)
            for (before, _), size in zip(self.cropping, shape[first:], strict=False)
        )
        return inputs[(slice(None),) * first + (*cut, ...)]

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        first = arguments.first_spatial_axis(self.data_format)
        for axis, (before, after) in enumerate(self.cropping, first):
            if shape[axis] is None:
                continue
            shape[axis] -= before + after
            if shape[axis] <= 0:
                raise ValueError(
                    f"{type(self).__name__}: cropping {(before, after)} leaves nothing of axis "
                    f"{axis} of an input of shape {tuple(input_shape)}."
                )
        return tuple(shape)

    def get_config(self):
        own = {"cropping": self.cropping, "data_format": self.data_format}
        return {**super().get_config(), **own}


class Cropping1D(_Cropping):
    """Cut time steps off the ends of sequences.

    Args:
        cropping: how many steps at either end, or a pair (start, end); (1, 1) by default.

    Input (batch, steps, features); output (batch, steps - start - end, features).

    Raises ValueError if `cropping` is no such thing, or if it leaves nothing.
    """

    def __init__(self, cropping=(1, 1), **kwargs):
        pair = arguments.sizes("Cropping1D", "cropping", cropping, 2, least=0)
        super().__init__((pair,), "channels_last", **kwargs)

    def get_config(self):
        base = super().get_config()
        del base["data_format"]
        return {**base, "cropping": self.cropping[0]}


class Cropping2D(_Cropping):
    """Cut rows and columns off the edges of images.

    Args:
        cropping: one number for all edges, a pair (rows, columns) for both sides each, or
            ((top, bottom), (left, right)); nothing by default.
        data_format: "channels_last" for (batch, height, width, channels), "channels_first" for
            (batch, channels, height, width); `config.image_data_format()` by default.

    Raises ValueError if `cropping` is no such thing, or if it leaves nothing.
    """

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **kwargs):
        cropping = arguments.margins("Cropping2D", "cropping", cropping, 2)
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """Cut slices off the faces of volumes.

    Args:
        cropping: one number for all faces, three for both sides of each axis, or three pairs
            (before, after); one slice everywhere by default.
        data_format: "channels_last" for (batch, dim1, dim2, dim3, channels), "channels_first" for
            (batch, channels, dim1, dim2, dim3); `config.image_data_format()` by default.

    Raises ValueError if `cropping` is no such thing, or if it leaves nothing.
    """

    def __init__(self, cropping=((1, 1), (1, 1), (1, 1)), data_format=None, **kwargs):
        cropping = arguments.margins("Cropping3D", "cropping", cropping, 3)
        super().__init__(cropping, data_format, **kwargs)
