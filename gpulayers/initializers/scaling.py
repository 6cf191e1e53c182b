"""Random values whose spread keeps signals at the same size from layer to layer."""

from __future__ import annotations

import math

from ..arrays import random
from .random_values import RandomInitializer

_TRUNCATED_STDDEV = 0.87962566103423978  # Of a normal distribution of stddev 1 cut at +-2.


class VarianceScaling(RandomInitializer):
    """Random values of variance scale / n, with n taken from the weight's shape.

    Args:
        scale: positive.
        mode: n is "fan_in" (units that come in), "fan_out" (that go out), or their mean, "fan_avg".
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
        seed: see `RandomInitializer`.
        input_axes, output_axes: lists of the axes that count as fan_in and fan_out; by default as
            `compute_fans` has it.

    Raises ValueError for a scale that is not positive, and for unknown names.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed=None,
        input_axes=None,
        output_axes=None,
    ):
        who = type(self).__name__
        if not isinstance(scale, (int, float)) or not scale > 0:
            raise ValueError(f"{who}: scale must be positive, got {scale!r}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"{who}: mode must be fan_in, fan_out or fan_avg, got {mode!r}.")
        distribution = str(distribution).lower()
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if distribution not in ("uniform", "truncated_normal", "untruncated_normal"):
            raise ValueError(
                f"{who}: distribution must be uniform, truncated_normal or untruncated_normal, "
                f"got {distribution!r}."
            )
        super().__init__(seed)
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes

    def __call__(self, shape, dtype=None):
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * stddev
            return random.uniform(shape, -limit, limit, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, stddev, dtype, self.seed)
        return random.truncated_normal(shape, 0.0, stddev / _TRUNCATED_STDDEV, dtype, self.seed)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _FixedScaling(VarianceScaling):
    """Variance scaling by the three `SETTINGS` of a subclass."""

    SETTINGS: tuple[float, str, str]

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        super().__init__(*self.SETTINGS, seed, input_axes, output_axes)

    def get_config(self) -> dict:
        config = super().get_config()
        return {key: config[key] for key in ("seed", "input_axes", "output_axes")}


class GlorotUniform(_FixedScaling):
    """Uniform within +-sqrt(6 / (fan_in + fan_out)): Glorot and Bengio, AISTATS 2010."""

    SETTINGS = (1.0, "fan_avg", "uniform")


class GlorotNormal(_FixedScaling):
    """Truncated normal of variance 2 / (fan_in + fan_out): Glorot and Bengio, AISTATS 2010."""

    SETTINGS = (1.0, "fan_avg", "truncated_normal")


class LecunNormal(_FixedScaling):
    """Truncated normal of variance 1 / fan_in: Klambauer et al., NIPS 2017."""

    SETTINGS = (1.0, "fan_in", "truncated_normal")


class LecunUniform(_FixedScaling):
    """Uniform within +-sqrt(3 / fan_in): Klambauer et al., NIPS 2017."""

    SETTINGS = (1.0, "fan_in", "uniform")


class HeNormal(_FixedScaling):
    """Truncated normal of variance 2 / fan_in: He et al., ICCV 2015."""

    SETTINGS = (2.0, "fan_in", "truncated_normal")


class HeUniform(_FixedScaling):
    """Uniform within +-sqrt(6 / fan_in): He et al., ICCV 2015."""

    SETTINGS = (2.0, "fan_in", "uniform")


def compute_fans(shape, input_axes=None, output_axes=None) -> tuple[int, int]:
    """How many units come in and go out for a weight of this shape.

    With both lists of axes, the products of those sizes.  Else n and n for a vector, rows and
    columns for a matrix; for the kernel of a convolution the last two sizes times the product of
    the others.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[i] for i in input_axes), math.prod(shape[i] for i in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field
