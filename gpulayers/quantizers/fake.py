"""Quantization whose error can be trained with: rounded floats with gradients."""

from __future__ import annotations

from ..arrays import as_array, dtypes, namespace, primitive


@primitive
def _fake_quantize(x, low, high, *, levels, first):
    """`x` rounded to `levels` steps from `low` to `high`; these have the rank of x, or none."""
    xp = namespace(x, low, high)
    lowest, highest, scale = _nudged(xp, low, high, levels, first)
    cut = xp.clip(x, lowest, highest)
    zero = xp.floor(0.5 - lowest / scale)
    return xp.astype(xp.floor((cut - lowest) / scale - zero + 0.5) * scale, x.dtype)


@_fake_quantize.vjp
def _(xp, out, x, low, high, *, levels, first):
    lowest, highest, _ = _nudged(xp, low, high, levels, first)

    def pullback(g):
        inside = xp.logical_and(x >= lowest, x <= highest)
        nothing = xp.zeros_like(g)
        return (
            xp.where(inside, g, nothing),
            xp.where(x <= lowest, g, nothing),
            xp.where(x >= highest, g, nothing),
        )

    return pullback


def _nudged(xp, low, high, levels, first):
    """The range, moved so that 0 is one of its steps, and the size of a step."""
    scale = (high - low) / (levels - first)
    zero = xp.round(xp.clip(first - low / scale, first, levels))
    return (first - zero) * scale, (levels - zero) * scale, scale


def fake_quant_with_min_max_vars(
    inputs, min_vals, max_vals, num_bits: int = 8, narrow_range: bool = False, axis=None
):
    """The inputs as floats that `num_bits` can tell apart in a range, which may be trained.

    Args:
        inputs: floats.
        min_vals, max_vals: the ends of the range: scalars, or one for each place along `axis`.
        num_bits: the range has 2**num_bits - 1 steps.
        narrow_range: one step less, so that it can be symmetric.
        axis: the axis whose places have ranges of their own; None for one range for all.

    Gradients pass to the inputs where they lie within the range, and to its ends beyond (Jacob et
    al., "Quantization and training of neural networks", 2017, arXiv:1712.05877).
    """
    x = as_array(inputs)
    shape = () if axis is None else tuple(-1 if i == axis % x.ndim else 1 for i in range(x.ndim))
    ends = [as_array(end) for end in (min_vals, max_vals)]
    ends = [_shaped(end, shape) for end in ends]
    return _fake_quantize(x, *ends, levels=2 ** int(num_bits) - 1, first=int(narrow_range))


def _shaped(end, shape):
    xp = namespace(end)
    if not dtypes.is_floating(end):
        end = xp.astype(end, dtypes.of(xp, "float32"))
    return xp.reshape(end, shape) if end.ndim else end
