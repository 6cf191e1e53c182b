"""Loops over NumPy arrays, compiled by Numba where it is installed (`gpulayers[numba]`).

Most of what `cpu/` does by several passes of NumPy's, one loop does with each element read once.
`cpu/` decides which of the two is used and shares rows among threads; here stand the loops alone,
under the same file names.  They are compiled when first needed, in half a second to three, and
kept on disk by Numba for the next process.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

import numpy as np

from .. import config

LEAST = 1 << 15  # Elements below which NumPy's passes are as fast, and Numba need not be loaded.
# Products may be fused with sums and sums be added in several parts; NaN and infinity stay.
LICENCE = {"contract", "reassoc", "nsz", "arcp"}

_compiling = threading.Lock()


@cache
def installed() -> bool:
    """Whether Numba is there."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


def takes(x, *others, least: int | None = None) -> bool:
    """Whether loops are to be used for an array: float32 or float64, of `least` elements or more.

    Other arrays, or None, must have the same dtype.
    """
    wanted = config.jit()
    if wanted is False or x.dtype.char not in "fd" or not x.dtype.isnative:
        return False
    if wanted is None and (x.size < (LEAST if least is None else least) or not installed()):
        return False
    return all(other is None or other.dtype == x.dtype for other in others)


class Kernel:
    """A function of contiguous arrays and numbers, compiled once for each dtype.

    Arguments are arrays, int, float (which get the dtype of the first array), bool, tuples of int,
    or None, for which it is compiled apart.  Those that it writes are named; others may be
    read-only.
    """

    def __init__(self, function, written: tuple[str, ...]):
        self.function, self.written = function, written
        self._made = {}

    def __call__(self, *args):
        return self.ready(*args)(*args)

    def ready(self, *args):
        """The compiled function for arguments like these."""
        key = tuple(  # Here rather than in a function: calls of small kernels wait for it.
            [
                (a.dtype.char, a.ndim)
                if (kind := type(a)) is np.ndarray
                else (len(a) if kind is tuple else kind)
                for a in args
            ]
        )
        return self._made.get(key) or self._compiled(key, args)

    def _compiled(self, key, args):
        with _compiling:
            if key not in self._made:
                # One for each: other threads may call what was made before.
                made = _dispatcher.__wrapped__(self.function)
                made.compile(self._signature(args))
                made.disable_compile()  # Other arguments are errors, not reasons to compile.
                self._made[key] = made
        return self._made[key]

    def _signature(self, args):
        from numba import from_dtype, types

        code = self.function.__code__
        dtype = next(a.dtype for a in args if type(a) is np.ndarray)
        plain = {bool: types.boolean, int: types.intp, float: from_dtype(dtype)}
        found = []
        for name, a in zip(code.co_varnames[: code.co_argcount], args, strict=True):
            if type(a) is np.ndarray:
                fixed = name not in self.written
                found.append(types.Array(from_dtype(a.dtype), a.ndim, "C", readonly=fixed))
            elif type(a) is tuple:
                found.append(types.UniTuple(types.intp, len(a)))
            else:
                found.append(types.none if a is None else plain[type(a)])
        return tuple(found)


def kernel(*written: str):
    """Make a function a `Kernel` that writes into arguments of these names."""
    return lambda function: Kernel(function, written)


class Part:
    """A function that kernels call, compiled as a part of them."""

    licence = frozenset(LICENCE)

    def __init__(self, function):
        self.function = function

    def made(self):
        """What Numba makes of it."""
        return _dispatcher(self.function, self.licence)


class Exact(Part):
    """One whose sums are made in the order in which they are written."""

    licence = Part.licence - {"reassoc"}


class Instruction(Part):
    """A function that writes what LLVM is to do (`numba.extending.intrinsic`)."""

    @cache  # noqa: B019 (there are a few of these objects, for good)
    def made(self):
        from numba.extending import intrinsic

        return intrinsic(prefer_literal=True)(self.function)


def part(function) -> Part:
    """Make a function one that kernels may call."""
    return Part(function)


def exact(function) -> Part:
    """The same for one whose sums must not be made in another order."""
    return Exact(function)


@cache
def _dispatcher(function, licence=Part.licence):
    """Numba's own object for a function and those that it calls."""
    from numba import njit

    names = function.__globals__
    for name in function.__code__.co_names:
        if isinstance(names.get(name), Part):
            names[name] = names[name].made()
    options = {"nogil": True, "fastmath": set(licence), "error_model": "numpy"}
    try:
        made = njit(function, cache=True, **options)
    except RuntimeError:  # There is no folder that it may write to.
        return njit(function, **options)
    # Numba keeps a function on disk until its own file changes.  Its parts may be in others.
    kept = made._cache._cache_file
    kept._source_stamp = kept._source_stamp, _sources()
    return made


@cache
def _sources() -> tuple:
    """What tells that a file with loops has changed."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files)
