"""Products of vectors, matrices and arrays of more axes."""

from __future__ import annotations

from ..arrays import dtypes, namespace
from ..arrays.shapes import all_counted, counted
from .calling import array_function, as_floats, together

__all__ = [
    "cdist",
    "correlate",
    "cross",
    "dot",
    "inner",
    "kron",
    "matmul",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
]

products = array_function("x1", "x2")


@products
def matmul(x1, x2):
    """The matrix product over the last axis of `x1` and the last but one of `x2`.

    Axes before these are broadcast. A vector is a row on the left, a column on the right. Products
    of int8 add up as int32. Raises ValueError if the sizes don't match.
    """
    if x1.dtype is not x2.dtype or dtypes.name(x1.dtype) == "int8":
        _, (x1, x2) = together((x1, x2), _sum_dtype)
    return namespace(x1, x2).matmul(x1, x2)


def _sum_dtype(x1, x2):
    name = dtypes.promote(x1, x2)
    both = dtypes.name(x1.dtype) == dtypes.name(x2.dtype) == "int8"
    return "int32" if both else name


@products
def dot(x1, x2):
    """Products summed over the last axis of `x1` and the last but one (or only one) of `x2`.

    The other axes of `x1` stand before those of `x2`. A number scales the other argument.
    """
    xp, (x1, x2) = together((x1, x2))
    if x1.ndim == 0 or x2.ndim == 0:
        return x1 * x2
    return xp.tensordot(x1, x2, axes=((x1.ndim - 1,), (max(x2.ndim - 2, 0),)))


@products
def inner(x1, x2):
    """Products summed over the last axes of both.  A number scales the other argument."""
    xp, (x1, x2) = together((x1, x2))
    if x1.ndim == 0 or x2.ndim == 0:
        return x1 * x2
    return xp.tensordot(x1, x2, axes=((x1.ndim - 1,), (x2.ndim - 1,)))


@products
def vdot(x1, x2):
    """The sum of all products of corresponding elements; complex ones of `x1` are conjugated."""
    xp, (x1, x2) = together((x1, x2))
    return xp.vecdot(xp.reshape(x1, (-1,)), xp.reshape(x2, (-1,)))


@products
def vecdot(x1, x2, axis: int = -1):
    """Sums of products along an axis; complex elements of `x1` are conjugated."""
    xp, (x1, x2) = together((x1, x2))
    rank = max(x1.ndim, x2.ndim)
    return xp.vecdot(x1, x2, axis=counted(axis, rank, "vecdot") - rank)


@products
def outer(x1, x2):
    """The products of each element of `x1` with each of `x2`: a matrix of both, flat."""
    xp, (x1, x2) = together((x1, x2))
    return xp.reshape(x1, (-1, 1)) * xp.reshape(x2, (1, -1))


@products
def tensordot(x1, x2, axes=2):
    """Products summed over axes of both; those of `x1` that are left stand before those of `x2`.

    axes: how many: the last ones of `x1` and the first ones of `x2`; or which ones: (of x1, of x2),
        each an integer or several.
    """
    xp, (x1, x2) = together((x1, x2))
    if not isinstance(axes, int):
        first, second = (tuple(a) if isinstance(a, (list, tuple)) else (a,) for a in axes)
        pairs = ((first, x1), (second, x2))
        axes = tuple(all_counted(own, x.ndim, "tensordot") for own, x in pairs)
    return xp.tensordot(x1, x2, axes=axes)


@products
def kron(x1, x2):
    """The Kronecker product: each element of `x1` in the place of which stands it times `x2`."""
    xp, (x1, x2) = together((x1, x2))
    rank = max(x1.ndim, x2.ndim)
    first, second = ((1,) * (rank - x.ndim) + tuple(x.shape) for x in (x1, x2))
    x1 = xp.reshape(x1, tuple(n for size in first for n in (size, 1)))
    x2 = xp.reshape(x2, tuple(n for size in second for n in (1, size)))
    return xp.reshape(x1 * x2, tuple(n * m for n, m in zip(first, second, strict=True)))


@products
def cross(x1, x2, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None):
    """The cross product of vectors of 3 elements (or 2, whose third is 0).

    Args:
        axisa, axisb, axisc: the vectors' axes of `x1`, `x2` and the result.
        axis: all three of them.

    Of two vectors of 2 elements only the third element of the product is given. Raises ValueError
    for vectors of other sizes.
    """
    xp, (x1, x2) = together((x1, x2))
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    a, b = (xp.moveaxis(x, k, -1) for x, k in ((x1, axisa), (x2, axisb)))
    sizes = {a.shape[-1], b.shape[-1]}
    if not sizes <= {2, 3}:
        raise ValueError(f"cross: vectors must have 2 or 3 elements, got {sorted(sizes)}.")
    a, b = ([x[..., i] for i in range(x.shape[-1])] for x in (a, b))
    third = a[0] * b[1] - a[1] * b[0]
    if sizes == {2}:
        return third
    a, b = (x if len(x) == 3 else [*x, xp.zeros_like(x[0])] for x in (a, b))
    parts = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], third]
    return xp.moveaxis(xp.stack(parts, axis=-1), -1, axisc)


@products
def correlate(x1, x2, mode: str = "valid"):
    """The cross-correlation of two vectors: sums of x1[n + k] x2[n] over n, for each shift k.

    mode: "valid" for the shifts at which the shorter lies within the longer, "same" for as many as
        the longer has elements, "full" for all that overlap. Raises ValueError for another mode,
        or unless both are vectors.
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"correlate: mode must be 'valid', 'same' or 'full', got {mode!r}.")
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(f"correlate: needs vectors, got ranks {x1.ndim} and {x2.ndim}.")
    xp, (x1, x2) = together((as_floats(x1)[1], as_floats(x2)[1]))
    if x1.shape[0] < x2.shape[0]:
        return xp.flip(correlate(x2, x1, mode))
    n, m = x1.shape[0], x2.shape[0]
    before, after = {"valid": (0, 0), "same": (m // 2, (m - 1) // 2), "full": (m - 1, m - 1)}[mode]
    zeros = [xp.zeros((count,), dtype=x1.dtype) for count in (before, after)]
    padded = xp.concat([zeros[0], x1, zeros[1]])
    count = n + before + after - m + 1
    shifts = xp.expand_dims(xp.arange(count), axis=1) + xp.arange(m)
    windows = xp.reshape(xp.take(padded, xp.reshape(shifts, (-1,))), (count, m))
    return xp.matmul(windows, x2)


@array_function("x", "y")
def cdist(x, y):
    """Euclidean distances of all points of `x` (..., N, D) from those of `y` (..., M, D).

    Gives (..., N, M). Raises ValueError unless both have the same D, and two axes.
    """
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            "cdist: expected the shapes (..., N, D) and (..., M, D), got "
            f"{tuple(x.shape)} and {tuple(y.shape)}."
        )
    xp, (x, y) = together((as_floats(x)[1], as_floats(y)[1]))
    difference = xp.expand_dims(x, axis=-2) - xp.expand_dims(y, axis=-3)
    square = xp.sum(difference * difference, axis=-1)
    apart = square > 0  # The square root has no derivative at 0.
    return xp.where(apart, xp.sqrt(xp.where(apart, square, 1.0)), 0.0)
