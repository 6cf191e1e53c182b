"""Work for NumPy's functions shared among threads, each with single-threaded matrix products.

OpenBLAS threads one product at a time, and what stands between products (copies, transforms,
activations) runs on one core.  Where work falls into pieces with several steps each, threads of
Python's that take pieces in turn keep all cores busy, for NumPy lets go of the interpreter lock.
There are as many of them as OpenBLAS has threads when the work begins, so that its settings
(OPENBLAS_NUM_THREADS, threadpoolctl, the cores of the process) hold here too; with another BLAS
there are none, and it threads its products itself.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

ENOUGH = 2e7  # Operations below which threads cost more than they save: a quarter of a millisecond.

_lock = threading.Lock()
_held = [0, 1]  # How many works hold OpenBLAS to one thread, and how many it had before.


@cache
def openblas():
    """The functions (get, set) of NumPy's own OpenBLAS for its number of threads, or None."""
    here = Path(np.__file__).parent
    for folder in (here.parent / "numpy.libs", here / ".dylibs"):
        for path in folder.glob("*openblas*"):
            try:
                library = ctypes.CDLL(str(path), mode=getattr(os, "RTLD_NOLOAD", 0))
            except OSError:
                continue
            for form in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads"):
                try:
                    found = [getattr(library, form.format(name)) for name in ("get", "set")]
                except AttributeError:
                    continue
                found[0].restype, found[1].argtypes, found[1].restype = ctypes.c_int, [
                    ctypes.c_int
                ], None
                return tuple(found)
    return None


def available() -> int:
    """How many threads a work may have now."""
    found = openblas()
    return max(found[0](), 1) if found else 1


@cache
def _pool(size: int):
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(size, "gpulayers")


if hasattr(os, "register_at_fork"):  # A child has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)


@contextmanager
def one_blas_thread():
    """OpenBLAS works on one thread within this."""
    get, put = openblas()
    with _lock:
        if not _held[0]:
            _held[1] = get()
            put(1)
        _held[0] += 1
    try:
        yield
    finally:
        with _lock:
            _held[0] -= 1
            if not _held[0]:
                put(_held[1])


def share(work, items, operations: float, most: int | None = None) -> list:
    """The results of work(some items), once for each thread, together all of the items.

    Args:
        work: takes an iterable of items; called once by each thread.
        items: a sequence.
        operations: about how many additions and multiplications all of it is.
        most: the most threads that there may be.
    """
    if operations < ENOUGH or len(items) < 2:
        return [work(items)]
    threads = min(available(), len(items), most or len(items))
    if threads < 2:
        return [work(items)]
    waiting = deque(items)
    with one_blas_thread():
        pool = _pool(threads - 1)
        others = [pool.submit(work, _taken(waiting)) for _ in range(threads - 1)]
        try:
            found = [work(_taken(waiting))]
        finally:
            waiting.clear()  # Only after an error are there any.
            rest = [other.exception() for other in others]
        for error in rest:
            if error is not None:
                raise error
        return found + [other.result() for other in others]


def _taken(waiting: deque):
    """Items of a queue that several threads take from."""
    while True:
        try:
            yield waiting.popleft()
        except IndexError:
            return
