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
from functools import cache
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

ENOUGH = 1e7  # Operations below which threads cost more than they save: a tenth of a millisecond.
PARTS = 16  # Into which the rows of compiled loops are divided: whoever is free takes the next.
SUMMED = 4096  # Rows that are added up at a time, so that rounding errors stay small.
KEPT = 64 << 20  # Bytes that all threads together keep for their next work.
NAMES = ("scipy_openblas_{}64_", "openblas_{}")

_lock = threading.Lock()
_held = [0, 1]  # How many works hold OpenBLAS to one thread, and how many it had before.
_own = threading.local()  # Of a thread: whether it is ours, its cores and its memory.


@cache
def _library():
    """NumPy's own OpenBLAS and how its functions are named, or None."""
    here = Path(np.__file__).parent
    for folder in (here.parent / "numpy.libs", here / ".dylibs"):
        for path in folder.glob("*openblas*"):
            try:
                library = ctypes.CDLL(str(path), mode=getattr(os, "RTLD_NOLOAD", 0))
            except OSError:
                continue
            for name in NAMES:
                if hasattr(library, name.format("set_num_threads")):
                    return library, name
    return None


@cache
def openblas():
    """The functions (get, set) of NumPy's own OpenBLAS for its number of threads, or None."""
    found = _library()
    if found is None:
        return None
    get, put = (getattr(found[0], found[1].format(f"{do}_num_threads")) for do in ("get", "set"))
    get.restype, put.argtypes, put.restype = ctypes.c_int, [ctypes.c_int], None
    return get, put


@cache
def core() -> str:
    """The kind of processor that OpenBLAS has chosen its functions for, "" if not known."""
    found = _library()
    name = found and getattr(found[0], found[1].format("get_corename"), None)
    if not name:
        return ""
    name.restype = ctypes.c_char_p
    return name().decode()


def available() -> int:
    """How many threads a work may have now."""
    return 1 if getattr(_own, "works", False) else _available_at_all()


def _available_at_all() -> int:
    found = openblas()
    if found is None:
        return 1
    return _held[1] if _held[0] else max(found[0](), 1)


class _Worker:
    """A thread that does what it is given, and its answer.

    It waits for a lock: a pool of `concurrent.futures` takes 40 microseconds longer to begin.
    """

    def __init__(self):
        self.free = threading.Lock()
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._work = self._found = self._error = None
        threading.Thread(target=self._run, name="gpulayers", daemon=True).start()

    def _run(self):
        _own.works = True
        while True:
            self._go.acquire()
            work, part, cores = self._work
            try:
                _stay_on(cores)
                self._found = work(part)
            except BaseException as error:  # It is raised where the answer is asked for.
                self._error = error
            self._work = work = part = None
            self._done.release()

    def begin(self, *work) -> None:
        """Do work(part) on some cores; `free` is held until the answer is taken."""
        self._work = work
        self._go.release()

    def cancel(self) -> bool:
        """Take the work back if the thread has not woken up; whether that was so."""
        if not self._go.acquire(blocking=False):
            return False
        self._work = None
        self.free.release()
        return True

    def end(self):
        """What has come of it: (result, error)."""
        self._done.acquire()
        found, self._found, self._error = (self._found, self._error), None, None
        self.free.release()
        return found


_workers: list[_Worker] = []


def _free_workers(number: int, more: bool) -> list[_Worker]:
    """So many threads that have nothing to do; without `more`, as many as there are."""
    with _lock:
        _workers.extend(_Worker() for _ in range(number - len(_workers)))
        found = []
        for worker in _workers:
            if len(found) < number and worker.free.acquire(blocking=False):
                found.append(worker)
        while more and len(found) < number:
            worker = _Worker()
            worker.free.acquire()
            _workers.append(worker)
            found.append(worker)
        return found


if hasattr(os, "register_at_fork"):  # A child has none of its parent's threads.
    os.register_at_fork(after_in_child=_workers.clear)


def scratch(name: str, size: int, dtype) -> np.ndarray:
    """Memory for `size` elements, with whatever is in it: the thread's own of that name.

    It is kept for the next time, for new memory costs more to get than much of the work on it
    (measured: 20 ms of page faults in a training step of 30 ms).
    """
    kept = _own.__dict__.setdefault("memory", {})
    need = size * dtype.itemsize
    found = kept.get(name)
    if found is None or found.size < need:
        kept.pop(name, None)
        found = np.empty(need, np.uint8)
        if need + sum(one.size for one in kept.values()) <= KEPT // _available_at_all():
            kept[name] = found
    return found[:need].view(dtype)


class _OneThread:
    """Within this, OpenBLAS works on one thread, whoever calls it.

    Its threads wait for more work in a loop, for some 25 ms after each product, and would take the
    cores from ours: so whole operations stand within this, not only what is shared.
    """

    def __enter__(self):
        found = openblas()
        if found is not None:
            with _lock:
                if not _held[0]:
                    _held[1] = max(found[0](), 1)
                    if _held[1] > 1:
                        found[1](1)
                _held[0] += 1

    def __exit__(self, *error):
        found = openblas()
        if found is not None:
            with _lock:
                _held[0] -= 1
                if not _held[0] and _held[1] > 1:
                    found[1](_held[1])


one_blas_thread = _OneThread()


class _Alone:
    """Within this, a thread does its work without others, as each of those that `share` uses."""

    def __enter__(self):
        self.before = getattr(_own, "works", False)
        _own.works = True

    def __exit__(self, *error):
        _own.works = self.before


def by_samples(run, parts: list, operations: float) -> list:
    """The results run(part) of parts of a batch, each part by one thread, alone."""

    def work(some):
        with _Alone():
            return [(i, run(parts[i])) for i in some]

    found = dict(chain(*share(work, range(len(parts)), operations)))
    return [found[i] for i in range(len(parts))]


def share(work, items, operations: float, most: int | None = None, sums: bool = False) -> list:
    """The results of work(some items), once for each thread, together all of the items.

    Args:
        work: takes an iterable of items; called once by each thread.
        items: a sequence.
        operations: about how many additions and multiplications all of it is.
        most: the most threads that there may be.
        sums: whether results depend on who does which items: each thread gets the same ones each
            time then, instead of the next one whenever it is free.
    """
    if operations < ENOUGH or len(items) < 2:
        return [work(items)]
    threads = min(available(), len(items), most or len(items))
    if threads < 2:
        return [work(items)]
    waiting, n = deque(items), len(items)
    parts = [Taken(waiting)] * threads
    if sums:
        parts = [items[n * i // threads : n * (i + 1) // threads] for i in range(threads)]

    with one_blas_thread:
        try:
            return _by_threads(work, parts, waiting, sums)
        except Exception:
            raise
        except BaseException:  # Ctrl-C: threads may be left that nobody gives back, or asks again.
            with _lock:
                _workers.clear()
            raise


def _by_threads(work, parts, waiting: deque, sums: bool) -> list:
    """The results work(part), of the first part by the calling thread."""
    others = _free_workers(len(parts) - 1, sums)
    for worker, part, cores in zip(others, parts[1:], _other_cores(len(parts) - 1)):
        worker.begin(work, part, cores)
    try:
        found = [work(parts[0])]
    finally:
        waiting.clear()  # Only after an error are there any.
        # A thread that has not woken up finds nothing left to do.  But sums may be in a
        # thread's own memory: then each has to do its part.
        if not sums:
            others = [worker for worker in others if not worker.cancel()]
        answers = [worker.end() for worker in others]
    for _, error in answers:
        if error is not None:
            raise error
    return found + [result for result, _ in answers]


def divided(kernel, count: int, operations: float, *args, sums=(), totals=None) -> list:
    """Call kernel(*args, *sums of the part, first, last) for parts of `count` rows, by threads.

    Args:
        kernel: one of `jit`.
        count: the number of rows.
        operations: see `share`.
        sums: shapes of arrays that each part gets for itself, zeros of the first argument's dtype;
            None for one that is not wanted, which the kernel gets as None.
        totals: the dtype in which these are added up; their own by default.

    Returns:
        The sums of all parts, added up in their order: the same for any number of threads.
    """
    if operations < ENOUGH and not sums:
        kernel(*args, 0, count)
        return []
    parts = max(PARTS if operations >= ENOUGH else 1, -(-count // SUMMED) if sums else 1)
    parts = max(min(parts, count), 1)
    if parts == 1:
        found = [None if shape is None else np.zeros(shape, args[0].dtype) for shape in sums]
        kernel(*args, *found, 0, count)
        return found if totals is None else [f if f is None else f.astype(totals) for f in found]
    bounds = [(count * i // parts, count * (i + 1) // parts) for i in range(parts)]
    dtype = args[0].dtype
    found = [None if shape is None else np.zeros((parts, *shape), dtype) for shape in sums]

    def own(i):
        return [None if total is None else total[i] for total in found]

    ready = kernel.ready(*args, *own(0), 0, 0)

    def work(some):
        for i in some:
            ready(*args, *own(i), *bounds[i])

    share(work, range(parts), operations)
    return [None if total is None else total.sum(0, dtype=totals) for total in found]


def sliced(kernel, operations: float, *arrays, numbers=()) -> None:
    """Call kernel(*slices, *numbers) for parts of flat arrays of one size, or None, by threads."""
    if operations < ENOUGH:
        kernel(*arrays, *numbers)
        return
    size = arrays[0].size
    ends = [size * i // PARTS for i in range(PARTS + 1)]
    ready = kernel.ready(*arrays, *numbers)

    def work(some):
        for part in some:
            ready(*(None if a is None else a[part] for a in arrays), *numbers)

    share(work, [slice(*pair) for pair in pairwise(ends)], operations)


class Taken:
    """Items of a queue that several threads take from."""

    def __init__(self, waiting: deque):
        self.waiting = waiting

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.waiting.popleft()
        except IndexError:
            raise StopIteration from None


# Linux may wake a thread on the core of the one that waits for it, and leave it there for as long
# as a convolution takes (measured: two products at once in 55 to 80 ms, and in 25 with this).


@cache
def _current_core():
    """The function that tells on which core a thread runs, or None."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)


def _other_cores(threads: int) -> list:
    """For each of so many threads, the cores that neither the caller nor the others use."""
    here = _current_core()
    if here is None:
        return [None] * threads
    cores = sorted(os.sched_getaffinity(0) - {here()})
    return [cores[i::threads] for i in range(threads)]


def _stay_on(cores) -> None:
    """Let the calling thread run only there."""
    if cores and getattr(_own, "cores", None) != cores:
        try:
            os.sched_setaffinity(0, cores)
        except OSError:  # Not allowed, or gone.
            return
        _own.cores = cores
