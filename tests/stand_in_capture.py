"""Stream capture of the stand-in for CuPy: work is noted instead of done, and done by the graph.

As on a GPU, results of captured work are undefined until a graph is launched; a graph knows
addresses only, reads what is there when it runs, and keeps no memory alive (running into freed
memory raises here).  What CuPy or CUDA refuse while a stream is capturing is refused.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import stand_in_arrays
from rig import launching
from rig.memory import Guarded
from stand_in_arrays import MEMORY, given, ndarray

SYNCHRONOUS = "the current stream is capturing, so synchronous API calls are disallowed"
WAITING = frozenset(
    "nonzero unique argwhere flatnonzero argsort sort bincount median isin".split()
)  # They look at values on the host, or end in libraries that wait for the stream.
CUBLAS = frozenset("matmul dot tensordot einsum inner outer".split())
UNSUPPORTED = "calling {} API during stream capture is currently unsupported"
_here = threading.local()


class Address:
    """Where an array is, as a graph knows it."""

    def __init__(self, host: np.ndarray):
        root = _root(host)
        self._root = weakref.ref(root)
        first = root.address if isinstance(root, Guarded) else root.ctypes.data
        self._layout = host.shape, host.dtype, host.ctypes.data - first, host.strides

    def array(self) -> np.ndarray:
        root, (shape, dtype, offset, strides) = self._root(), self._layout
        if 0 in shape:
            return np.empty(shape, dtype)
        if root is None:
            raise RuntimeError("cudaErrorIllegalAddress: a graph runs into memory that was freed")
        if isinstance(root, Guarded):
            memory = np.asarray(root)
        else:
            memory = (ctypes.c_ubyte * root.nbytes).from_address(root.ctypes.data)
        return np.ndarray(shape, dtype, memory, offset, strides)


def _root(host):
    """What owns an array's memory."""
    while isinstance(host, np.ndarray) and host.base is not None:
        host = host.base
    return host


def _map(function, x):
    """`x`, a structure of arguments, with something else for what `function` knows."""
    if isinstance(x, (list, tuple)):
        return type(x)(_map(function, part) for part in x)
    if isinstance(x, dict):
        return {key: _map(function, part) for key, part in x.items()}
    return function(x)


def _noted(x):
    return _map(lambda a: Address(given(a)) if type(a) is ndarray else given(a), x)


def _found(x):
    return _map(lambda a: a.array() if isinstance(a, Address) else a, x)


def _roots(x):
    roots = []
    _map(lambda a: roots.append(_root(a._host)) if type(a) is ndarray else None, x)
    return roots


def _flat(results):
    return list(results) if isinstance(results, (list, tuple)) else [results]


class Recorder:
    """The work of a stream that is capturing."""

    def __init__(self, stream):
        self.stream, self.thread = stream, threading.get_ident()
        self.nodes, self.broken = [], None

    def is_here(self) -> bool:
        """Whether work goes to that stream now."""
        return self.thread == threading.get_ident() and current_stream() is self.stream

    def synchronous(self, what: str) -> None:
        """Refuse what waits for the GPU; the capture is spoilt."""
        self.broken = what
        raise RuntimeError(SYNCHRONOUS)

    def compute(self, compute, function, args, options):
        """`compute(function, args, options)` for NumPy's arrays, when the graph runs."""
        self._check(function, args)
        if "out" in options:
            self.change(lambda a, o: compute(function, a, o), list(args), options)
            return options["out"]
        inputs = _roots([list(args), options])
        with np.errstate(all="ignore"):  # What is undefined may be anything.
            results = compute(function, _map(given, list(args)), _map(given, options))
        flat = _flat(results)
        new = [
            (i, Address(r._host))
            for i, r in enumerate(flat)
            if type(r) is ndarray and not any(_root(r._host) is root for root in inputs)
        ]
        if new:  # Else they are views.
            known, settings = _noted(list(args)), _noted(options)
            for _, target in new:
                _poison(target.array())

            def node():
                again = _flat(compute(function, _found(known), _found(settings)))
                for i, target in new:
                    target.array()[...] = again[i]._host

            self.nodes.append(node)
        return results

    def _check(self, function, args):
        name = getattr(function, "__name__", "")
        if name in WAITING or (name == "where" and len(args) == 1):
            self.synchronous(name)
        if name == "getitem" and any(a.dtype == bool for a in _arrays_in(args[1])):
            self.synchronous("an index of booleans")
        linear = (getattr(function, "__module__", None) or "").startswith("numpy.linalg")
        library = "cuBLAS" if name in CUBLAS else "cuSOLVER" if linear else None
        if library is not None:
            raise NotImplementedError(UNSUPPORTED.format(library))

    def change(self, function, *args) -> None:
        """`function(*args)`, which writes into its arguments, when the graph runs."""
        known = _noted(list(args))
        self.nodes.append(lambda: function(*_found(known)))

    def upload(self, host):
        """An array from the host: a number is the kernel's own, others go through a buffer."""
        new = stand_in_arrays.made(np.array(host))
        address, number = Address(new._host), np.array(host)
        if host.ndim:
            pinned["malloc"](host.nbytes)
            number = np.frombuffer(b"\xff" * host.nbytes, host.dtype).reshape(host.shape)
        _poison(address.array())
        self.nodes.append(lambda: np.copyto(address.array(), number))
        return new

    def launch(self, kernel, grid, block, args, shared_mem) -> None:
        """A launch of a kernel of the rig; arguments that are no arrays are those of now."""
        known = [_frozen(a) for a in args]

        def node():
            given_now = [
                SimpleNamespace(_host=a.array()) if isinstance(a, Address) else a for a in known
            ]
            kernel(grid, block, given_now, shared_mem=shared_mem)

        self.nodes.append(node)


def _frozen(a):
    if type(a) is ndarray:
        return Address(a._host)
    return np.array(a) if isinstance(a, np.ndarray) else a


def _arrays_in(key):
    found = []
    _map(lambda a: found.append(a) if type(a) is ndarray else None, key)
    return found


def _poison(host):
    if host.size:
        nowhere = np.frombuffer(b"\xff" * host.itemsize, host.dtype)[0]
        host[...] = nowhere


class Graph:
    """`cupy.cuda.Graph`."""

    def __init__(self, nodes):
        self._nodes = nodes

    def launch(self, stream=None):
        assert current_recorder() is None, "a graph within a graph"
        with np.errstate(all="ignore"):  # As a GPU does.
            for node in self._nodes:
                node()

    def upload(self, stream=None):
        pass


class CapturableStream:
    """The part of `cupy.cuda.Stream` that makes it current, and captures."""

    recorder = None

    def __enter__(self):
        _here.streams = [*getattr(_here, "streams", []), self]
        return self

    def __exit__(self, *error):
        _here.streams.pop()

    def begin_capture(self, mode=None):
        if self.recorder is not None or stand_in_arrays.RECORDERS:
            raise RuntimeError("cudaErrorIllegalState: the operation is not permitted")
        self.recorder = Recorder(self)
        stand_in_arrays.RECORDERS.append(self.recorder)
        launching.RECORDERS.append(self.recorder)

    def end_capture(self):
        if self.recorder is None:
            raise RuntimeError("cudaErrorIllegalState: the operation is not permitted")
        ended, self.recorder = self.recorder, None
        stand_in_arrays.RECORDERS.remove(ended)
        launching.RECORDERS.remove(ended)
        if ended.broken is not None:
            raise RuntimeError(
                "cudaErrorStreamCaptureInvalidated: operation failed due to a previous error "
                "during capture"
            )
        return Graph(ended.nodes)

    def is_capturing(self):
        return self.recorder is not None

    def check_not_capturing(self):
        """What waits for the stream asks this first."""
        if self.recorder is not None:
            self.recorder.broken = "synchronize"
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted")


def current_stream(default=None):
    """The stream that work goes to; `default` if none was entered."""
    streams = getattr(_here, "streams", None)
    return streams[-1] if streams else default


def current_recorder():
    return stand_in_arrays.recorder()


class MemoryPool:
    """`cupy.cuda.MemoryPool`: here, what was taken from it is never given to another array."""

    def __init__(self, allocator=None):
        self._taken = []

    def malloc(self, size):
        raise NotImplementedError("arrays of the stand-in take their memory themselves")

    def keep(self, host):
        self._taken.append(_root(host))


class using_allocator:
    """`cupy.cuda.using_allocator`, for the `malloc` of a pool."""

    def __init__(self, allocator=None):
        self._pool = None if allocator is None else allocator.__self__

    def __enter__(self):
        self._before, MEMORY["pool"] = MEMORY.get("pool"), self._pool

    def __exit__(self, *error):
        MEMORY["pool"] = self._before


pinned = {"malloc": lambda size: None}


def set_pinned_memory_allocator(allocator=None):
    pinned["malloc"] = allocator or DEFAULT_PINNED.malloc


DEFAULT_PINNED = SimpleNamespace(malloc=lambda size: None)
