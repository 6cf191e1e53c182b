"""Channels brought to mean 0 and variance 1 by the moments of a batch, or by their moving means."""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial

import numpy as np

from .. import activations, config, initializers
from ..arrays import Abstract, devices, dtypes, namespace, plain, stop_gradient
from ..arrays.short_floats import cast, is_short
from ..ops.batch_normalization import (
    along,
    followed,
    joint_moments,
    normalized_by,
    normalized_in_batch,
    wide,
)
from ..ops.calling import as_floats
from ..ops.dense import FUSED_NAMES
from . import arguments
from .input_spec import InputSpec
from .normalization import Affine, number
from .pieces import ChannelMap, curve_pieces
from .product_pieces import products_fit
from .training_plan import Link, activation_links, in_numpy, primitive_link

# In a call of a layer without an activation: that layer, and the name of the one to be applied.
FOLLOWED: ContextVar[tuple | None] = ContextVar("followed", default=None)
CLIPPING = ("rmax", "rmin", "dmax")


class BatchNormalization(Affine):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta for each channel.

    In training, mean and variance are those of the batch (over all axes but the channels'), and the
    moving statistics follow: moving = momentum moving + (1 - momentum) batch.  In inference, and in
    a layer whose `trainable` is False, they are the moving ones.  (Ioffe and Szegedy, "Batch
    normalization", 2015, arXiv:1502.03167.)

    Args:
        axis: the axis of the channels.
        momentum: how much of the moving statistics stays at each step.
        epsilon: added to the variance.
        center, scale: whether there are the weights `beta` and `gamma`, of shape (channels,).
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: of the weights.
        renorm: correct the batch's moments by slower moving ones, for small batches (Ioffe, "Batch
            renormalization", 2017, arXiv:1702.03275): (x - mean) / deviation * r + d.
        renorm_clipping: a dictionary of limits of that correction: rmin and rmax of r, dmax of the
            size of d.
        renorm_momentum: the momentum of the moments for it.
        synchronized: whether the statistics are those of all processes that train together, which
            add them up by the function given to `config.set_all_reduce`. Without one, a process is
            on its own.
        activation: what follows: a name from `gpulayers.activations`, or a function of one array;
            none by default. Keras has no such argument: here "relu", "sigmoid" and "tanh" need no
            pass over memory of their own on GPUs.

    Call arguments:
        inputs: an array; 16-bit floats are computed in float32. One without elements is given back,
            and teaches nothing.
        training: whether to use and to learn the batch's statistics.
        mask: which places count in them (boolean), of the inputs' shape without its last axis.

    Raises TypeError or ValueError for limits that are unknown or exclude each other, and for
    arguments of other kinds.
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm=False,
        renorm_clipping=None,
        renorm_momentum=0.99,
        synchronized=False,
        *,
        activation=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.axis = arguments.whole("BatchNormalization", "axis", axis, least=-32)
        self.momentum = number("BatchNormalization", "momentum", momentum)
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
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.synchronized = synchronized
        self.renorm = renorm
        self.renorm_clipping = _checked_limits(renorm_clipping) if renorm else renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.gamma = self.beta = self.moving_mean = self.moving_variance = None

    def build(self, input_shape):
        self._require_axes(input_shape)
        shape = (input_shape[self.axis],)
        self._add_affine(shape)
        self.moving_mean = self._statistic("moving_mean", shape, self.moving_mean_initializer)
        start = self.moving_variance_initializer
        self.moving_variance = self._statistic("moving_variance", shape, start)
        if self.renorm:
            self.moving_stddev = self._statistic("moving_stddev", shape, _root_of(start))
            mean = self.moving_mean_initializer
            self.renorm_mean = self._statistic("renorm_mean", shape, mean)
            self.renorm_stddev = self._statistic("renorm_stddev", shape, _root_of(start))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def _statistic(self, name, shape, initializer):
        return self.add_weight(shape, initializer, trainable=False, autocast=False, name=name)

    def call(self, inputs, training=None, mask=None):
        if mask is not None and mask.ndim != inputs.ndim - 1:
            raise ValueError(
                f"BatchNormalization {self.name!r}: the mask must have one axis less than the "
                f"inputs, got masks of shape {tuple(mask.shape)} for inputs of shape "
                f"{tuple(inputs.shape)}."
            )
        _, x = as_floats(inputs)
        x = cast(x, "float32") if is_short(x) else x
        if training and self.trainable and 0 not in x.shape:
            outputs = self._learn(x, mask)
        else:
            outputs = self._scaled(x)
        if self._fused is None:
            outputs = self.activation(outputs)
        return cast(outputs, self.compute_dtype)

    @property
    def _fused(self) -> str | None:
        """The activation, if the operations take it in; its own, or the one it is followed by."""
        after = FOLLOWED.get()
        if after is not None and after[0] is self:
            return after[1]
        return None if self.renorm else FUSED_NAMES.get(self.activation)

    def _scaled(self, x):
        """By the moving statistics."""
        weights = (self.moving_mean, self.moving_variance, self.beta, self.gamma)
        weights = [None if w is None else _fitting(w.value, x) for w in weights]
        options = {"axis": self.axis, "epsilon": self.epsilon, "activation": self._fused}
        return normalized_by(x, *weights, **options)

    def _learn(self, x, mask):
        """By the batch's statistics, which the moving ones follow."""
        if mask is not None and not dtypes.is_bool(mask):
            mask = mask != 0
        weights = [None if w is None else _fitting(w.value, x) for w in (self.gamma, self.beta)]
        if self.renorm:
            return self._renormalized(x, mask, *weights)
        outputs, mean, variance = self._by_batch(x, *weights, mask)
        self._follow(mean, variance)
        return outputs

    def _by_batch(self, x, gamma, beta, mask):
        """By the moments of the batch, or of all processes' batches; and these moments."""
        options = {"axis": self.axis, "epsilon": self.epsilon, "activation": self._fused}
        if not self.synchronized or config.all_reduce() is None:
            return normalized_in_batch(x, gamma, beta, mask, **options)
        mean, variance = joint_moments(x, mask, axis=self.axis)
        return normalized_by(x, mean, variance, beta, gamma, **options), mean, variance

    def _follow(self, mean, variance):
        """Let the moving statistics follow those of a batch."""
        mean, variance = plain(mean), plain(variance)
        if type(mean) is Abstract:
            return
        moving = self.moving_mean, self.moving_variance
        if not devices.is_cupy(mean):
            for variable, new in zip(moving, (mean, variance), strict=True):
                _follow(variable, new, self.momentum)
            return
        values = [cast(v._value, dtypes.name(mean.dtype)) for v in moving]
        made = followed(*values, mean, variance, momentum=self.momentum)  # In one launch.
        for variable, value in zip(moving, made, strict=True):
            variable.replace(cast(value, dtypes.name(variable.dtype)))

    def _renormalized(self, x, mask, gamma, beta):
        x, xp = wide(x), namespace(x)
        outputs, mean, variance = self._by_batch(x, None, None, mask)
        mean, deviation = stop_gradient(mean), xp.sqrt(stop_gradient(variance) + self.epsilon)
        slow = _fitting(self.renorm_mean._value, mean), _fitting(self.renorm_stddev._value, mean)
        slow_deviation = xp.maximum(slow[1], self.epsilon**0.5)
        r, d = deviation / slow_deviation, (mean - slow[0]) / slow_deviation
        limits = self.renorm_clipping
        if limits.get("rmin") is not None:
            r = xp.maximum(r, limits["rmin"])
        if limits.get("rmax") is not None:
            r = xp.minimum(r, limits["rmax"])
        if limits.get("dmax") is not None:
            d = xp.clip(d, -limits["dmax"], limits["dmax"])
        if gamma is not None:
            r, d = r * gamma, d * gamma
        d = d if beta is None else d + beta
        if type(plain(mean)) is not Abstract:
            self._follow_slowly(plain(mean), plain(deviation))
        return outputs * along(xp, r, x, self.axis) + along(xp, d, x, self.axis)

    def _follow_slowly(self, mean, deviation):
        _follow(self.renorm_mean, mean, self.renorm_momentum)
        _follow(self.renorm_stddev, deviation, self.renorm_momentum)
        _follow(self.moving_mean, mean, self.momentum)
        _follow(self.moving_stddev, deviation, self.momentum)
        moving = cast(self.moving_stddev._value, dtypes.name(deviation.dtype))
        xp = namespace(moving)
        self.moving_variance.assign(xp.maximum(moving * moving - self.epsilon, 0.0))

    def _operation(self, x):
        options = {"axis": self.axis, "epsilon": self.epsilon}
        if self.trainable:
            return normalized_in_batch, (self.gamma, self.beta), options
        weights = (self.moving_mean, self.moving_variance, self.beta, self.gamma)
        return normalized_by, weights, options

    def _training_links(self, x):
        """What this layer is in training: see `training_plan.py`."""
        links = None if self.renorm or self.synchronized else super()._training_links(x)
        if links is None or not self.trainable:
            return links if self.activation is activations.linear else None
        (link,) = links

        def run(x, *values, needs=None):
            if not x.size:
                return x if needs is None else (x, lambda g: [g] + [None] * len(values))
            made = link.run(x, *values, needs=needs)
            (y, mean, variance), pullback = (made, None) if needs is None else made
            self._follow(mean, variance)
            if needs is None:
                return y
            nothing = np.zeros_like(mean)
            return y, lambda g: pullback((g, nothing, nothing))

        following = activation_links(self.activation)
        return None if following is None else [Link(run, link.variables), *following]

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        weights = (self.moving_mean, self.moving_variance, self.beta, self.gamma)
        if self.axis not in (-1, x.ndim - 1) or self.renorm or not products_fit(x, *weights):
            return None
        made = ChannelMap(self.name, self._factor_and_offset, weights)
        return [made, *curve_pieces(self.name, self.activation)]

    def _factor_and_offset(self, mean, variance, beta, gamma):
        factor = 1 / namespace(variance).sqrt(variance + self.epsilon)
        factor = factor if gamma is None else factor * gamma
        offset = -mean * factor
        return factor, offset if beta is None else offset + beta

    def _inference_step(self, x):
        """What this layer is for plain NumPy arrays: see `plan.py`."""
        weights = (self.moving_mean, self.moving_variance, self.beta, self.gamma)
        options = {"axis": self.axis, "epsilon": self.epsilon}
        plain_result = self.activation is activations.linear
        if not plain_result or primitive_link(normalized_by, x, weights) is None:
            return partial(self.call, training=False)

        def run(x):
            values = [None if w is None else w._value for w in weights]
            return in_numpy(normalized_by, [x, *values], None, **options)

        return run

    def get_config(self):
        config = {
            "axis": self.axis,
            "momentum": self.momentum,
            **self._affine_config(),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "synchronized": self.synchronized,
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
        }
        if self.activation is not activations.linear:
            config["activation"] = activations.serialize(self.activation)
        return {**super().get_config(), **config}


def _checked_limits(given) -> dict:
    limits = dict(given or {})
    unknown = sorted(set(limits) - set(CLIPPING))
    if unknown:
        raise ValueError(
            f"BatchNormalization: renorm_clipping may have the keys {', '.join(CLIPPING)}, "
            f"got {', '.join(map(repr, unknown))}."
        )
    low, high, most = (limits.get(key) for key in ("rmin", "rmax", "dmax"))
    if low is not None and high is not None and high < low:
        raise ValueError(
            "BatchNormalization: renorm_clipping must have rmin at most rmax, "
            f"got rmin={low}, rmax={high}."
        )
    if most is not None and most < 0:
        raise ValueError(
            f"BatchNormalization: renorm_clipping must have a dmax of at least 0, got {most}."
        )
    return limits


def _root_of(initializer):
    """An initializer of deviations from one of variances."""

    def start(shape, dtype=None):
        value = initializer(shape, dtype=dtype)
        return namespace(value).sqrt(value)

    return start


def _fitting(value, x):
    """A weight in the dtype in which `x` is computed."""
    name = dtypes.name(x.dtype)
    return cast(value, "float32" if name in dtypes.SHORT_FLOATS else name)


def _follow(variable, new, momentum):
    new = plain(new)
    old = cast(variable._value, dtypes.name(new.dtype))
    made = old * momentum + new * (1.0 - momentum)
    variable.replace(cast(made, dtypes.name(variable.dtype)))
