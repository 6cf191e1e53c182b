"""Sums, means, extremes and the like: all elements, or those along axes, become one.

Everywhere `axis` is an integer, several of them, or None for all axes (an empty list leaves `x`
as it is), and `keepdims` keeps the reduced axes with size 1.
"""

from __future__ import annotations

from ..arrays import dtypes, namespace, primitive
from ..arrays.shapes import reduced_shape
from ..arrays.short_floats import cast
from .calling import array_function, as_floats, widened

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "moments",
    "prod",
    "ptp",
    "std",
    "sum",
    "var",
]


def axes_of(axis):
    """`axis` as the standard takes it: an integer, a tuple or None."""
    return tuple(axis) if isinstance(axis, list) else axis


@array_function()
def sum(x, axis=None, keepdims: bool = False):
    """The sum.  Booleans and integers shorter than 32 bits add up as int32."""
    x = x if _keeps(x.dtype) else cast(x, widened(x))
    return namespace(x).sum(x, axis=axes_of(axis), dtype=x.dtype, keepdims=keepdims)


@array_function(computes=False)
def prod(x, axis=None, keepdims: bool = False, dtype: str | None = None):
    """The product.

    dtype: what to compute in, and give; by default the dtype of `sum`.
    """
    return _product(cast(x, dtypes.standardize(dtype, widened(x))), axis, keepdims)


@array_function()
def _product(x, axis, keepdims):
    return namespace(x).prod(x, axis=axes_of(axis), dtype=x.dtype, keepdims=keepdims)


def _keeps(dtype) -> bool:
    """Whether sums of this dtype have it too."""
    return getattr(dtype, "kind", None) == "f"


@array_function()
def mean(x, axis=None, keepdims: bool = False):
    """The mean, sum(x) / n.  Integers become floatx."""
    if axis is not None and axis in ((), []):
        return x
    xp, x = as_floats(x)
    return xp.mean(x, axis=axes_of(axis), keepdims=keepdims)


@array_function()
def var(x, axis=None, keepdims: bool = False):
    """The variance, mean((x - mean(x))^2).  Integers become floatx."""
    xp, x = as_floats(x)
    return xp.var(x, axis=axes_of(axis), keepdims=keepdims)


@array_function()
def std(x, axis=None, keepdims: bool = False):
    """The standard deviation, sqrt(var(x)).  Integers become floatx."""
    xp, x = as_floats(x)
    return xp.std(x, axis=axes_of(axis), keepdims=keepdims)


@array_function(computes=False)
def moments(x, axes, keepdims: bool = False, synchronized: bool = False):
    """The mean and the variance over `axes`, as a pair.

    synchronized: must be False: there is one device. What float16 cannot hold becomes its largest
        number.
    """
    if synchronized:
        raise ValueError("moments: synchronized must be False: a model runs on one device.")
    if dtypes.name(x.dtype) != "float16":
        return mean(x, axes, keepdims), var(x, axes, keepdims)
    xp, largest = namespace(x), dtypes.largest("float16")
    both = moments(cast(x, "float32"), axes, keepdims)
    return tuple(cast(xp.clip(y, -largest, largest), "float16") for y in both)


def _extremum(x, axis, keepdims, initial, name):
    xp, axis = namespace(x), axes_of(axis)
    if x.dtype == xp.bool:
        out = (xp.any if name == "max" else xp.all)(x, axis=axis, keepdims=keepdims)
    elif 0 in x.shape and initial is not None:
        return xp.full(reduced_shape(x.shape, axis, keepdims), initial, dtype=x.dtype)
    else:
        out = getattr(xp, name)(x, axis=axis, keepdims=keepdims)
    if initial is None:
        return out
    initial = xp.asarray(initial, dtype=x.dtype)
    if x.dtype == xp.bool:
        return (out | initial) if name == "max" else (out & initial)
    return (xp.maximum if name == "max" else xp.minimum)(out, initial)


@array_function()
def max(x, axis=None, keepdims: bool = False, initial=None):
    """The largest element.

    initial: a number that counts as one more element. Raises ValueError without it for an empty
        array.
    """
    return _extremum(x, axis, keepdims, initial, "max")


@array_function()
def min(x, axis=None, keepdims: bool = False, initial=None):
    """The smallest element.

    initial: a number that counts as one more element. Raises ValueError without it for an empty
        array.
    """
    return _extremum(x, axis, keepdims, initial, "min")


@array_function()
def amax(x, axis=None, keepdims: bool = False):
    """The largest element, as `max`."""
    return _extremum(x, axis, keepdims, None, "max")


@array_function()
def amin(x, axis=None, keepdims: bool = False):
    """The smallest element, as `min`."""
    return _extremum(x, axis, keepdims, None, "min")


def ptp(x, axis=None, keepdims: bool = False):
    """The range of the elements: max(x) - min(x)."""
    return amax(x, axis, keepdims) - amin(x, axis, keepdims)


@array_function()
def all(x, axis=None, keepdims: bool = False):
    """Whether all elements are true (not 0)."""
    xp = namespace(x)
    return xp.all(xp.astype(x, xp.bool), axis=axes_of(axis), keepdims=keepdims)


@array_function()
def any(x, axis=None, keepdims: bool = False):
    """Whether any element is true (not 0)."""
    xp = namespace(x)
    return xp.any(xp.astype(x, xp.bool), axis=axes_of(axis), keepdims=keepdims)


@array_function()
def count_nonzero(x, axis=None):
    """The number of elements that are not 0, as int32."""
    return sum(namespace(x).astype(x, namespace(x).bool), axis)


@array_function()
def argmax(x, axis: int | None = None, keepdims: bool = False):
    """The index (int32) of the first largest element along an axis; of the flat array for None."""
    return _position(x, axis, keepdims, "argmax")


@array_function()
def argmin(x, axis: int | None = None, keepdims: bool = False):
    """The index (int32) of the first smallest element along an axis; of the flat array for None."""
    return _position(x, axis, keepdims, "argmin")


def _position(x, axis, keepdims, name):
    xp = namespace(x)
    if x.dtype == xp.bool:
        x = xp.astype(x, xp.uint8)
    return xp.astype(getattr(xp, name)(x, axis=axis, keepdims=keepdims), xp.int32)


@array_function()
@primitive
def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))), without overflow.  Integers become floatx."""
    xp, x = as_floats(x)
    axis = axes_of(axis)
    peak = xp.max(x, axis=axis, keepdims=True)
    peak = xp.where(xp.isfinite(peak), peak, 0.0)
    total = xp.log(xp.sum(xp.exp(x - peak), axis=axis, keepdims=True)) + peak
    return total if keepdims else xp.reshape(total, reduced_shape(x.shape, axis, False))


@logsumexp.__wrapped__.vjp
def _(xp, out, x, axis=None, keepdims=False):
    def dx(g):
        ones = reduced_shape(x.shape, axes_of(axis), True)
        return xp.reshape(g, ones) * xp.exp(x - xp.reshape(out, ones))

    return dx, None, None
