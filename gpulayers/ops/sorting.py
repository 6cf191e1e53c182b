"""Orders, ranks, searches, and the distinct elements of an array."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ..arrays import namespace, plain, primitive
from ..arrays.shapes import counted
from .calling import array_function, as_arrays, together

__all__ = [
    "argpartition",
    "argsort",
    "digitize",
    "in_top_k",
    "isin",
    "searchsorted",
    "sort",
    "top_k",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]


def _sortable(x, axis):
    """The namespace; the array, of numbers, flat for `axis` None; and the axis."""
    xp = namespace(x)
    if x.dtype == xp.bool:
        x = xp.astype(x, xp.uint8)
    if axis is None or x.ndim == 0:
        return xp, xp.reshape(x, (-1,)), 0
    return xp, x, axis


@array_function()
def sort(x, axis: int | None = -1):
    """The elements of an axis in rising order; of the flat array for None."""
    xp, numbers, axis = _sortable(x, axis)
    out = xp.sort(numbers, axis=axis)
    return out if numbers.dtype == x.dtype else xp.astype(out, x.dtype)


@array_function()
def argsort(x, axis: int | None = -1):
    """The indices (int32) that sort an axis; equal elements stay in their order."""
    xp, x, axis = _sortable(x, axis)
    return xp.astype(xp.argsort(x, axis=axis), xp.int32)


@array_function()
def argpartition(x, kth: int, axis: int | None = -1):
    """Indices (int32) that put element `kth` of an axis in its sorted place.

    Smaller elements stand before it, larger ones behind. Here all of them are sorted.
    """
    size = x.size if axis is None else x.shape[axis]
    if not -size <= kth < size:
        raise ValueError(f"argpartition: kth must be in {-size}..{size - 1}, got {kth}.")
    return argsort(x, axis)


class TopK(NamedTuple):
    """What `top_k` gives: the values and their indices."""

    values: object
    indices: object


@primitive
def places_of_largest(x, *, k):
    """The indices (int64) of the `k` largest elements of the last axis, the largest first."""
    return namespace(x).argsort(x, axis=-1, descending=True, stable=True)[..., :k]


@array_function()
def top_k(x, k: int, sorted: bool = True):
    """The `k` largest elements of the last axis and their indices (int32), the largest first.

    Equal elements stay in their order. `sorted` makes no difference here. Raises ValueError if the
    axis has fewer elements.
    """
    if not 0 <= k <= x.shape[-1]:
        raise ValueError(f"top_k: k must be in 0..{x.shape[-1]}, the last axis's size, got {k}.")
    xp, numbers, _ = _sortable(x, -1)
    order = places_of_largest(plain(numbers), k=k)
    return TopK(xp.take_along_axis(x, order, axis=-1), xp.astype(order, xp.int32))


@array_function("targets", "predictions")
def in_top_k(targets, predictions, k: int):
    """Whether the class of each target is among the `k` with the highest predictions.

    Args:
        targets: (N,) integers.
        predictions: (N, classes). Classes as high as the k-th are among them too.
    """
    xp = namespace(targets, predictions)
    own = xp.take_along_axis(predictions, xp.expand_dims(targets, axis=1), axis=1)
    above = xp.sum(xp.astype(predictions > own, xp.int32), axis=1)
    return xp.isfinite(own[:, 0]) & (above < k)


@array_function("sorted_sequence", "values")
def searchsorted(sorted_sequence, values, side: str = "left"):
    """The places (int32) in a sorted vector where `values` belong, before equals, or behind them.

    side: "left" or "right". Raises ValueError for another `side`, or unless the sequence is a
        vector.
    """
    if sorted_sequence.ndim != 1:
        raise ValueError(
            "searchsorted: the sequence must be a vector, got the shape "
            f"{tuple(sorted_sequence.shape)}. vectorized_map searches several."
        )
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}.")
    xp, (sequence, values) = together((sorted_sequence, values))
    return xp.astype(xp.searchsorted(sequence, values, side=side), xp.int32)


@array_function("x", "bins")
def digitize(x, bins):
    """For each element, how many of the rising `bins` are not above it (int32).

    Element x belongs to bin i if bins[i - 1] <= x < bins[i].
    """
    return searchsorted(bins, x, side="right")


@array_function("x1", "x2")
def isin(x1, x2, assume_unique: bool = False, invert: bool = False):
    """Whether each element of `x1` is one of `x2`'s (or with `invert`, is none of them).

    assume_unique: makes no difference here.
    """
    xp, (x1, x2) = together((x1, x2))
    found = xp.any(xp.expand_dims(x1, axis=-1) == xp.reshape(x2, (-1,)), axis=-1)
    return ~found if invert else found


# Distinct elements.  How many there are depends on values, so there is no gradient and no shape.


def _unique(name, meaning):
    @array_function(computes=False)
    def function(x):
        return getattr(namespace(x), name)(x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{meaning} of an array, as the array API standard has it."
    return function


unique_all = _unique("unique_all", "Distinct elements, their first indices, inverse and counts")
unique_counts = _unique("unique_counts", "Distinct elements and how often they occur")
unique_inverse = _unique("unique_inverse", "Distinct elements, and which of them each element is")
unique_values = _unique("unique_values", "Distinct elements")


def unique(
    x,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value=None,
):
    """The distinct elements of an array, or slices along an axis, in rising order.

    Args:
        sorted: they are in order in any case.
        return_index: give the index of the first of each as well.
        return_inverse: and for each element, which distinct one it is.
        return_counts: and how often each occurs.
        axis: of slices; None for the elements.
        size: cut the results to this size, or fill them: values with `fill_value` (0), indices
            with 1, counts with 0.

    Gives the values, or a tuple with what else was asked for.
    """
    (x,) = as_arrays([x])
    xp, x = namespace(x), plain(x)
    flat = xp.reshape(x, (-1,)) if axis is None else x
    whole, axis = axis is None, 0 if axis is None else counted(axis, x.ndim, "unique")
    rows = xp.moveaxis(flat, axis, 0)
    rows = xp.reshape(rows, (rows.shape[0], prod(rows.shape[1:])))
    order, first = _grouped(xp, rows)
    group = xp.cumulative_sum(xp.astype(first, xp.int64)) - 1  # Of each sorted row.
    starts = xp.nonzero(first)[0]
    index = xp.take(order, starts)
    count = rows.shape[0]
    ends = xp.concat([starts[1:], xp.full((min(count, 1),), count, dtype=starts.dtype)])
    inverse = xp.take(group, xp.argsort(order))
    found = {
        "index": _resized(xp, index, size, 1),
        "inverse": xp.reshape(inverse, x.shape) if whole else inverse,
        "counts": _resized(xp, ends - starts, size, 0),
    }
    values = xp.moveaxis(xp.take(flat, index, axis=axis), axis, 0)
    values = xp.moveaxis(_resized(xp, values, size, fill_value or 0), 0, axis)
    asked = {"index": return_index, "inverse": return_inverse, "counts": return_counts}
    more = [found[name] for name, wanted in asked.items() if wanted]
    return (values, *more) if more else values


def _grouped(xp, rows):
    """The order that sorts rows, and which of the sorted rows differ from the one before."""
    order = xp.arange(rows.shape[0])
    for k in reversed(range(rows.shape[1])):  # A stable sort by each column, the last one first.
        order = xp.take(order, xp.argsort(xp.take(rows[:, k], order), stable=True))
    ordered = xp.take(rows, order, axis=0)
    differs = xp.any(ordered[1:, :] != ordered[:-1, :], axis=1)
    return order, xp.concat([xp.ones((min(rows.shape[0], 1),), dtype=xp.bool), differs])


def _resized(xp, x, size, value):
    """`x` cut, or filled with `value`, to `size` along its first axis."""
    if size is None or x.shape[0] == size:
        return x
    if x.shape[0] > size:
        return x[:size, ...]
    fill = xp.full((size - x.shape[0], *x.shape[1:]), value, dtype=x.dtype)
    return xp.concat([x, fill])
