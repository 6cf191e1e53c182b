"""Memory for the stand-in's arrays that shows what touches its surroundings.

Each array lies between two inaccessible pages and ends at the upper one (but for alignment to 16
bytes): reading or writing behind it is a fault.  What fits before it in its page is filled, and
looked at after each launch.  New memory holds 0xff: NaN in every floating dtype, -1 in integers.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections import defaultdict

import numpy as np

PAGE = 4096
ALIGNMENT = 16
SLACK = 0xFB  # What surrounds an array in its pages.
_POISON = 0xFF
_KEPT = 32  # Mappings of one size that are kept for the next array.
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_free: dict[int, list[int]] = defaultdict(list)


def _mapping(body: int) -> int:
    """The first byte of `body` bytes between inaccessible pages."""
    with contextlib.suppress(IndexError):
        return _free[body].pop()
    protection, private_anonymous = 3, 0x22
    for attempt in range(2):
        start = _libc.mmap(None, body + 2 * PAGE, protection, private_anonymous, -1, 0)
        if start not in (None, ctypes.c_void_p(-1).value):
            break
        if attempt:
            raise MemoryError(f"the rig cannot map {body} bytes: too many arrays?")
        gc.collect()  # A process has 65530 mappings; arrays take two each.
    _libc.mprotect(start, PAGE, 0)
    _libc.mprotect(start + PAGE + body, PAGE, 0)
    return start + PAGE


class Guarded:
    """Bytes between two inaccessible pages."""

    def __init__(self, nbytes: int):
        self.nbytes = nbytes
        self._body = body = max(PAGE, -(-nbytes // PAGE) * PAGE)
        self._first = first = _mapping(body)
        self.address = address = first + (body - nbytes) // ALIGNMENT * ALIGNMENT
        ctypes.memset(first, SLACK, body) if body == PAGE else self._fill_ends()
        ctypes.memset(address, _POISON, nbytes)

    def _fill_ends(self):
        for start, count in self._slack():
            ctypes.memset(start, SLACK, count)

    def _slack(self):
        end = self.address + self.nbytes
        return (self._first, self.address - self._first), (end, self._first + self._body - end)

    @property
    def __array_interface__(self):
        data = (self.address, False)
        return {"version": 3, "typestr": "|u1", "shape": (self.nbytes,), "data": data}

    def touched(self) -> str | None:
        """Where something was written outside of the bytes, in words."""
        for (start, count), where in zip(self._slack(), ("before", "behind"), strict=True):
            if ctypes.string_at(start, count).count(SLACK) != count:
                return where
        return None

    def __del__(self):
        kept = _free[self._body]
        if len(kept) < _KEPT:
            kept.append(self._first)
        else:
            _libc.munmap(self._first - PAGE, self._body + 2 * PAGE)


def empty(shape, dtype, strides=None) -> np.ndarray:
    """A new NumPy array in guarded memory; what it holds is 0xff."""
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if nbytes == 0:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, np.asarray(Guarded(nbytes)), 0, strides)


def owner(array: np.ndarray) -> Guarded | None:
    """The guarded bytes that an array lies in."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, Guarded) else None


def guarded(array: np.ndarray) -> np.ndarray:
    """The array itself if it lies in guarded memory, else a copy there with its layout."""
    if array.size == 0 or owner(array) is not None:
        return array
    strides = None if array.flags.c_contiguous else np.empty_like(array).strides
    new = empty(array.shape, array.dtype, strides)
    new[...] = array
    return new
