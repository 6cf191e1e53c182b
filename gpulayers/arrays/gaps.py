"""What array libraries, even behind array_api_compat, lack of the standard."""

from __future__ import annotations

from functools import cache


class Filled:
    """A library's namespace with some functions of our own in the place of its."""

    def __init__(self, xp, functions: dict):
        self.__name__, self._plain, self._functions = xp.__name__, xp, functions

    def __getattr__(self, name):
        found = self._functions.get(name) or getattr(self._plain, name)
        setattr(self, name, found)
        return found

    def __repr__(self):
        return f"<namespace {self.__name__}>"


@cache
def filled(xp):
    """The namespace `xp`, or one without its gaps if we know of any."""
    make = GAPS.get(xp.__name__)
    return xp if make is None else Filled(xp, make(xp))


def _torch(xp):
    def take_along_axis(x, indices, /, *, axis=-1):
        """PyTorch's wants 64-bit indices."""
        return xp.take_along_axis(x, xp.astype(indices, xp.int64), axis=axis)

    return {"take_along_axis": take_along_axis}


def _dask(xp):
    def take_along_axis(x, indices, /, *, axis=-1):
        """Dask has none: each element is picked out of its row by a sum of nothing else."""
        rows = xp.expand_dims(xp.moveaxis(x, axis, -1), axis=-2)
        places = xp.expand_dims(xp.moveaxis(indices, axis, -1), axis=-1)
        size = x.shape[axis]
        places = xp.where(places < 0, places + size, places)
        chosen = places == xp.arange(size, dtype=indices.dtype)
        picked = xp.where(chosen, rows, xp.zeros_like(rows))
        return xp.moveaxis(xp.sum(picked, axis=-1, dtype=x.dtype), -1, axis)

    return {"take_along_axis": take_along_axis}


GAPS = {"array_api_compat.torch": _torch, "array_api_compat.dask.array": _dask}
