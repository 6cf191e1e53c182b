"""Floats as whole numbers: rounded multiples of a scale that the largest value decides."""

from __future__ import annotations

import math

from ..arrays import as_array, dtypes, namespace

EPSILON = 1e-7


def abs_max_quantize(
    inputs, axis, value_range=(-127, 127), dtype="int8", epsilon=EPSILON, to_numpy=False
):
    """Whole numbers `round(inputs * scale)`, where `scale = highest / (max |inputs| + epsilon)`.

    Args:
        inputs: an array of floats.
        axis: the axis or axes that share a scale.
        value_range: the lowest and the highest number.
        dtype: of the numbers.
        epsilon: keeps the scale of zeros finite.
        to_numpy: without effect: the library of the inputs computes.

    Returns the numbers, and the scale, with those axes kept as 1; numbers / scale gives the inputs
    again, to half a step of 1 / scale.
    """
    x = as_array(inputs)
    xp = namespace(x)
    low, high = value_range
    axis = tuple(axis) if isinstance(axis, (list, tuple)) else axis
    scale = high / (xp.max(xp.abs(x), axis=axis, keepdims=True) + epsilon)
    numbers = xp.clip(xp.round(x * scale), low, high)
    return xp.astype(numbers, dtypes.of(xp, dtype)), scale


def abs_max_quantize_grouped_with_zero_point(
    inputs, block_size, value_range=(-8, 7), dtype="int8", epsilon=EPSILON, to_numpy=False
):
    """Whole numbers `round(inputs / scale) + zero` of a matrix, with a scale for each block.

    Args:
        inputs: floats of shape (inputs, outputs).
        block_size: how many rows of a column share a scale and a zero; the last block may be
            shorter.
        value_range: the lowest and the highest number.
        dtype: of the numbers.
        epsilon: keeps the scale of zeros from being 0.
        to_numpy: without effect: the library of the inputs computes.

    Returns the numbers (inputs, outputs), the scale and the zero (int8), both (blocks, outputs);
    `(numbers - zero) * scale` gives the inputs again.  The range of a block always reaches to 0
    (in Keras, one of a single sign is cut off).  Raises ValueError if the inputs are no matrix.
    """
    x = as_array(inputs)
    xp = namespace(x)
    if x.ndim != 2:
        raise ValueError(
            "abs_max_quantize_grouped_with_zero_point: inputs must be a matrix, got shape "
            f"{tuple(x.shape)}."
        )
    low, high = value_range
    rows, columns = x.shape
    blocks = math.ceil(rows / block_size)
    padding = xp.zeros((blocks * block_size - rows, columns), dtype=x.dtype)
    x = xp.reshape(xp.concat([x, padding]), (blocks, block_size, columns))
    smallest = xp.clip(xp.min(x, axis=1, keepdims=True), None, 0)
    largest = xp.clip(xp.max(x, axis=1, keepdims=True), 0, None)
    scale = (largest - smallest + epsilon) / (high - low)
    zero = xp.clip(xp.round(-smallest / scale) + low, low, high)
    numbers = xp.clip(xp.round(x / scale) + zero, low, high)
    numbers = xp.reshape(numbers, (-1, columns))[:rows, :]
    return (
        xp.astype(numbers, dtypes.of(xp, dtype)),
        xp.squeeze(scale, axis=1),
        xp.astype(xp.squeeze(zero, axis=1), xp.int8),
    )


class Quantizer:
    """The base of quantizers: called with an array, one gives (numbers, scale).

    Args:
        output_dtype: of the numbers.
    """

    def __init__(self, output_dtype: str = "int8"):
        self.output_dtype = output_dtype

    def __call__(self, x):
        """`x` itself: subclasses quantize it."""
        return x

    def get_config(self) -> dict:
        raise NotImplementedError(f"{type(self).__name__} does not define get_config().")

    @classmethod
    def from_config(cls, config: dict) -> Quantizer:
        return cls(**config)


class AbsMaxQuantizer(Quantizer):
    """Quantizes by the largest absolute value: see `abs_max_quantize`.

    Args:
        axis: the axis or axes that share a scale, if a call names none; then the last.
        value_range: the lowest and the highest number.
        epsilon: keeps the scale of zeros finite.
        output_dtype: of the numbers.

    Raises ValueError if int8 cannot hold the range.
    """

    def __init__(
        self, axis=None, value_range=(-127, 127), epsilon: float = EPSILON, output_dtype="int8"
    ):
        super().__init__(output_dtype)
        self.axis = axis if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.value_range = tuple(value_range)
        self.epsilon = epsilon
        if output_dtype == "int8" and not -128 <= self.value_range[0] <= self.value_range[1] <= 127:
            raise ValueError(
                f"AbsMaxQuantizer: value_range must lie within -128..127 for int8, got "
                f"{value_range}."
            )

    def __call__(self, x, axis=None, to_numpy=False):
        """The whole numbers that stand for `x`, and their scale."""
        axis = self.axis if axis is None else axis
        axis = -1 if axis is None else axis
        return abs_max_quantize(x, axis, self.value_range, self.output_dtype, self.epsilon)

    def get_config(self) -> dict:
        config = {
            "value_range": self.value_range,
            "epsilon": self.epsilon,
            "output_dtype": self.output_dtype,
        }
        return config if self.axis is None else {**config, "axis": self.axis}
