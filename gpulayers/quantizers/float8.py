"""8-bit floats: rounding to them, and the scales that keep values within their range.

The formats are those of Micikevicius et al., "FP8 formats for deep learning", 2022,
arXiv:2209.05433: E4M3 for weights and values, E5M2 for gradients.
"""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import as_array, dtypes, namespace


class Format(NamedTuple):
    """A binary format of floats."""

    fraction: int  # Bits after the leading one;
    lowest: int  # the exponent below which steps get no smaller;
    largest: float  # the largest number.


FORMATS = {
    "float8_e4m3fn": Format(3, -6, 448.0),
    "float8_e5m2": Format(2, -14, 57344.0),
    "float16": Format(10, -14, 65504.0),
    "bfloat16": Format(7, -119, float.fromhex("0x1.fep127")),  # Its steps stay normal floats.
}


def rounded(x, dtype: str):
    """`x` rounded to the numbers of a format (ties to even), and cut off at its largest."""
    xp, form = namespace(x), FORMATS[dtype]
    x = xp.clip(x, -form.largest, form.largest)
    exponent = xp.floor(xp.log2(xp.clip(xp.abs(x), 2.0**form.lowest, None)))
    step = 2.0 ** (exponent - form.fraction)
    return xp.round(x / step) * step


def quantize_and_dequantize(inputs, scale, quantized_dtype, compute_dtype):
    """`scale * rounded(inputs / scale)`: what is left of the inputs in 8 bits.

    Args:
        inputs: floats.
        scale: of one step of the format, a scalar array.
        quantized_dtype: "float8_e4m3fn" or "float8_e5m2".
        compute_dtype: of the result.

    Raises ValueError for another format.
    """
    dtype = quantized_dtype if isinstance(quantized_dtype, str) else dtypes.name(quantized_dtype)
    if dtype not in ("float8_e4m3fn", "float8_e5m2"):
        raise ValueError(
            f"quantize_and_dequantize: expected float8_e4m3fn or float8_e5m2, got {dtype!r}."
        )
    x, scale = as_array(inputs), as_array(scale)
    xp = namespace(x, scale)

    def kept(value):
        return rounded(value, compute_dtype) if compute_dtype in FORMATS else value

    x, scale = (kept(xp.astype(a, dtypes.of(xp, "float32"))) for a in (x, scale))
    return xp.astype(kept(rounded(kept(x / scale), dtype) * scale), dtypes.of(xp, compute_dtype))


def compute_float8_scale(amax, scale, dtype_max, margin: int = 0):
    """The scale with which values up to `amax` fill the range of a format.

    That is `amax * 2**margin / dtype_max`, or the old `scale` if amax is 0 or not finite.
    """
    amax, scale = as_array(amax), as_array(scale)
    xp = namespace(amax, scale)
    known = xp.logical_and(amax > 0, xp.isfinite(amax))
    return xp.where(known, amax * (2.0**margin / dtype_max), scale)


def compute_float8_amax_history(x, amax_history):
    """The largest absolute values of the last steps, after a step on `x`: the newest is first."""
    x, history = as_array(x), as_array(amax_history)
    xp = namespace(x, history)
    newest = xp.astype(xp.max(xp.abs(x)), history.dtype)
    return xp.concat([xp.reshape(newest, (1,)), xp.roll(history, -1)[1:]])
