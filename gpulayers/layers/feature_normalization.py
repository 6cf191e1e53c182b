"""Layers that bring features to mean 0 and variance 1, once and for all."""

from __future__ import annotations

import math

import numpy as np

from .. import config
from ..arrays import as_array, devices, dtypes, is_array, namespace
from .adapting import as_whole, batches, is_table
from .call_arguments import all_numbers
from .layer import Layer


class Normalization(Layer):
    """Features with mean 0 and variance 1: (x - mean) / max(sqrt(variance), epsilon).

    Mean and variance are given, or learned from data by `adapt`; until then they are 0 and 1.

    Args:
        axis: the axis or axes of which each place has a mean and a variance of its own; None for
            one mean and one variance of all numbers.
        mean, variance: the values to use, both or none; numbers, or of the sizes of `axis`.
        invert: whether to undo the normalization: x * max(sqrt(variance), epsilon) + mean.

    Takes numbers (batch, ...), gives floats of that shape. Raises ValueError for one of `mean` and
    `variance` without the other or of another shape, for axes that the inputs lack, and for kept
    axes of unknown size.
    """

    supports_masking = True

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        super().__init__(**kwargs)
        axes = () if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
        if not all(isinstance(one, int) for one in axes):
            raise TypeError(f"Normalization: axis must be integers or None, got {axis!r}.")
        self.axis = tuple(axes)
        self.input_mean, self.input_variance = mean, variance
        self.invert = invert
        if (mean is None) != (variance is None):
            raise ValueError(
                "Normalization: mean and variance must be given both or not at all, got "
                f"mean={mean} and variance={variance}."
            )
        if mean is not None:
            self._check_moments(np.shape(mean), np.shape(variance))

    def _check_moments(self, mean, variance):
        if mean != variance:
            raise ValueError(
                f"Normalization: mean and variance must have the same shape, got {mean} and "
                f"{variance}."
            )
        if len(mean) > len(self.axis):
            raise ValueError(
                f"Normalization: mean may have no more axes than axis={self.axis} names "
                f"({len(self.axis)}), got shape {mean}."
            )

    def build(self, input_shape):
        ndim = len(input_shape)
        places = {axis % ndim for axis in self.axis if -ndim <= axis < ndim}
        if len(places) < len(self.axis):
            raise ValueError(
                f"Normalization: axis must be in -{ndim}..{ndim - 1} for inputs with {ndim} axes, "
                f"and each named once, got {self.axis}."
            )
        self._keep_axis = tuple(sorted(places))
        self._reduce_axis = tuple(i for i in range(ndim) if i not in self._keep_axis)
        shape = tuple(input_shape[i] for i in self._keep_axis)
        if None in shape:
            raise ValueError(
                f"Normalization: the sizes of the axes {self.axis} must be known, got inputs of "
                f"shape {tuple(input_shape)}."
            )
        self._broadcast_shape = tuple(
            n if i in self._keep_axis else 1 for i, n in enumerate(input_shape)
        )
        if self.input_mean is None:
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")
        else:
            self._given = tuple(map(self._spread, (self.input_mean, self.input_variance)))

    def _spread(self, moment):
        """A given mean or variance, in the shape that broadcasts with the inputs."""
        moment = np.asarray(devices.to_numpy(moment), dtypes.numpy_dtype(dtypes.standardize(None)))
        shape = [1] * len(self._broadcast_shape)
        kept = self._keep_axis[len(self._keep_axis) - moment.ndim :]
        for axis, size in zip(kept, moment.shape, strict=True):
            shape[axis] = size
            if size not in (1, self._broadcast_shape[axis]):
                raise ValueError(
                    f"Normalization: mean and variance of shape {moment.shape} do not fit the "
                    f"{self._broadcast_shape[axis]} places of axis {axis}."
                )
        return np.broadcast_to(moment.reshape(shape), self._broadcast_shape).copy()

    @property
    def mean(self):
        """The mean, in the shape that broadcasts with the inputs; None before `build`."""
        return self._moment(0)

    @property
    def variance(self):
        """The variance, in the shape that broadcasts with the inputs; None before `build`."""
        return self._moment(1)

    def _moment(self, which):
        if not self.built:
            return None
        if self.input_mean is not None:
            return self._given[which]
        weight = (self.adapt_mean, self.adapt_variance)[which]
        return namespace(weight).reshape(weight.value, self._broadcast_shape)

    def adapt(self, data) -> None:
        """Learn mean and variance from data, in place of what was learned before.

        Args:
            data: an array, a table, nested lists of numbers, or an iterable of batches, which is
                read once; labels beside the batches are left out.

        Batches are put together by the parallel formula of Chan, Golub and LeVeque (1979), in
        float64. Raises ValueError for no data, and for sizes that do not fit.
        """
        if self.input_mean is not None:
            raise ValueError(
                f"Normalization {self.name!r}: adapt() has nothing to learn, because mean and "
                "variance were given."
            )
        whole = as_whole(data)
        if whole is None and isinstance(data, (list, tuple)) and all_numbers(data):
            whole = np.asarray(data, dtypes.numpy_dtype(config.floatx()))
        found = iter([whole]) if whole is not None else batches("Normalization", data)
        count, mean, variance = 0, 0.0, 0.0
        for batch in found:
            size, batch_mean, batch_variance = self._moments_of(batch)
            count += size
            part = size / count if count else 0.0
            step = batch_mean - mean
            variance = variance + part * (batch_variance - variance + (1 - part) * step * step)
            mean = mean + part * step
        if not count:
            raise ValueError("Normalization: adapt() was given no data.")
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def _moments_of(self, batch):
        """How many numbers each mean is of, the means and variances, as NumPy arrays."""
        if not is_array(batch) and not is_table(batch):
            raise TypeError(
                "Normalization: adapt() takes arrays and iterables of arrays, got a batch of type "
                f"{type(batch).__name__}."
            )
        if not self.built:
            self._build_for({"input_shape": tuple(batch.shape)})
        sizes = tuple(batch.shape)
        kept = tuple(sizes[i] for i in self._keep_axis if i < len(sizes))
        if len(sizes) != len(self._broadcast_shape) or kept != self._kept_sizes():
            raise ValueError(
                f"Normalization {self.name!r}: adapt() takes arrays that fit the shape "
                f"{self._build_shapes['input_shape']} it was built with, got {sizes}."
            )
        if not math.prod(sizes):
            return 0, 0.0, 0.0
        xp = namespace(batch)
        wide = xp.astype(batch, dtypes.of(xp, "float64"))
        mean = xp.mean(wide, axis=self._reduce_axis, keepdims=True)
        square = xp.mean((wide - mean) ** 2, axis=self._reduce_axis)
        size = math.prod(sizes[i] for i in self._reduce_axis)
        shape = self._kept_sizes()
        return size, *(devices.to_numpy(m).reshape(shape) for m in (mean, square))

    def _kept_sizes(self):
        return tuple(self._broadcast_shape[i] for i in self._keep_axis)

    def finalize_state(self) -> None:
        """Nothing: what `adapt` or a file gives the weights is used at once."""

    def call(self, inputs):
        dtype = self._working_dtype([inputs]) or self.compute_dtype
        x = as_array(inputs, dtype=dtype)
        moments = (self.mean, self.variance)
        if self.input_mean is not None:  # They lie on the host.
            moments = (as_array(m.tolist(), like=x) for m in moments)
        mean, variance = (as_array(m, dtype=dtype) for m in moments)
        xp = namespace(x, mean)
        deviation = xp.clip(xp.sqrt(variance), config.epsilon(), None)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _inference_moves(self, program, x):
        """What this layer is in a program: see `pieces.py`."""
        if self.invert or self._keep_axis not in ((), (len(x.shape) - 1,)):
            raise program.unwritable
        for weight in (self.adapt_mean, self.adapt_variance) if self.input_mean is None else ():
            program.value(weight, fixed=True)
        mean, variance = (
            np.broadcast_to(np.ravel(moment), x.shape[-1:]) for moment in (self.mean, self.variance)
        )
        deviation = np.maximum(np.sqrt(variance), np.float32(config.epsilon()))
        x = program.mapped(
            x, None, -mean, None, False
        )  # By one factor and offset, digits get lost.
        return program.mapped(x, 1 / deviation, None, None, True)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {
            "axis": self.axis,
            "invert": self.invert,
            "mean": _listed(self.input_mean),
            "variance": _listed(self.input_variance),
        }
        return {**super().get_config(), **config}


def _listed(moment):
    return None if moment is None else devices.to_numpy(moment).tolist()
