"""A function of CuPy arrays as a CUDA graph: everything it launches, launched again by one call.

A graph knows addresses, not arrays.  So whatever it reads and writes must stay where it is:

- its arguments are copied into arrays of its own before each run, its results out of them after;
- the Variables keep one array each, from which the graph reads and into which, as its last act, it
  writes what they became.  Assigned another one meanwhile, they get their array back, with its
  contents;
- all else that it makes on the way lives in a memory pool that nobody else takes from;
- random draws start from words that are set before each run: see `arrays/capturing.py`.

CuPy lets everything be captured that neither waits for the GPU nor belongs to cuBLAS, cuSOLVER,
cuSPARSE or cuRAND; what cannot be raises.
"""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_right

import numpy as np

from ..arrays.capturing import GENERATORS, WRITTEN, Capture, NotCapturable
from ..arrays.seeds import is_replaced
from .module import Module, blocks, contiguous, empty, empty_like

_source = Module("capture")

INSTANCES = [{}]
COPIES = 120  # In one launch; these three as in the source.
WORDS = 2 * GENERATORS
BYTES = 256 * 4 * 16  # Of a block.
_COPIES = np.dtype(
    [("from", "u8", COPIES), ("to", "u8", COPIES), ("bytes", "i8", COPIES)]
    + [("first", "i4", COPIES + 1)],
    align=True,
)


def copy_arrays(pairs: list[tuple]) -> None:
    """Copy arrays (from, to), each pair alike and C-contiguous: all of them by one launch."""
    pairs = [(a, b) for a, b in pairs if a.nbytes]
    for start in range(0, len(pairs), COPIES):
        part = pairs[start : start + COPIES]
        count, copies, first = len(part), np.zeros((), _COPIES), [0]
        for a, _ in part:
            first.append(first[-1] + blocks(a.nbytes, BYTES))
        copies["from"][:count] = [a.data.ptr for a, _ in part]
        copies["to"][:count] = [b.data.ptr for _, b in part]
        copies["bytes"][:count] = [a.nbytes for a, _ in part]
        copies["first"][: count + 1] = first
        _source.kernel("copy_arrays")(first[-1], 256, copies, count)


class Recording:
    """A function, captured.

    Args:
        function: of a list of arrays; gives a list of arrays.  It must have run before, with
            arrays like these: whatever it builds and compiles is there.
        like: arrays of the shapes and dtypes that it will be given.
        places: for each Variable by its id, the Variable and the array that it keeps; it has it
            now.  Variables that turn out to change are added.

    The function's work is not done yet; it is by `run`.  Raises what stood in the way, with all
    Variables as they were.
    """

    def __init__(self, function, like: list, places: dict[int, tuple]):
        import cupy

        self._pool = cupy.cuda.MemoryPool()
        stream = cupy.cuda.Stream(non_blocking=True)
        with cupy.cuda.using_allocator(self._pool.malloc), stream:
            self._inputs = [empty_like(x) for x in like]
            self._words = empty((WORDS,), np.uint64)
            self._capture = Capture(self._words)
            with _no_uploads(cupy), self._capture:
                self._graph = self._recorded(stream, function, places)
        self._places = list(places.values())
        self.runs = 0

    def _recorded(self, stream, function, places):
        graph, done = None, False
        stream.begin_capture()
        try:
            self._outputs = function(self._inputs)
            self._write_back(places)
            done = True
        finally:
            for variable, value in self._capture.changed.values():
                variable._value = value
            try:
                graph = stream.end_capture()
            except Exception:  # What spoils a capture is raised here again.
                if done:
                    raise
        return graph

    def _write_back(self, places) -> None:
        """As the graph's last work, put what the Variables became where it was read from."""
        changed = [(v, old) for v, old in self._capture.changed.values() if v._value is not old]
        for variable, old in changed:
            if places.setdefault(id(variable), (variable, old))[1] is not old:
                raise NotCapturable(f"{variable.path} was not where it belongs.")
            if variable._value.shape != old.shape or variable._value.dtype != old.dtype:
                raise NotCapturable(f"{variable.path} got another shape or dtype.")
        targets = sorted((old.data.ptr, old.nbytes) for _, old in changed)
        starts = [start for start, _ in targets]
        pairs = []
        for variable, old in changed:
            new = contiguous(variable._value)
            last = bisect_right(starts, new.data.ptr + new.nbytes - 1) - 1
            if last >= 0 and sum(targets[last]) > new.data.ptr:  # It would be written over.
                new = new.copy()
            pairs.append((new, old))
        copy_arrays(pairs)

    def holds(self) -> bool:
        """Whether the Variables still fit to where they are kept."""
        if any(map(is_replaced, self._capture.generators)):
            return False
        for variable, place in self._places:
            value = variable._value
            if value is not place and not alike(value, place):
                return False
        return True

    def run(self, arrays: list) -> list:
        """What the function would do now with these arrays; gives its results."""
        assigned = [(v, place) for v, place in self._places if v._value is not place]
        pairs = [(contiguous(v._value), place) for v, place in assigned]
        copy_arrays(pairs + [(contiguous(x), y) for x, y in zip(arrays, self._inputs, strict=True)])
        for variable, place in assigned:
            variable._value, variable.changes_in_place = place, True
        self._set_words()
        self._graph.launch()
        if assigned or self._capture.changed:
            WRITTEN[0] += 1
        for generator, draws in zip(self._capture.generators, self._capture.draws, strict=True):
            generator.advance(draws)
        self.runs += 1
        results = [empty_like(y) for y in self._outputs]
        copy_arrays([(contiguous(y), new) for y, new in zip(self._outputs, results, strict=True)])
        return results

    def _set_words(self) -> None:
        generators = self._capture.generators
        if generators:
            words = np.zeros((), np.dtype([("at", "i8", WORDS)]))
            words["at"][: 2 * len(generators)] = [n for g in generators for n in g.pair()]
            kernel = _source.kernel("set_words")
            kernel(1, 256, self._words, words, 2 * len(generators))


def alike(a, b) -> bool:
    """Whether two arrays are of one library, device, shape and dtype."""
    return type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype and a.device == b.device


@contextlib.contextmanager
def _no_uploads(cupy):
    """Within it, arrays cannot be copied from the host by this thread.

    CuPy would note a copy from a page-locked buffer, which holds something else at the next run.
    """
    here, usual = threading.get_ident(), cupy.get_default_pinned_memory_pool().malloc

    def allocate(size):
        if threading.get_ident() == here:
            raise NotCapturable("an array is copied from the CPU to the GPU.")
        return usual(size)

    cupy.cuda.set_pinned_memory_allocator(allocate)
    try:
        yield
    finally:
        cupy.cuda.set_pinned_memory_allocator(usual)
