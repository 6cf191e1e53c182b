"""Layers that bring their inputs to mean 0 and variance 1, or to length 1."""

from __future__ import annotations

import warnings

from .. import constraints, initializers, regularizers
from ..arrays.short_floats import cast
from ..ops import normalization as ops
from ..ops.normalization import group_normalization, layer_normalization, normalize
from . import arguments
from .input_spec import InputSpec
from .layer import Layer
from .pieces import normalized_pieces
from .training_plan import primitive_link, without_gradients

SMALLEST_LENGTH = 1e-12  # By which UnitNormalization divides at least.


class Normalizing(Layer):
    """A layer that scales along an axis or several, and keeps its inputs' shape and mask."""

    supports_masking = True
    _keeps_samples_apart = True

    def _checked_axes(self, axis):
        """`axis` as an integer, or as a list of them."""
        several = isinstance(axis, (list, tuple))
        if not all(
            hasattr(a, "__index__") and not isinstance(a, bool)
            for a in (axis if several else [axis])
        ):
            raise TypeError(
                f"{type(self).__name__}: axis must be an integer or a list of integers, "
                f"got {axis!r}."
            )
        return [int(a) for a in axis] if several else int(axis)

    def _checked_epsilon(self, epsilon) -> float:
        return number(type(self).__name__, "epsilon", epsilon, 0)

    def _require_axes(self, shape) -> list[int]:
        """The axes as a list, if `shape` has them all, each once."""
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        for axis in axes:
            if not -len(shape) <= axis < len(shape):
                raise ValueError(
                    f"{type(self).__name__} {self.name!r}: axis {axis} is out of bounds for inputs "
                    f"of shape {tuple(shape)}."
                )
        if len({axis % len(shape) for axis in axes}) < len(axes):
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: axis must name each axis once, got {axes} "
                f"for inputs of shape {tuple(shape)}."
            )
        return axes

    def compute_output_shape(self, input_shape):
        self._require_axes(input_shape)
        return input_shape

    def _operation(self, x):
        """The primitive that this layer is for arrays like `x`, its weights, and its options."""
        raise NotImplementedError

    def _training_links(self, x):
        """What this layer is in training: see `training_plan.py`."""
        if not type(self).__module__.startswith("gpulayers."):
            return None
        op, weights, options = self._operation(x)
        link = primitive_link(op, x, weights, **options)
        return None if link is None else [link]

    def _inference_step(self, x):
        """What this layer is for plain NumPy arrays: see `plan.py`."""
        links = self._training_links(x)
        return self.call if links is None else without_gradients(links)


class Affine(Normalizing):
    """One that then multiplies by `gamma` and adds `beta`, which are trained."""

    def _set_affine(self, center, scale, **functions):
        """Take over `beta_initializer` and all the other functions for the two weights."""
        self.center, self.scale = center, scale
        for kind in (initializers, regularizers, constraints):
            ending = kind.__name__.rpartition(".")[2].removesuffix("s")
            for weight in ("beta", "gamma"):
                name = f"{weight}_{ending}"
                setattr(self, name, kind.get(functions[name]))

    def _add_affine(self, shape, center=None, scale=None):
        """Create the two weights; None for one that there is not."""
        wanted = {
            "gamma": self.scale if scale is None else scale,
            "beta": self.center if center is None else center,
        }
        self.gamma = self.beta = None
        for name in [name for name, there in wanted.items() if there]:
            weight = self.add_weight(
                shape,
                getattr(self, f"{name}_initializer"),
                autocast=False,
                regularizer=getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"),
                name=name,
            )
            setattr(self, name, weight)

    def _affine_config(self) -> dict:
        return {
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }


class LayerNormalization(Affine):
    """gamma (x - mean(x)) / sqrt(var(x) + epsilon) + beta, the moments taken along axes.

    Each sample is scaled by itself, so training and inference are the same (Ba, Kiros and Hinton,
    "Layer normalization", 2016, arXiv:1607.06450).

    Args:
        axis: the axis or axes of the moments and of the weights: an integer or a list of them.
        epsilon: added to the variance.
        center, scale: whether there are the weights `beta` and `gamma`, of the sizes of the axes.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint: of these weights.
        rms_scaling: neither subtract the mean nor add `beta`. Deprecated: it divides by the
            deviation; for the root mean square there is `RMSNormalization`.

    Takes arrays of any shape and gives the same; 16-bit floats are computed in float32.  Raises
    TypeError for axes that are no integers, ValueError for axes that the inputs lack.
    """

    def __init__(
        self,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        rms_scaling = kwargs.pop("rms_scaling", False)
        if rms_scaling:
            warnings.warn(
                "LayerNormalization: rms_scaling=True divides by the deviation, not by the root "
                "mean square, and is deprecated: use RMSNormalization.",
                stacklevel=3,
            )
        super().__init__(**kwargs)
        self.axis = self._checked_axes(axis)
        self.epsilon = self._checked_epsilon(epsilon)
        self.rms_scaling = rms_scaling
        self._set_affine(
            center,
            scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )
        self.autocast = False

    def build(self, input_shape):
        self.axis = sorted(self._require_axes(input_shape))
        shape = tuple(input_shape[axis] for axis in self.axis)
        if self.rms_scaling:
            self._add_affine(shape, center=False, scale=True)
        else:
            self._add_affine(shape)

    def call(self, inputs):
        outputs = layer_normalization(
            inputs, self.gamma, self.beta, self.axis, self.epsilon, rms_scaling=self.rms_scaling
        )
        return cast(outputs, self.compute_dtype)

    def _operation(self, x):
        kind = ops.DEVIATION if self.rms_scaling else ops.LAYER
        options = {"axes": ops.axes_of(x, self.axis), "epsilon": self.epsilon, "kind": kind}
        return ops.normalized_along, (self.gamma, self.beta), options

    def _inference_moves(self, program, x):
        """What this layer is in a program: see `pieces.py`."""
        if self.rms_scaling or list(self.axis) not in ([-1], [len(x.shape) - 1]):
            raise program.unwritable
        return program.normalized(x, self.gamma, self.beta, self.epsilon)

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        return normalized_pieces(self, x)

    def get_config(self):
        config = {"axis": self.axis, **self._affine_config(), "rms_scaling": self.rms_scaling}
        return {**super().get_config(), **config}


class GroupNormalization(Affine):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, the moments being those of a group.

    A group is a part of a sample's channels, at all its places, so that small batches do as well as
    large ones (Wu and He, "Group normalization", 2018, arXiv:1803.08494).

    Args:
        groups: into how many groups the channels are divided; -1 for one for each channel
            (instance normalization), 1 for one of all.
        axis: the axis of the channels.
        epsilon: added to the variance.
        center, scale: whether there are the weights `beta` and `gamma`, of shape (channels,).
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint: of these weights.

    Takes (batch, ..., channels), or with the channels elsewhere, and gives the same shape.  Raises
    ValueError if the channels cannot be divided so.
    """

    def __init__(
        self,
        groups=32,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if groups != -1:
            if not isinstance(groups, int) or isinstance(groups, bool) or groups <= 0:
                raise ValueError(
                    "GroupNormalization: groups must be a positive integer, or -1 for a group of "
                    f"each channel, got {groups!r}."
                )
        self.groups = groups
        self.axis = arguments.whole("GroupNormalization", "axis", axis, least=-32)
        self.epsilon = self._checked_epsilon(epsilon)
        self._set_affine(
            center,
            scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )
        self.autocast = False

    def build(self, input_shape):
        self._require_axes(input_shape)
        size, who = input_shape[self.axis], f"GroupNormalization {self.name!r}"
        if self.axis % len(input_shape) == 0:
            raise ValueError(f"{who}: axis {self.axis} is that of the batch, not of channels.")
        if size is None:
            raise ValueError(
                f"{who}: the size of axis {self.axis} of the inputs must be known, got shape "
                f"{tuple(input_shape)}."
            )
        if self.groups == -1:
            self.groups = size
        if size % self.groups or size < self.groups:
            raise ValueError(
                f"{who}: the number of channels must be a multiple of the number of groups, "
                f"{self.groups}, got {size} channels (inputs of shape {tuple(input_shape)})."
            )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})
        self._add_affine((size,))

    def call(self, inputs):
        outputs = group_normalization(
            inputs, self.gamma, self.beta, groups=self.groups, axis=self.axis, epsilon=self.epsilon
        )
        return cast(outputs, self.compute_dtype)

    def _operation(self, x):
        options = {"groups": self.groups, "axis": self.axis, "epsilon": self.epsilon}
        return ops.normalized_in_groups, (self.gamma, self.beta), options

    def get_config(self):
        config = {"groups": self.groups, "axis": self.axis, **self._affine_config()}
        return {**super().get_config(), **config}


class RMSNormalization(Normalizing):
    """scale x / sqrt(mean(x^2) + epsilon), the mean taken along axes.

    Layer normalization without the mean (Zhang and Sennrich, "Root mean square layer
    normalization", 2019, arXiv:1910.07467).

    Args:
        axis: the axis or axes of the mean and of the weight `scale`: an integer or a list of them.
        epsilon: added to the mean.

    Takes arrays of any shape and gives the same; 16-bit floats are computed in float32.  Raises
    TypeError for axes that are no integers, ValueError for axes that the inputs lack.
    """

    supports_masking = False

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.axis = self._checked_axes(axis)
        self.epsilon = self._checked_epsilon(epsilon)

    def build(self, input_shape):
        self.axis = sorted(self._require_axes(input_shape))
        shape = tuple(input_shape[axis] for axis in self.axis)
        self.scale = self.add_weight(shape, "ones", autocast=False, name="scale")

    def call(self, inputs):
        return ops.rms_normalization(inputs, self.scale, self.axis, self.epsilon)

    def _operation(self, x):
        options = {"axes": ops.axes_of(x, self.axis), "epsilon": self.epsilon}
        return ops.normalized_along, (self.scale,), options | {"kind": ops.ROOT_MEAN_SQUARE}

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        return normalized_pieces(self, x)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class UnitNormalization(Normalizing):
    """x / sqrt(sum(x^2)), the sum taken along axes: of length 1, but zeros stay zeros.

    Args:
        axis: the axis or axes of the sum: an integer or a list of them.

    Takes arrays of any shape and gives the same.  Raises TypeError for axes that are no integers.
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = self._checked_axes(axis)

    def call(self, inputs):
        return normalize(inputs, axis=self.axis, order=2, epsilon=SMALLEST_LENGTH)

    def _operation(self, x):
        options = {"axes": ops.axes_of(x, self.axis), "epsilon": SMALLEST_LENGTH}
        return ops.normalized_along, (), options | {"kind": ops.LENGTH}

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def number(who: str, name: str, value, least: float | None = None) -> float:
    """`value` as a float.  Raises TypeError for what is no number, ValueError below `least`."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise TypeError(f"{who}: {name} must be a number, got {value!r}.")
    if least is not None and not value >= least:
        raise ValueError(f"{who}: {name} must be at least {least}, got {value}.")
    return float(value)
