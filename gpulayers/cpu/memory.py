"""Memory for large results, which serves again when nobody holds them any more.

The system gives new memory page by page, filled with zeros, at the first touch: for results of
some megabytes that takes as long as much of the work on them.  So memory that a result leaves
behind is kept for the next one of about its size.  A result may be kept, viewed and handed to
other threads like any array: its memory is free only when the last view of it is gone.

It is for plans of inference, which make the same results again and again.  In training it was no
faster, and took more memory, up to a tenth: pieces rarely fit what is asked for next.
"""

from __future__ import annotations

import threading
import weakref
from collections import defaultdict, deque
from math import prod

import numpy as np

LEAST = 1 << 18  # Bytes. NumPy and the C library keep smaller pieces themselves.
KEPT = 256 << 20  # Bytes that are kept while nobody uses them.
ALIGNED = 64  # Bytes: a cache line, and the widest vector.
STEPS = 64  # Sizes between two powers of two.
LARGER = 2  # Of these, how many a piece may be larger than what is asked for.


class _Here(threading.local):
    """What a thread is at."""

    serving = False


_here = _Here()
_free: defaultdict[int, deque] = defaultdict(deque)  # Pieces by their sizes.
_used: dict[int, tuple] = {}  # By the identity of the array that stands for all views.
_lock = threading.RLock()  # Arrays may go, and pieces come back, while it is held.
_kept = [0]  # Bytes in `_free`.
_live = [0, 0]  # Bytes in use: now, and at most until now.


def empty(shape, dtype) -> np.ndarray:
    """A fresh array of that shape with whatever is in it; like `np.empty`."""
    if not _here.serving:
        return np.empty(shape, dtype)
    dtype = np.dtype(dtype)
    count = prod(shape)
    if count * dtype.itemsize < LEAST or dtype.hasobject:
        return np.empty(shape, dtype)
    size = _rounded(count * dtype.itemsize)
    with _lock:
        piece = _taken(size)
        if piece is None:
            _make_room(size)
        _live[0] += size if piece is None else len(piece)
        _live[1] = max(_live)
    if piece is None:
        piece = _new(size)
    whole = np.frombuffer(piece, dtype, count)  # Views of it refer to this array.
    key = id(whole)
    _used[key] = weakref.ref(whole, lambda _: _give_back(key)), piece
    return whole.reshape(shape)


def empty_like(x) -> np.ndarray:
    """A fresh array of the shape and dtype of `x`, in the order of C."""
    return empty(x.shape, x.dtype)


def served(function):
    """A function of one argument, whose large results, on the way too, come from memory kept."""

    def run(x):
        before, _here.serving = _here.serving, True
        try:
            return function(x)
        finally:
            _here.serving = before

    return run


def _new(size):
    """A piece: no array, for arrays that are views of views refer to the innermost one alone."""
    memory = np.empty(size + ALIGNED, np.uint8)
    start = -memory.ctypes.data % ALIGNED
    return memoryview(memory[start : start + size])


def _rounded(size: int) -> int:
    """The next of `STEPS` sizes between powers of two."""
    step = (1 << (size - 1).bit_length()) // (2 * STEPS)
    return -(-size // step) * step


def _taken(size: int):
    """A piece that is free of that size or somewhat larger, or None."""
    for _ in range(1 + LARGER):
        if _free.get(size):
            _kept[0] -= size
            return _free[size].pop()
        size = _rounded(size + 1)
    return None


def _make_room(size: int) -> None:
    """Let go of what is kept where, with a new piece, there would be more than ever was in use."""
    most = max(_live[1], KEPT) - _live[0] - size
    for pieces in list(_free.values()):
        while pieces and _kept[0] > max(most, 0):
            _kept[0] -= len(pieces.popleft())


def _give_back(key: int) -> None:
    with _lock:
        _, piece = _used.pop(key)
        _live[0] -= len(piece)
        if _kept[0] + len(piece) <= KEPT:
            _kept[0] += len(piece)
            _free[len(piece)].append(piece)


def release() -> None:
    """Give what is kept back to the system."""
    with _lock:
        _free.clear()
        _kept[0], _live[1] = 0, _live[0]
