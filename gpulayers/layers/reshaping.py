"""Layers that give the same values another shape: Reshape, Flatten, RepeatVector, Permute."""

from __future__ import annotations

import math
import operator

from .. import config
from ..arrays import Abstract, namespace
from . import arguments
from .input_spec import InputSpec
from .layer import Layer
from .pieces import Rows
from .training_plan import Link
from .unknown_sizes import TakesUnknownSizes, is_guessed

__all__ = ["Flatten", "Permute", "RepeatVector", "Reshape"]


class Reshape(TakesUnknownSizes):
    """Give each sample another shape.

    Args:
        target_shape: sizes without the batch axis; one may be -1, which is then whatever the
            others leave.

    Input (batch, ...) with as many values a sample as `target_shape` has; output
    (batch, *target_shape).

    Raises TypeError if `target_shape` is not a sequence of integers, ValueError if it has a size
    below -1 or more than one -1, or if a sample doesn't fit into it.
    """

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        try:
            self.target_shape = tuple(operator.index(size) for size in target_shape)
        except TypeError:
            raise TypeError(
                f"Reshape: target_shape must be a sequence of integers, got {target_shape!r}."
            ) from None
        if any(size < -1 for size in self.target_shape) or self.target_shape.count(-1) > 1:
            raise ValueError(
                "Reshape: target_shape must hold non-negative sizes and at most one -1, "
                f"got {self.target_shape}."
            )

    def call(self, inputs):
        try:
            shape = self.compute_output_shape(inputs.shape)
        except ValueError:
            if not is_guessed(inputs):
                raise
            return Abstract(self._shape(inputs.shape, math.prod(inputs.shape[1:])), inputs.dtype)
        return namespace(inputs).reshape(inputs, shape)

    def _shape(self, input_shape, unknown):
        """The output's shape, with `unknown` for -1."""
        return (input_shape[0], *(unknown if n == -1 else n for n in self.target_shape))

    def compute_output_shape(self, input_shape):
        batch, *sample = input_shape
        target = self.target_shape
        if None in sample:
            return self._shape(input_shape, None)
        values, wanted = math.prod(sample), math.prod(size for size in target if size != -1)
        divides = wanted > 0 and values % wanted == 0
        if not (divides if -1 in target else values == wanted):
            raise ValueError(
                f"Reshape: a sample of shape {tuple(sample)} ({values} values) doesn't fit into "
                f"target_shape {target}."
            )
        return (batch, *(values // wanted if size == -1 else size for size in target))

    def get_config(self):
        return {**super().get_config(), "target_shape": self.target_shape}


class Flatten(Layer):
    """Put the values of each sample into one axis.

    Args:
        data_format: "channels_last", or "channels_first" if axis 1 holds the channels, which
            are then brought to the end first, so that both layouts give the same order;
            `config.image_data_format()` by default.

    Input (batch, ...); output (batch, values of a sample), (batch, 1) if there are no other axes.
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs):
        xp = namespace(inputs)
        shape = inputs.shape
        if len(shape) > 2 and self.data_format == "channels_first":
            inputs = xp.permute_dims(inputs, (0, *range(2, len(shape)), 1))
        return xp.reshape(inputs, (shape[0], math.prod(shape[1:])))

    def _training_links(self, x):
        """What this layer is in training: see `training_plan.py`."""

        def run(x, needs=None):
            y = self.call(x)
            return y if needs is None else (y, lambda g: (g.reshape(x.shape),))

        return [Link(run)] if self._is_reshape(x) else None

    def _is_reshape(self, x) -> bool:
        return x.ndim == 2 or self.data_format == "channels_last"

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        if not self._is_reshape(x):
            return None
        return [Rows(self.name, math.prod(x.shape[1:]))]

    def compute_output_shape(self, input_shape):
        batch, *sample = input_shape
        return (batch, None if None in sample else math.prod(sample))

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}


class RepeatVector(Layer):
    """Repeat each sample along a new time axis.

    Args:
        n: how often, a positive integer.

    Input (batch, features); output (batch, n, features).

    Raises TypeError if `n` is no integer, ValueError if it is not positive.
    """

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = arguments.whole("RepeatVector", "n", n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs):
        xp = namespace(inputs)
        batch, features = inputs.shape
        return xp.repeat(xp.reshape(inputs, (batch, 1, features)), self.n, axis=1)

    def compute_output_shape(self, input_shape):
        batch, features = input_shape
        return (batch, self.n, features)

    def get_config(self):
        return {**super().get_config(), "n": self.n}


class Permute(Layer):
    """Reorder the axes of each sample.

    Args:
        dims: a permutation of 1, 2, ..., n, the batch axis being 0: axis i of the output is axis
            `dims[i - 1]` of the input.

    Raises ValueError if `dims` is not such a permutation.
    """

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
        whole = all(hasattr(axis, "__index__") for axis in self.dims)
        if not whole or sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute: dims must be a permutation of 1, 2, ..., n, got {dims!r}.")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs):
        return namespace(inputs).permute_dims(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def get_config(self):
        return {**super().get_config(), "dims": self.dims}
