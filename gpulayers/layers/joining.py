"""Layers that join arrays along an axis or over one, each also as a function: Concatenate, Dot."""

from __future__ import annotations

import math
from functools import partial
from itertools import accumulate

import numpy as np

from .. import config
from ..arrays import Abstract, devices, dtypes, namespace
from .merging import Merge, check_masks, of_one_dtype, spread, written
from .pieces import Beside
from .training_plan import Link
from .unknown_sizes import is_guessed, of_equal_sizes

__all__ = ["Concatenate", "Dot", "concatenate", "dot"]


class Concatenate(Merge):
    """A list of arrays, joined along an axis.

    Args:
        axis: the axis; -1 by default.

    The output has a mask if an input has one: an input without counts as unmasked.

    Raises ValueError if it is not called on a list, or if the shapes differ elsewhere.
    """

    _keeps_samples_apart = False  # Not along axis 0.

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not hasattr(axis, "__index__"):
            raise TypeError(f"Concatenate: axis must be a whole number, got {axis!r}.")
        self.axis = axis

    def call(self, inputs):
        self._check_list(inputs)
        inputs = of_one_dtype(inputs)
        if any(map(is_guessed, inputs)):
            inputs = of_equal_sizes(inputs, except_axis=self.axis % inputs[0].ndim)
        return namespace(*inputs).concat(inputs, axis=self.axis)

    def _inference_moves(self, program, *grids):
        """What this layer is in a program: see `pieces.py`."""
        rank, shapes = len(grids[0].shape), {grid.shape[:-1] for grid in grids}
        if self.axis not in (-1, rank - 1) or len(shapes) > 1:
            raise program.unwritable
        return program.joined(grids)

    def _pieces_of_call(self, arrays, args, options):
        """What a call is in a plan on a GPU: see `pieces.py`; None if it asks for more."""
        first, rank = arrays[0], len(arrays[0].shape)
        kinds = {(x.dtype, len(x.shape)) for x in arrays}
        apart = len({id(x) for x in args[0]}) == len(arrays) <= Beside.MOST
        if options or len(args) != 1 or len(kinds) > 1 or not apart or len(arrays) < 2:
            return None
        axis = self.axis % rank
        return [Beside(self.name, axis)] if dtypes.is_floating(first.dtype) else None

    def _training_links(self, *arrays):
        """What this layer is in training: see `training_plan.py`."""
        first, count = arrays[0], len(arrays)
        alike = all(x.dtype == first.dtype and x.ndim == first.ndim for x in arrays)
        if not alike or not dtypes.is_floating(first) or not self.axis % first.ndim:
            return None
        return [Link(partial(_joined, self.axis), back=tuple(range(count, 0, -1)))]

    def compute_output_shape(self, input_shape):
        self._check_list(input_shape)
        rank, joined = len(input_shape[0]), []
        if not -rank <= self.axis < rank:
            raise ValueError(
                f"{self._who}: inputs of shapes {written(input_shape)} have no axis {self.axis}."
            )
        same_rank = all(len(shape) == rank for shape in input_shape)
        for axis, sizes in enumerate(zip(*input_shape, strict=False)):
            known = set(sizes) - {None}
            if axis == self.axis % rank:
                joined.append(None if None in sizes else sum(sizes))
            elif len(known) > 1 or not same_rank:
                raise ValueError(
                    f"{self._who}: inputs must have the same shape except along axis "
                    f"{self.axis}, got {written(input_shape)}."
                )
            else:
                joined.append(known.pop() if known else None)
        return tuple(joined)

    def compute_mask(self, inputs, mask=None):
        if mask is None:
            return None
        check_masks(self._who, inputs, mask)
        if all(m is None for m in mask):
            return None
        xp = namespace(*inputs, *mask)
        # One entry along the last axis stands for all, unless a mask tells them apart.
        short = all(m is None or m.ndim < x.ndim for m, x in zip(mask, inputs, strict=True))
        masks = []
        for m, x in zip(mask, inputs, strict=True):
            shape = (*x.shape[:-1], 1 if short else x.shape[-1])
            if m is None:
                masks.append(xp.ones(shape, dtype=xp.bool, device=devices.device_of(x)))
            else:
                masks.append(xp.broadcast_to(spread(m, x), shape))
        return xp.any(xp.concat(masks, axis=self.axis), axis=-1)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def _joined(axis, *arrays, needs=None):
    y = np.concatenate(arrays, axis)
    ends = list(accumulate(x.shape[axis] for x in arrays[:-1]))
    return y if needs is None else (y, lambda g: np.split(g, ends, axis))


class Dot(Merge):
    """Products of two arrays, summed over one axis of each, sample by sample.

    Args:
        axes: the axis of both, or one for each; not 0, the batch axis.
        normalize: whether to bring the vectors along these axes to length 1 first, which gives
            the cosine of their angles.

    The output has the batch axis, then the other axes of the first input, then those of the
    second; (batch, 1) if there are none. It has no mask.

    Raises TypeError or ValueError for other axes, ValueError if it is not called on a list of two
    or if the axes' sizes differ.
    """

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(axes, (int, list, tuple)):
            raise TypeError(
                f"Dot: axes must be an integer or two of them, got {type(axes).__name__}."
            )
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
            raise ValueError(f"Dot: axes must be an integer or two of them, got {axes}.")
        self.axes, self.normalize = axes, normalize

    def _check_list(self, inputs):
        super()._check_list(inputs)
        if len(inputs) != 2:
            raise ValueError(f"{self._who}: expected 2 inputs, got {len(inputs)}.")

    def _places(self, shapes):
        """The two axes, counted from the front."""
        pair = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        places = [
            axis + len(shape) if axis < 0 else axis
            for axis, shape in zip(pair, shapes, strict=True)
        ]
        for place, shape in zip(places, shapes, strict=True):
            if not 0 < place < len(shape):
                raise ValueError(
                    f"{self._who}: axes must be among those after the batch axis 0, got "
                    f"{self.axes} for inputs of shapes {written(shapes)}."
                )
        return places

    def call(self, inputs):
        self._check_list(inputs)
        inputs = of_one_dtype(inputs)
        shapes = one, other = [tuple(x.shape) for x in inputs]
        i, j = places = self._places(shapes)
        others = one[1:i] + one[i + 1 :] + other[1:j] + other[j + 1 :] or (1,)
        if any(map(is_guessed, inputs)):
            return Abstract((one[0], *others), inputs[0].dtype)
        if one[i] != other[j] or one[0] != other[0]:
            self.compute_output_shape(shapes)  # Raises.
        xp = namespace(*inputs)
        left, right = map(self._rows, inputs, places)
        return xp.reshape(xp.matmul(left, xp.matrix_transpose(right)), (one[0], *others))

    def _rows(self, x, axis):
        """`x` as (batch, rows, size of the axis)."""
        xp = namespace(x)
        if self.normalize:
            squares = xp.sum(x * x, axis=axis, keepdims=True)
            x = x / xp.sqrt(xp.maximum(squares, config.epsilon() ** 2))
        if axis != x.ndim - 1:
            x = xp.moveaxis(x, axis, -1)
        batch, *others, size = x.shape
        return x if len(others) == 1 else xp.reshape(x, (batch, math.prod(others), size))

    def compute_output_shape(self, input_shape):
        self._check_list(input_shape)
        places = self._places(input_shape)
        one, other = map(list, input_shape)
        sizes = one.pop(places[0]), other.pop(places[1])
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"{self._who}: axes {places} of inputs of shapes {written(input_shape)} must "
                "have the same size."
            )
        return (self._batch_size(input_shape), *(one[1:] + other[1:] or [1]))

    def compute_mask(self, inputs, mask=None):
        return None

    def get_config(self):
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def concatenate(inputs, axis=-1, **kwargs):
    """A list of arrays joined along `axis`: `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """Products of two arrays summed over `axes`: `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
