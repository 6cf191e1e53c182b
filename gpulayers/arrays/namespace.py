"""Which namespace a layer computes with."""

from __future__ import annotations

from functools import cache

import numpy as np

from .gaps import filled

NEUTRAL = frozenset({int, float, bool, complex, type(None), str, slice, type(Ellipsis)})
RANK: dict[type, int] = {}  # Our own array types, filled where they are defined: higher decides.


def _reduction(ufunc):
    """NumPy's reduction by a ufunc, past the wrapper that looks for other array types."""
    reduce = ufunc.reduce

    def call(x, /, axis=None, *, dtype=None, keepdims=False):
        return reduce(x, axis, dtype, None, keepdims)

    return call


class NumpyNamespace:
    """NumPy with the few functions of the standard that it spells differently.

    Calls go straight to NumPy: array_api_compat's wrappers, which cost up to 1 us a call and
    0.1 s at import, stand in only where NumPy lacks an argument.  So do its own wrappers of
    reductions, which take twice as long as the reduction of a small array.
    """

    __name__ = "numpy"
    sum = staticmethod(_reduction(np.add))
    prod = staticmethod(_reduction(np.multiply))
    max = staticmethod(_reduction(np.maximum))
    min = staticmethod(_reduction(np.minimum))
    any = staticmethod(_reduction(np.logical_or))
    all = staticmethod(_reduction(np.logical_and))
    _COMPAT = frozenset({"sort", "argsort"})  # NumPy's have no `descending`.

    def __getattr__(self, name):
        if name in self._COMPAT:
            import array_api_compat.numpy as source
        else:
            source = np
        found = getattr(source, name)
        setattr(self, name, found)
        return found

    def __reduce__(self):
        return "NUMPY"  # Pickled by name.

    @staticmethod
    def clip(x, /, min=None, max=None):
        """NumPy's wants both bounds, or them by keyword."""
        return np.clip(x, min, max)

    @staticmethod
    def mean(x, /, axis=None, *, keepdims=False):
        """NumPy's, in a third of the time where a plain sum is as accurate."""
        if type(x) is not np.ndarray or x.dtype.char not in "fd" or x.size == 0:
            return np.mean(x, axis=axis, keepdims=keepdims)
        total = np.add.reduce(x, axis, None, None, keepdims)
        return total / (x.size // total.size)

    def __repr__(self):
        return "<namespace numpy>"


NUMPY = NumpyNamespace()
_NAMESPACES: dict[type, object] = {np.ndarray: NUMPY}


def plain_namespace(x):
    """The namespace of one array of some library, or None if `x` is not an array."""
    kind = type(x)
    xp = _NAMESPACES.get(kind)
    if xp is None:
        if isinstance(x, (np.ndarray, np.generic)):
            xp = NUMPY
        else:
            from array_api_compat import array_namespace, is_array_api_obj

            if not is_array_api_obj(x):
                return None
            xp = filled(array_namespace(x))
        _NAMESPACES[kind] = xp
    return xp


def namespace(*arrays):
    """The array API namespace of `arrays`: symbolic before abstract before recorded before plain.

    Python scalars and None may stand among them; Variables count as their values.  Unlike
    `array_api_compat.array_namespace`, it lets plain arrays stand beside recorded ones, and takes
    0.3 us.  Raises TypeError if there is no array, or if arrays of several libraries meet.
    """
    found, rank, first = None, -1, None
    for x in arrays:
        kind = type(x)
        own = RANK.get(kind)
        if own is not None:
            if own == 0:  # A Variable.
                x = x.value
                kind = type(x)
                own = RANK.get(kind)
        if own is None:
            if kind in NEUTRAL:
                continue
            xp = _NAMESPACES.get(kind) or plain_namespace(x)
            if xp is None:
                continue
            if first is None:
                first = xp
            elif first is not xp:
                if isinstance(x, np.generic):
                    continue
                if first is NUMPY and all(isinstance(a, np.generic) for a in arrays if a is not x):
                    first = xp
                else:
                    raise_mixed(first, xp)
            if rank < 0:
                found = first
        elif own > rank:
            found, rank = x.__array_namespace__(), own
    if found is None:
        kinds = ", ".join(type(a).__name__ for a in arrays)
        raise TypeError(f"expected at least one array among the arguments, got ({kinds}).")
    return found


@cache
def library(xp) -> str:
    """The name of the library behind a plain namespace: "numpy", "cupy", "torch", ..."""
    return xp.__name__.rpartition("array_api_compat.")[2].partition(".")[0]


def raise_mixed(one, other):
    """Refuse arrays of two libraries, and say what to do."""
    a, b = library(one), library(other)
    message = f"arrays of {a} and of {b} meet in one call. "
    if {a, b} == {"numpy", "cupy"}:
        message += (
            "Either move the data to where the model is (cupy.asarray(x) for the GPU, "
            'cupy.asnumpy(x) for the CPU), or move the model: model.to("gpu") or model.to("cpu").'
        )
    else:
        message += f"Convert one of them first, for example with {a}'s from_dlpack."
    raise TypeError(message)
