"""Groups and arrays of HDF5 files that come from strangers.

What lies outside the file, or claims to be larger than what is stored, is refused before memory is
taken, and nothing but numbers and texts is read.  h5py's low-level API is used: the other one takes
as long for a hundred small arrays as the reading of ten million numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from ..arrays import dtypes
from .hdf5_attributes import texts

LARGEST_RATIO = 100  # Of a compressed dataset to what is stored of it, ...
UNSUSPICIOUS = 64 << 20  # ... from this many bytes on.
_OWN_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})  # Others are loaded from shared libraries.


@contextmanager
def opened(file: BinaryIO) -> Iterator[Part]:
    """The outermost group of a binary file open for reading.  Raises OSError if it is no HDF5."""
    import h5py

    with h5py.File(file, "r") as stored:
        yield Part(h5py.h5g.open(stored.id, b"/"), "/", file)


class Part:
    """A group, of which only what lies in this very file is found.

    Args:
        found: its low-level id.
        where: its path, for messages.
        file: what it is read from.
    """

    def __init__(self, found, where: str, file: BinaryIO):
        self._id, self.where, self._file = found, where, file

    def part(self, path: str) -> Part | None:
        """The group at a path; None if there is none."""
        found, where = self._at(path)
        if found is None:
            return None
        _check_group(found, where)
        return Part(found, where, self._file)

    def array(self, path: str) -> np.ndarray:
        """The array at a path.  Raises ValueError if there is none."""
        found, where = self._at(path)
        return Array(found, where, self._file).value()

    def has_texts(self, name: str) -> bool:
        """Whether there is an attribute of that name."""
        import h5py

        return h5py.h5a.exists(self._id, name.encode())

    def texts(self, name: str) -> list[str] | None:
        """The texts in an attribute; None if there is none of that name."""
        return texts(self._id, self.where, name, self._file)

    def _at(self, path):
        """What is at a path, None if there is nothing; and its whole path."""
        import h5py

        found, where = self._id, self.where
        for name in path.split("/"):
            if name in ("", "."):
                continue
            _check_group(found, where)
            where, key = f"{where.rstrip('/')}/{name}", encoded(name)
            if not found.links.exists(key):
                return None, where
            check_link(found.links.get_info(key).type, where)
            found = h5py.h5o.open(found, key)
        return found, where


def encoded(path: str) -> bytes:
    """A path as HDF5 keeps it."""
    return path.encode(errors="surrogateescape")


def check_link(kind: int, where: str) -> None:
    """Refuse a link to somewhere else; it was not followed yet."""
    import h5py

    if kind != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{where} is a link to somewhere else: it is not followed.")


def _check_group(found, where):
    import h5py

    if not isinstance(found, h5py.h5g.GroupID):
        raise ValueError(f"{where} is no group.")


class Array:
    """An array in a file, not yet read.

    Args:
        found: the low-level id of what is there, None if it is nothing.
        where: its path, for messages.
        file: what it is read from.

    Raises ValueError for what could read other files, run code or fill the memory.
    """

    __slots__ = ("_found", "_kind", "_lies_open", "shape")

    def __init__(self, found, where: str, file: BinaryIO):
        import h5py

        if not isinstance(found, h5py.h5d.DatasetID):
            raise ValueError(f"{where} is no dataset.")
        kind = found.dtype
        is_bfloat16 = kind.kind == "V" and kind == np.dtype("V2")
        if is_bfloat16 and texts(found, where, "dtype", file) != ["bfloat16"]:
            raise ValueError(f"{where} holds two bytes for each element, and does not say what.")
        if kind.kind not in "biufc" and not is_bfloat16:
            raise ValueError(f"{where} holds no numbers, but {kind}.")
        plan = found.get_create_plist()
        layout = plan.get_layout()
        if plan.get_external_count() or layout == h5py.h5d.VIRTUAL:
            raise ValueError(f"{where} is stored in other files: they are not read.")
        filters = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())}
        if not filters <= _OWN_FILTERS:
            raise ValueError(f"{where} is compressed by filters that are no part of HDF5.")
        chunk = plan.get_chunk() if layout == h5py.h5d.CHUNKED else ()
        self._found, self._kind, self.shape = found, kind, found.shape
        self._lies_open = layout == h5py.h5d.CONTIGUOUS and kind.isnative
        self._check_size(where, filters, math.prod(chunk) * kind.itemsize)

    def _check_size(self, where, filters, chunk):
        import h5py

        size = max(math.prod(self.shape) * self._kind.itemsize, chunk)
        stored = self._found.get_storage_size()
        if size > min(stored, UNSUSPICIOUS):  # A file can say that more is stored than it has.
            stored = min(stored, h5py.h5i.get_file_id(self._found).get_filesize())
            if size > max(stored * (LARGEST_RATIO if filters else 1), UNSUSPICIOUS):
                raise ValueError(
                    f"{where} claims to have {size} bytes, but only {stored} are stored."
                )

    def value(self, data: np.ndarray | None = None) -> np.ndarray:
        """The array; with all bytes of the file at hand, where it lies in these."""
        import h5py

        start = self._found.get_offset() if data is not None and self._lies_open else None
        value = None if start is None else self._view(data, start)
        if value is None:
            value = np.asarray(h5py.Dataset(self._found)[()])
        return value.view(dtypes.numpy_dtype("bfloat16")) if value.dtype.kind == "V" else value

    def _view(self, data, start):
        """The array in the bytes of the file; None if these do not have it as it is needed."""
        kind = self._kind
        size = math.prod(self.shape) * kind.itemsize
        piece = data[start : start + size]
        if len(piece) != size or piece.ctypes.data % kind.alignment:
            return None
        return piece.view(kind).reshape(self.shape)
