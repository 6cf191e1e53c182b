"""Functions of CuPy arrays as what they ask of the GPU, asked again without the functions.

Between launches a function reckons: which kernel, what tiles, how many blocks, whether arguments
fit.  That takes Python longer than a GPU needs for a small launch.  All of it follows from the
shapes of the arguments and from where they are aligned; so it is done once for each of these: what
memory is taken, which kernels are launched, what cuBLAS multiplies.
"""

from __future__ import annotations

import threading
from functools import partial

import numpy as np

from .. import config
from . import cublas, gemm, hopper
from .module import RECORDERS, empty

MOST = 64  # Kinds of arguments that one function remembers.
ALIGNED = 16  # Bytes: what kernels ask of addresses.
_UNKNOWN, _SEEN, _REFUSED = object(), object(), object()


def remembered(function):
    """A function of CuPy arrays on one GPU that need not run for arguments like earlier ones.

    It is for functions of nothing but arrays (or None), which do all their work by kernels of this
    package and by cuBLAS, on the arguments and on arrays of `module.empty`, and which give arrays.
    What is seen to be otherwise for some arguments is left to the function.
    """
    known = {}

    def call(*arrays):
        kind = _kind(arrays)
        script = _REFUSED if kind is None else known.get(kind, _UNKNOWN)
        if type(script) is Script and not (script.multiplies and gemm.capturing()):
            return script.play(arrays)
        if script is _UNKNOWN and len(known) < MOST:
            known[kind] = _SEEN  # The next one finds all kernels compiled.
        if script is not _SEEN or gemm.capturing():
            return function(*arrays)
        with Recorder(arrays) as recorder:
            results = function(*arrays)
        known[kind] = recorder.script(results) or _REFUSED
        return results

    return call


def _kind(arrays):
    """All that a function may tell arguments by; None for those that it may have to copy."""
    kind, addresses = [config.float32_matmul_precision()], []
    for x in arrays:
        if x is None:
            kind.append(None)
            continue
        data = x.data
        address = data.ptr
        if not x.size or not x.flags.c_contiguous or address in addresses:
            return None
        addresses.append(address)
        kind += (x.shape, x.dtype, address % ALIGNED, data.device_id)
    return tuple(kind)


class Recorder:
    """What a function asks for in this thread, noted by those who do it.

    Arrays have places: first the arguments, then what `empty` gives.  They are known by their
    addresses, and kept, so that no other array gets one of these.
    """

    def __init__(self, arrays):
        self.thread, self._arrays, self._given = threading.get_ident(), list(arrays), len(arrays)
        self._places = {x.data.ptr: i for i, x in enumerate(arrays) if x is not None}
        self._array = next(type(x) for x in arrays if x is not None)
        self._moves, self._maps, self._all_is_known = [], {}, True

    def __enter__(self):
        RECORDERS.append(self)
        return self

    def __exit__(self, *error):
        RECORDERS.remove(self)

    def made(self, x) -> None:
        """Note an array that `empty` has made."""
        self._places[x.data.ptr] = len(self._arrays)
        self._arrays.append(x)

    def mapped(self, found, x, about) -> None:
        """Note a tensor map of an array."""
        place, part = self._place(x)
        self._maps[id(found)] = place, partial(_map, part=part, about=about)

    def launched(self, kernel, grid, block, given, shared) -> None:
        """Note a launch."""
        fixed, changing = list(given), []
        for at, argument in enumerate(given):
            if isinstance(argument, self._array):
                changing.append((at, *self._place(argument)))
            elif isinstance(argument, np.ndarray) and argument.dtype == hopper.STRUCT:
                if argument is not hopper.NO_MAP:
                    changing.append((at, *self._maps[id(argument)]))
        for at, *_ in changing:
            fixed[at] = None
        self._moves.append((_launch, kernel, grid, block, fixed, changing, shared))

    def refuse(self) -> None:
        """Note that there is work which cannot be noted."""
        self._all_is_known = False

    def multiplied(self, matrices, options) -> None:
        """Note a product by cuBLAS."""
        places = [self._place(m.array) for m in matrices]
        without = [m._replace(array=None) for m in matrices]  # Nothing is to be kept in memory.
        self._moves.append((_multiply, without, places, options))

    def _place(self, x):
        """The place of the array in which `x` lies, and what makes `x` of that: None if it begins
        there, too."""
        address = x.data.ptr
        if address in self._places:
            return self._places[address], None
        for place, one in enumerate(self._arrays):
            if one is not None and 0 < address - one.data.ptr < one.nbytes:
                about = {"offset": address - one.data.ptr, "shape": x.shape, "dtype": x.dtype}
                return place, partial(_part, **about)
        self._all_is_known = False
        return None, None

    def script(self, results) -> Script | None:
        """All that was noted; None if that is not all."""
        flat = results if type(results) is tuple else (results,)
        if not all(isinstance(y, self._array) and y.flags.c_contiguous for y in flat):
            return None
        places, parts = zip(*[self._place(y) for y in flat], strict=True)
        if not self._all_is_known or any(parts) or len({*places}) < len(places):
            return None
        for place, y in zip(places, flat, strict=True):
            before = self._arrays[place]
            if y.nbytes != before.nbytes or (place < self._given and y.shape != before.shape):
                return None
            self._arrays[place] = y  # With its shape.
        memory = [(x.shape, x.dtype) for x in self._arrays[self._given :]]
        return Script(memory, self._moves, places, type(results) is tuple)


class Script:
    """What a function does for arguments of one kind.

    multiplies: whether cuBLAS takes part, which nobody may ask within a capture.
    """

    __slots__ = ("_memory", "_moves", "_results", "_several", "multiplies")

    def __init__(self, memory, moves, results, several):
        self._memory, self._moves, self._results = memory, moves, results
        self._several = several
        self.multiplies = any(move is _multiply for move, *_ in moves)

    def play(self, arrays):
        """The results for these arguments."""
        values = [*arrays, *[empty(shape, dtype) for shape, dtype in self._memory]]
        for move, *about in self._moves:
            move(values, *about)
        results = tuple([values[place] for place in self._results])
        return results if self._several else results[0]


def _launch(values, kernel, grid, block, fixed, changing, shared):
    given = fixed.copy()
    for at, place, of in changing:
        given[at] = values[place] if of is None else of(values[place])
    kernel.launch(grid, block, tuple(given), shared)


def _multiply(values, matrices, places, options):
    there = []
    for m, (place, of) in zip(matrices, places, strict=True):
        there.append(m._replace(array=values[place] if of is None else of(values[place])))
    cublas.gemm(*there, **options)


def _part(x, offset, shape, dtype):
    """An array without gaps that begins so many bytes behind the beginning of `x`."""
    return type(x)(shape, dtype, x.data + offset)


def _map(x, part, about):
    return hopper.tensor_map(x if part is None else part(x), **about)
