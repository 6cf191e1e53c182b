"""Arrays as indices of recorded and abstract arrays, in terms of basic indices and `take`.

So shapes and gradients, also of gradients, come from the rules of these.
"""

from __future__ import annotations

from math import prod

import numpy as np

from . import devices, dtypes
from .convert import as_array, is_array
from .namespace import RANK, namespace
from .tape import plain
from .variable import Variable

ABSTRACT = "gpulayers.abstract"  # The name of the namespace that knows shapes only.
BASIC = frozenset({int, slice, type(None), type(Ellipsis)})


def with_arrays(basic):
    """The function x[key] for keys that hold arrays and lists too, from the one for basic keys."""

    def getitem(x, key):
        parts = key if type(key) is tuple else (key,)
        if BASIC.issuperset(map(type, parts)) or not any(map(_is_index_array, parts)):
            return basic(x, key)
        return pick(x, parts)

    return getitem


def _is_index_array(part) -> bool:
    """Whether a part of a key is a list or an array; numbers of NumPy's are as good as Python's."""
    if type(part) in BASIC or isinstance(part, np.generic):
        return False
    return isinstance(part, list) or (is_array(part) or type(part) is Variable)


def pick(x, key: tuple):
    """x[key], where integers, slices, Ellipsis and None may stand beside index arrays in `key`.

    As in NumPy, the axes that the index arrays have when broadcast stand where these stood, if they
    and integers are neighbours, and in front otherwise.  An array of booleans counts as the places
    where it is true.  Raises IndexError for indices out of range, where these are known on the CPU,
    for too many, and for arrays of floats; TypeError for booleans that are not known yet.
    """
    lengths: dict[int, int] = {}  # Of the axes that masks are for, by the places' identity.
    parts = [one for part in key for one in _by_axis(part, x, lengths)]
    apart = _are_apart(_taking(parts))  # By an Ellipsis, too, that stands for no axis.
    parts = _without_ellipsis(parts, x.ndim)
    places = _taking(parts)
    rest = tuple(part if _keeps_axis(part) else slice(None) for part in parts)
    if any(part != slice(None) for part in rest):
        x = x[rest]
    xp = namespace(x, *(part for part in parts if is_array(part)))
    first, count = places[0], len(places)
    if apart:
        x = xp.permute_dims(x, (*places, *(i for i in range(x.ndim) if i not in places)))
        first = 0
    sizes, last = x.shape[first : first + count], x.shape[first + count :]
    before = x.shape[:first]
    indices = [parts[i] for i in places]
    if xp.__name__ != ABSTRACT:  # There, sizes may stand for unknown ones.
        _check(indices, sizes, lengths)
    if count > 1:
        x = xp.reshape(x, (*before, prod(sizes), *last))
    at = _flat(indices, sizes)
    taken = xp.take(x, at if at.ndim == 1 else namespace(at).reshape(at, (-1,)), axis=first)
    return taken if at.ndim == 1 else xp.reshape(taken, (*before, *at.shape, *last))


def _keeps_axis(part) -> bool:
    return part is None or part is Ellipsis or isinstance(part, slice)


def _taking(parts) -> list[int]:
    """Where integers and arrays stand, of which each takes an axis away."""
    return [i for i, part in enumerate(parts) if not _keeps_axis(part)]


def _are_apart(places) -> bool:
    return places[-1] - places[0] >= len(places)


def _by_axis(part, x, lengths) -> list:
    """A part of a key as it is, or as one array of integers for each axis that it is about."""
    if not _is_index_array(part):
        return [part]
    base = plain(x)
    if isinstance(part, list):
        part = as_array(part)
        if 0 in part.shape:  # Of floats, as lists of nothing become.
            part = np.zeros(part.shape, np.int64)
    part = plain(part)
    if type(part) is np.ndarray and type(base) not in RANK:
        part = devices.put(part, devices.home_of(base))
    if dtypes.is_bool(part):
        if RANK.get(type(part), 0):
            raise TypeError(
                "x[mask]: the shape of the result depends on the values of the mask, which are not "
                "known while shapes are being inferred. Use ops.where, or a mask that is known."
            )
        found = list(namespace(part).nonzero(part))
        lengths.update(zip(map(id, found), part.shape, strict=True))
        return found
    if not dtypes.is_integer(part):
        raise IndexError(
            "x[indices]: an index array must be of integers or booleans, got the dtype "
            f"{dtypes.name(part.dtype)}."
        )
    return [part]


def _without_ellipsis(parts, rank) -> list:
    """The parts of a key with one of them for each axis."""
    used = sum(part is not None and part is not Ellipsis for part in parts)
    if used > rank:
        raise IndexError(f"x[...]: {used} indices for an array of {rank} axes.")
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    return [*parts[:at], *[slice(None)] * (rank - used), *parts[at + 1 :]]


def _check(indices, sizes, lengths):
    """Raise IndexError for masks of another length, and for indices out of range if on the CPU."""
    for part, size in zip(indices, sizes, strict=True):
        length = lengths.get(id(part), size)
        if length != size:
            raise IndexError(f"x[mask]: the mask has {length} elements along an axis of {size}.")
        if isinstance(part, np.ndarray | np.generic) or not is_array(part):
            wrong = np.asarray((part < -size) | (part >= size))
            if wrong.any():
                worst = int(np.asarray(part)[wrong].flat[0])
                raise IndexError(
                    f"x[indices]: the index {worst} is out of range for {size} elements."
                )


def _flat(indices, sizes):
    """Indices of neighbouring axes (arrays and integers) as those of the axis they make as one."""
    total = None
    for part, size in zip(indices, sizes, strict=True):
        if is_array(part):
            part = counted_from_front(namespace(part), part, size, wide=True)
        elif part < 0:
            part += size
        total = part if total is None else total * size + part
    return total


def counted_from_front(xp, indices, size, wide: bool = False):
    """Indices as integers that can hold `size`, negative ones counted from the end.

    wide: whether they must be able to hold any other size as well.
    """
    if dtypes.name(indices.dtype) not in (("int64",) if wide else ("int32", "int64")):
        indices = xp.astype(indices, xp.int64)
    return xp.where(indices < 0, indices + size, indices)
