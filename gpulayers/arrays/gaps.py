"""What array libraries, even behind array_api_compat, lack of the standard, or do slowly."""

from __future__ import annotations

from functools import cache, wraps


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


MADE_ON_CUPY: dict[str, object] = {}  # By name, what takes the place of CuPy's own functions.
PRODUCTS = ("matmul", "tensordot", "vecdot")
OFFERED = ("sum", "mean", "max", "min", *PRODUCTS)  # Those that may be in it.


def made_on_cupy(name: str):
    """Register a kernel's launcher for CuPy's function of that name; it may give NotImplemented."""

    def register(function):
        MADE_ON_CUPY[name] = function
        return function

    return register


def _is_no_bound(xp, x, bound) -> bool:
    """Whether a whole number lies outside what the integers of `x` can be."""
    if type(bound) is not int or x.dtype.kind not in "iu":
        return False
    info = xp.iinfo(x.dtype)
    return not info.min <= bound <= info.max


def _cupy(xp):
    """Products that read views where they lie and take any float; and faster reductions.

    `clip` has no index of booleans, for which the host waits.
    """
    from .primitive import load_versions

    load_versions("cupy")  # They register what is ours.

    def first_ours(name):
        own = getattr(xp, name)

        @wraps(own)
        def call(*args, **options):
            made = MADE_ON_CUPY.get(name)
            out = NotImplemented if made is None else made(*args, **options)
            return own(*args, **options) if out is NotImplemented else out

        return call

    def clip(x, /, min=None, max=None):
        made = x
        for bound, extreme in ((min, xp.maximum), (max, xp.minimum)):
            if bound is not None and not _is_no_bound(xp, x, bound):
                made = extreme(made, bound)
        return xp.astype(made, x.dtype) if made is not x else xp.asarray(x, copy=True)

    functions = {name: first_ours(name) for name in OFFERED} | {"clip": clip}
    products = {name: functions[name] for name in PRODUCTS}
    return {**functions, "linalg": Filled(xp.linalg, products)}


GAPS = {
    "array_api_compat.cupy": _cupy,
    "array_api_compat.torch": _torch,
    "array_api_compat.dask.array": _dask,
}
