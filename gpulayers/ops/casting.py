"""Numbers scaled on their way to another dtype, and whether there are only numbers."""

from __future__ import annotations

from ..arrays import dtypes, namespace, plain, primitive

__all__: list[str] = []


@primitive
def scaled(x, factor, *, dtype):
    """x times `factor` in another dtype, rounded once.

    Args:
        x: numbers of any dtype.
        factor: a Python number, or an array without axes.
        dtype: floating; the product is computed in float32, in float64 if x or this is.
    """
    xp = namespace(x, factor)
    wide = "float64" if "float64" in (dtype, dtypes.name(x.dtype)) else "float32"
    if hasattr(factor, "shape"):
        factor = xp.astype(factor, dtypes.of(xp, wide))
    return xp.astype(xp.astype(x, dtypes.of(xp, wide)) * factor, dtypes.of(xp, dtype))


@scaled.vjp
def _(xp, out, x, factor, *, dtype):
    return lambda g: g * factor, lambda g: g * xp.astype(x, g.dtype)


@primitive
def cast_all(*arrays, dtype):
    """Arrays of floats in a dtype: those that have it as they are; all of them by one launch."""
    spaces = [namespace(x) for x in arrays]
    return tuple(
        x if dtypes.name(x.dtype) == dtype else xp.astype(x, dtypes.of(xp, dtype))
        for x, xp in zip(arrays, spaces, strict=True)
    )


@cast_all.vjp
def _(xp, out, *arrays, dtype):
    return tuple(lambda g: g for _ in arrays)  # The tape casts them back.


@primitive
def all_finite(*arrays):
    """Whether no element of any array is infinite or NaN, as an array without axes."""
    finite = True
    for x in arrays:
        xp = namespace(x)
        finite = xp.all(xp.isfinite(plain(x))) & finite
    return finite


@all_finite.vjp
def _(xp, out, *arrays):
    return (None,) * len(arrays)
