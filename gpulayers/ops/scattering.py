"""Values put where indices say: into zeros, into an array, into the segments they belong to."""

from __future__ import annotations

import math

from ..arrays import dtypes, namespace, plain, primitive
from ..arrays.index_arrays import counted_from_front
from ..arrays.primitive import is_symbolic
from ..arrays.scatter import scatter_add
from ..arrays.short_floats import in_float32
from ..arrays.symbolic import connect
from .calling import array_function, as_arrays

__all__ = [
    "scatter",
    "scatter_update",
    "segment_max",
    "segment_min",
    "segment_prod",
    "segment_sum",
]

REDUCTIONS = {None: "set", "add": "add", "max": "maximum", "min": "minimum", "mul": "multiply"}


@primitive
def combine(rows, places, new, *, how):
    """`rows` (R, W) with the rows `new` (N, W) combined into those at `places` (N,).

    how: "set" (the last of a place counts), "add", "maximum", "minimum" or "multiply".
    """
    xp = namespace(rows, places, new)
    count = rows.shape[0]
    if how == "add":
        return rows + scatter_add(new, places, axis=0, size=count)
    here = xp.expand_dims(xp.arange(count, dtype=places.dtype), axis=1) == places  # (R, N)
    if how == "set":
        order = xp.arange(1, new.shape[0] + 1, dtype=places.dtype)
        last = xp.max(xp.where(here, order, xp.zeros_like(order)), axis=1)
        chosen = xp.take(new, xp.maximum(last - 1, xp.zeros_like(last)), axis=0)
        return xp.where(xp.expand_dims(last > 0, axis=1), chosen, rows)
    here, candidates = xp.expand_dims(here, axis=2), xp.expand_dims(new, axis=0)
    if how == "multiply":
        factors = xp.where(here, candidates, xp.ones_like(candidates))
        return rows * xp.prod(factors, axis=1, dtype=rows.dtype)
    candidates = xp.where(here, candidates, xp.expand_dims(rows, axis=1))
    extreme = (xp.max if how == "maximum" else xp.min)(candidates, axis=1)
    return getattr(xp, how)(rows, extreme)


@combine.shape
def _(rows, places, new, *, how):
    return rows


@combine.vjp
def _(xp, out, rows, places, new, *, how):
    """Of "multiply", the factors at the same place are multiplied anew: right at zeros too."""

    def pullback(g):
        there = xp.take(g, places, axis=0)
        if how == "add":
            return g, None, there
        if how == "set":
            order = xp.expand_dims(xp.arange(1, new.shape[0] + 1, dtype=places.dtype), axis=1)
            none = xp.zeros((rows.shape[0], 1), dtype=places.dtype)
            last = combine(none, places, order, how="maximum")
            kept = xp.astype(xp.take(last, places, axis=0) == order, g.dtype)
            return g * xp.astype(last == 0, g.dtype), None, there * kept
        if how == "multiply":
            same = xp.expand_dims(places, axis=1) == places
            others = same & ~xp.astype(xp.eye(places.shape[0]), xp.bool)
            factors = xp.expand_dims(new, axis=0)
            factors = xp.where(xp.expand_dims(others, axis=2), factors, xp.ones_like(factors))
            total = combine(xp.ones_like(rows), places, new, how="multiply")
            rest = xp.prod(factors, axis=1) * xp.take(rows, places, axis=0)
            return g * total, None, there * rest
        old = xp.astype(rows == out, g.dtype)
        chosen = xp.astype(new == xp.take(out, places, axis=0), g.dtype)
        ties = combine(old, places, chosen, how="add")
        return g * old / ties, None, there * chosen / xp.take(ties, places, axis=0)

    return pullback


def _flat_places(xp, indices, shape):
    """Flat indices of the elements (or slices) that the last axis of `indices` names."""
    place = 0
    for k in range(indices.shape[-1]):
        part = counted_from_front(xp, indices[..., k], shape[k])
        place = place * shape[k] + part
    return xp.reshape(place, (-1,))


def scatter(indices, values, shape):
    """Zeros of `shape` with `values` added at `indices`.

    Args:
        indices: (..., K) integers: the first K indices of a place.
        values: (..., *shape[K:]), one element or slice for each place. Those of one place add up.
    """
    if is_symbolic(indices, values):
        return connect(scatter, indices, values, shape)
    indices, values = as_arrays([indices, values])
    shape = tuple(shape.tolist() if hasattr(shape, "tolist") else shape)
    xp, depth = namespace(indices, values), indices.shape[-1]
    places = _flat_places(xp, indices, shape)
    rows = xp.reshape(values, (places.shape[0], math.prod(shape[depth:])))
    out = scatter_add(rows, places, axis=0, size=math.prod(shape[:depth]))
    return xp.reshape(out, shape)


@array_function("inputs", "indices", "updates", computes=False)
def scatter_update(inputs, indices, updates, reduction: str | None = None):
    """`inputs` with `updates` at `indices`.

    Args:
        indices: (N, K) integers: the first K indices of a place.
        updates: (N, ...), one element or slice for each place.
        reduction: None to replace what is there (the last update of a place counts); "add", "max",
            "min", "mul" to combine with it.

    Raises ValueError for another reduction.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(
            "scatter_update: reduction must be None, 'add', 'max', 'min' or 'mul', "
            f"got {reduction!r}."
        )
    xp, shape, depth = namespace(inputs, indices, updates), inputs.shape, indices.shape[-1]
    places = _flat_places(xp, indices, shape)
    width = math.prod(shape[depth:])
    rows = xp.reshape(inputs, (math.prod(shape[:depth]), width))
    new = xp.reshape(xp.astype(updates, inputs.dtype), (places.shape[0], width))
    return xp.reshape(combine(rows, places, new, how=REDUCTIONS[reduction]), shape)


def _segments(name, how, start, meaning):
    """The function that combines the rows of each segment, beginning with `start`."""

    def function(data, segment_ids, num_segments=None, sorted=False):
        if is_symbolic(data, segment_ids):
            return connect(function, data, segment_ids, num_segments=num_segments, sorted=sorted)
        data, segment_ids = as_arrays([data, segment_ids])
        if num_segments is None:
            num_segments = int(plain(namespace(segment_ids).max(segment_ids))) + 1
        return in_float32(
            lambda data, ids: _segmented(data, ids, num_segments, how, start),
            (data, segment_ids),
            {},
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{meaning} of the slices of each segment.

    Args:
        data: (N, ...).
        segment_ids: (N,) integers, the segment of each slice. Slices of ids outside 0 ...
            num_segments - 1 are left out.
        num_segments: how many segments the result has; by default the largest id plus 1, for
            which the values of `segment_ids` are looked at.
        sorted: whether the ids are in order; it makes no difference here.
    """
    return function


def _segmented(data, ids, count, how, start):
    xp = namespace(data, ids)
    rows = xp.reshape(data, (data.shape[0], math.prod(data.shape[1:])))
    ids = xp.astype(ids, xp.int64)
    ids = xp.where((ids >= 0) & (ids < count), ids, count)  # One row more, for those left out.
    first = xp.full((count + 1, rows.shape[1]), start(rows.dtype), dtype=rows.dtype)
    out = combine(first, ids, rows, how=how)
    return xp.reshape(out[:count, ...], (count, *data.shape[1:]))


def _limit(sign):
    def start(dtype):
        if dtypes.is_integer(dtype):
            import numpy as np

            limits = np.iinfo(dtypes.name(dtype))
            return limits.max if sign > 0 else limits.min
        return sign * math.inf

    return start


segment_sum = _segments("segment_sum", "add", lambda dtype: 0, "The sum")
segment_prod = _segments("segment_prod", "multiply", lambda dtype: 1, "The product")
segment_max = _segments("segment_max", "maximum", _limit(-1), "The maximum (-inf of none)")
segment_min = _segments("segment_min", "minimum", _limit(1), "The minimum (inf of none)")
