"""Layers that act in training only, against overfitting: dropout and noise.

ActivityRegularization, which adds to the loss, stands here too.
"""

from __future__ import annotations

import math

from .. import config
from ..arrays import dtypes, namespace, random
from ..ops.dropout import dropout, mask_sizes
from ..regularizers import L1L2
from . import arguments
from .input_spec import InputSpec
from .layer import Layer
from .pieces import Nothing
from .training_plan import Link
from .unknown_sizes import is_guessed

__all__ = [
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]


class _Noise(Layer):
    """A layer that changes its inputs at random in training, by an amount between 0 and 1.

    A subclass defines `_disturb(inputs)`: floating inputs with noise.
    """

    amount = "rate"  # The argument that says how much.

    def __init__(self, amount, seed, **kwargs):
        super().__init__(**kwargs)
        who = f"{type(self).__name__}: {self.amount}"
        if isinstance(amount, bool) or not isinstance(amount, (int, float)):
            raise TypeError(f"{who} must be a number, got {type(amount).__name__}.")
        if not 0 <= amount <= 1:
            raise ValueError(f"{who} must be between 0 and 1, got {amount}.")
        setattr(self, self.amount, amount)
        self.seed = seed
        if amount > 0:
            self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs, training=False):
        if not training or not getattr(self, self.amount):
            return inputs
        if not dtypes.is_floating(inputs):
            xp = namespace(inputs)
            inputs = xp.astype(inputs, dtypes.of(xp, self.compute_dtype))
        return inputs if is_guessed(inputs) else self._disturb(inputs)

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        return [Nothing(self.name)]

    def compute_output_shape(self, input_shape):
        return input_shape


def _noise_shape(who, noise_shape):
    """The sizes of a mask: positive integers, None for those of the input."""
    if noise_shape is None:
        return None
    try:
        if isinstance(noise_shape, str):
            raise TypeError
        return tuple(
            None if size is None else arguments.whole(who, "noise_shape", size)
            for size in noise_shape
        )
    except (TypeError, ValueError):
        raise ValueError(
            f"{who}: noise_shape must be a sequence of positive integers or None, "
            f"got {noise_shape!r}."
        ) from None


class Dropout(_Noise):
    """Set a random part of the inputs to zero, and divide the others by `1 - rate`.

    Only in training; otherwise the output is the input. (Srivastava et al., "Dropout: a simple
    way to prevent neural networks from overfitting", JMLR 2014.)

    Args:
        rate: the part to drop, 0 <= rate <= 1.
        noise_shape: sizes of the mask that is broadcast to the input: 1 drops along that whole
            axis together, None is the input's size. The input's shape by default.
        seed: a whole number for a repeatable sequence of masks.

    Raises TypeError if `rate` is no number, ValueError if it is out of range or if `noise_shape`
    holds something else.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = _noise_shape(type(self).__name__, noise_shape)

    def _disturb(self, inputs):
        seed, shape = self.seed_generator.next(), self._mask_shape()
        return dropout(inputs, rate=self.rate, noise_shape=shape, seed=seed)

    def _mask_shape(self):
        return self.noise_shape

    def _training_links(self, x):
        """What this layer is in training: see `training_plan.py`."""
        version = dropout.version("numpy")
        if version is None or type(self) is not Dropout or not 0 < self.rate < 1:
            return None

        def run(x, needs=None):
            return version(
                x,
                rate=self.rate,
                noise_shape=self.noise_shape,
                seed=self.seed_generator.next(),
                needs=needs,
            )

        return [Link(run)] if dtypes.is_floating(x) else None

    def get_config(self):
        own = {"rate": self.rate, "seed": self.seed, "noise_shape": self.noise_shape}
        return {**super().get_config(), **own}


class _SpatialDropout(Dropout):
    """Dropout of whole channels: one decision for all places of a sample's channel."""

    rank = 1

    def __init__(self, rate, data_format, seed, name, dtype):
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _mask_shape(self):
        ones = (1,) * self.rank
        return (None, None, *ones) if self.data_format == "channels_first" else (None, *ones, None)

    def get_config(self):
        return {
            "rate": self.rate,
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "data_format": self.data_format,
        }


class SpatialDropout1D(_SpatialDropout):
    """Drop whole features of sequences: for a sample, all steps of a feature or none.

    Neighbouring steps often say the same, so that dropping them one by one has little effect
    (Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015).

    Args:
        rate: the part to drop, 0 <= rate <= 1.
        seed: a whole number for a repeatable sequence of masks.

    Input (batch, steps, features).

    Raises TypeError if `rate` is no number, ValueError if it is out of range.
    """

    def __init__(self, rate, seed=None, name=None, dtype=None):
        super().__init__(rate, "channels_last", seed, name, dtype)

    def get_config(self):
        base = super().get_config()
        del base["data_format"]
        return base


class SpatialDropout2D(_SpatialDropout):
    """Drop whole channels of images: for a sample, all pixels of a channel or none.

    As `SpatialDropout1D`, for inputs (batch, height, width, channels), or
    (batch, channels, height, width) with data_format="channels_first".

    Args:
        rate: the part to drop, 0 <= rate <= 1.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of masks.

    Raises TypeError if `rate` is no number, ValueError if it is out of range.
    """

    rank = 2

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None):
        super().__init__(rate, data_format, seed, name, dtype)


class SpatialDropout3D(_SpatialDropout):
    """Drop whole channels of volumes: for a sample, all voxels of a channel or none.

    As `SpatialDropout1D`, for inputs (batch, dim1, dim2, dim3, channels), or
    (batch, channels, dim1, dim2, dim3) with data_format="channels_first".

    Args:
        rate: the part to drop, 0 <= rate <= 1.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of masks.

    Raises TypeError if `rate` is no number, ValueError if it is out of range.
    """

    rank = 3

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None):
        super().__init__(rate, data_format, seed, name, dtype)


class GaussianDropout(_Noise):
    """Multiply the inputs by normal noise of mean 1 and deviation `sqrt(rate / (1 - rate))`.

    Only in training. Mean and variance are those of dropout (Srivastava et al., JMLR 2014).

    Args:
        rate: the rate of the dropout that it stands for, 0 <= rate <= 1.
        seed: a whole number for a repeatable sequence of noise.

    Raises TypeError if `rate` is no number, ValueError if it is out of range, and in training if
    it is 1, where the deviation is infinite.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(rate, seed, **kwargs)

    def _disturb(self, inputs):
        if self.rate == 1:
            raise ValueError("GaussianDropout: training needs a rate below 1, got 1.")
        deviation = math.sqrt(self.rate / (1 - self.rate))
        noise = random.normal(inputs.shape, 1.0, deviation, seed=self.seed_generator, like=inputs)
        return inputs * noise

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class GaussianNoise(_Noise):
    """Add normal noise of mean 0 to the inputs, in training only.

    Args:
        stddev: its standard deviation, 0 <= stddev <= 1.
        seed: a whole number for a repeatable sequence of noise.

    Raises TypeError if `stddev` is no number, ValueError if it is out of range.
    """

    amount = "stddev"

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(stddev, seed, **kwargs)

    def _disturb(self, inputs):
        seed = self.seed_generator
        return inputs + random.normal(inputs.shape, 0.0, self.stddev, seed=seed, like=inputs)

    def _training_links(self, x):
        """What this layer is in training: see `training_plan.py`."""

        def run(x, needs=None):
            y = self._disturb(x)
            return y if needs is None else (y, lambda g: (g,))

        return [Link(run)] if self.stddev and dtypes.is_floating(x) else None

    def get_config(self):
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class AlphaDropout(_Noise):
    """Dropout that keeps mean and variance of what SELU activations give.

    Only in training. Dropped inputs become alpha' = -1.7581, the value that SELU approaches on
    the left; then everything is scaled and shifted by
    a = ((1 - rate) (1 + rate alpha'**2))**(-1/2) and b = -a alpha' rate. (Klambauer et al.,
    "Self-normalizing neural networks", NeurIPS 2017.)

    Args:
        rate: the part to drop, 0 <= rate <= 1.
        noise_shape: sizes of the mask that is broadcast to the input; see `Dropout`.
        seed: a whole number for a repeatable sequence of masks.

    Raises TypeError if `rate` is no number, ValueError if it is out of range or if `noise_shape`
    holds something else.
    """

    saturation = -1.7580993408473766  # -alpha * scale of SELU.

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = _noise_shape("AlphaDropout", noise_shape)

    def _disturb(self, inputs):
        xp, rate, low = namespace(inputs), self.rate, self.saturation
        if rate == 1:
            return xp.zeros_like(inputs)  # The limit.
        shape = mask_sizes(inputs, self.noise_shape)
        a = ((1 - rate) * (1 + rate * low**2)) ** -0.5
        b = -a * low * rate
        kept = random.dropout_mask(shape, rate, self.seed_generator, like=inputs)
        dropped = xp.full_like(inputs, a * low + b)
        return xp.where(kept, a * inputs + b, dropped)

    def get_config(self):
        own = {"rate": self.rate, "seed": self.seed, "noise_shape": self.noise_shape}
        return {**super().get_config(), **own}


class ActivityRegularization(Layer):
    """Add the size of the activations to the loss, and pass them on as they are.

    The penalty is `l1 * sum(|x|) + l2 * sum(x**2)`, divided by the batch size.

    Args:
        l1, l2: factors; 0 by default.

    Raises TypeError for a factor that is no number, ValueError for one that is negative.
    """

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        super().__init__(activity_regularizer=L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2
        self.supports_masking = True

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        base = super().get_config()
        del base["activity_regularizer"]
        return {**base, "l1": self.l1, "l2": self.l2}
