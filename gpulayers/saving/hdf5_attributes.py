"""Texts in the attributes of HDF5 files.

For texts of any length HDF5 takes as much memory as the file claims, before it looks whether there
is such a text; all elements of an attribute can mean the same long one; and a heap of texts that is
damaged can keep HDF5 busy for ever.  So these texts are read here, without HDF5:

    header        version 1: prefix of 16 bytes; version 2: "OHDR", prefix, messages, checksum
    message       kind, size, flags, then its data; one of them says where others follow
    attribute     sizes, name, datatype, dataspace, and for each element (length, heap, number)
    heap          "GCOL", version, size, then objects: number, references, size, data

(HDF5 File Format Specification Version 3.0, III.E and IV.A.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

MOST_TEXTS = 64_000  # In one attribute, ...
LARGEST_TEXTS = 64 << 20  # ... and bytes of them.
MOST_READ = 80 << 20  # Bytes, for one attribute.
_ATTRIBUTE, _CONTINUATION, _ATTRIBUTES_ELSEWHERE = 0x0C, 0x10, 0x15


def texts(holder, where: str, name: str, file: BinaryIO) -> list[str] | None:
    """The texts in an attribute; None if there is none of that name.

    Args:
        holder: the low-level id of an open group or dataset.
        where: its path, for messages.
        name: of the attribute.
        file: what `holder` is read from.

    Raises ValueError for what are no texts, or for more than anyone would write there.
    """
    try:
        return _texts(holder, where, name, file)
    except _TooMuch:
        raise ValueError(f"{where} lists more {name} than any model has.") from None


def _texts(holder, where, name, file):
    import h5py

    key = name.encode()
    if not h5py.h5a.exists(holder, key):
        return None
    attribute = h5py.h5a.open(holder, key)
    kind, count = attribute.get_type(), attribute.get_space().get_simple_extent_npoints()
    if not count:
        return []
    if not isinstance(kind, h5py.h5t.TypeStringID):
        raise ValueError(f"the attribute {name} of {where} holds no texts.")
    if count > MOST_TEXTS:
        raise _TooMuch
    if kind.is_variable_str():
        found = _in_heaps(holder, where, key, count, file)
    else:
        if count * kind.get_size() > LARGEST_TEXTS:
            raise _TooMuch
        found = np.atleast_1d(h5py.AttributeManager(_Holder(holder))[name]).ravel().tolist()
    return [text if isinstance(text, str) else text.decode() for text in found]


class _TooMuch(ValueError):
    """An attribute is larger than what anyone would write there."""


class _Holder:
    """What h5py's attributes ask for."""

    def __init__(self, holder):
        self.id = holder


def _in_heaps(holder, where: str, key: bytes, count: int, file: BinaryIO) -> list[bytes]:
    """The texts of any length in an attribute."""
    import h5py

    plan = h5py.h5i.get_file_id(holder).get_create_plist()
    stored = _Stored(file, plan.get_userblock(), plan.get_sizes())
    header = _Header(stored, h5py.h5o.get_info(holder).addr)
    values = [value for named, value in header.attributes() if named == key]
    address = stored.widths[0]
    record = 4 + address + 4
    if len(values) != 1 or len(values[0]) < count * record:
        raise ValueError(f"the attribute {key.decode()} of {where} is stored in an unusual way.")
    fields = [values[0][at : at + record] for at in range(0, count * record, record)]
    lengths, numbers = ([stored.number(f[cut]) for f in fields] for cut in (_FIRST, _LAST))
    if sum(lengths) > LARGEST_TEXTS:
        raise _TooMuch
    heaps, found = {}, []
    for field, length, number in zip(fields, lengths, numbers, strict=True):
        place = stored.number(field[4 : 4 + address])
        if length and place not in heaps:
            heaps[place] = dict(_objects(stored, place))
        text = heaps[place].get(number, b"") if length else b""
        if len(text) != length:
            raise ValueError(f"a text in the attribute {key.decode()} of {where} is not there.")
        found.append(text.partition(b"\0")[0])
    return found


_FIRST, _LAST = slice(4), slice(-4, None)


class _Stored:
    """The bytes of a file, of which no more than a limit are read.

    Args:
        file: a binary file open for reading.
        base: where HDF5 begins in it.
        widths: bytes of an address, and of a size.
    """

    def __init__(self, file: BinaryIO, base: int, widths: tuple[int, int]):
        self.widths, self._file, self._base, self._left = widths, file, base, MOST_READ

    def bytes(self, place: int, size: int) -> bytes:
        """So many bytes from a place on."""
        self.spend(max(size, 4096))  # So that there are not too many pieces, either.
        self._file.seek(self._base + place)
        return self._file.read(max(size, 0))

    def spend(self, size: int) -> None:
        """Count bytes, or what takes as long.  Raises ValueError if they are too many."""
        self._left -= size
        if self._left < 0:
            raise ValueError("its attributes are larger than any model needs.")

    def number(self, data: bytes) -> int:
        return int.from_bytes(data, "little")


def _objects(stored: _Stored, place: int) -> Iterator[tuple[int, bytes]]:
    """(number, content) of each object in a heap."""
    width = stored.widths[1]
    size = stored.number(stored.bytes(place, 8 + width)[8:])
    heap, at, before = stored.bytes(place, size), 8 + width, 8 + width
    while heap.startswith(b"GCOL") and at + before <= len(heap):
        number = stored.number(heap[at : at + 2])
        length = stored.number(heap[at + 8 : at + before])
        if not number:  # What is left is free.
            return
        stored.spend(256)
        yield number, heap[at + before : at + before + length]
        at += before + length + -length % 8


class _Header:
    """The header of an object, which begins at a place in a file."""

    def __init__(self, stored: _Stored, place: int):
        self._stored = stored
        start = stored.bytes(place, 34)
        self._is_new = start.startswith(b"OHDR")
        self._ordered = False
        if not self._is_new:
            self._chunks = [(place + 16, *struct.unpack_from("<I", start, 8))]
            return
        flags = start[5]
        self._ordered = bool(flags & 4)
        at, width = 6 + 16 * bool(flags & 32) + 4 * bool(flags & 16), 1 << (flags & 3)
        size = int.from_bytes(start[at : at + width], "little")
        self._chunks = [(place + at + width, size)]

    def attributes(self) -> Iterator[tuple[bytes, bytes]]:
        """(name, stored bytes) of each attribute in the header; none if others may be elsewhere."""
        messages = list(self._messages())
        for kind, _, data in messages:
            if kind == _ATTRIBUTES_ELSEWHERE:
                at = 2 + 2 * (data[1] & 1)
                if data[at : at + self._stored.widths[0]] != b"\xff" * self._stored.widths[0]:
                    return
        for kind, flags, data in messages:
            if kind == _ATTRIBUTE and not flags & 2:  # Else it is shared, and stands elsewhere.
                yield _attribute(data)

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        """(kind, flags, data) of each message."""
        form = ("<BHB2x" if self._ordered else "<BHB") if self._is_new else "<HHB3x"
        prefix = struct.calcsize(form)
        for place, size in self._chunks:  # It grows meanwhile.
            chunk, at = self._stored.bytes(place, size), 0
            while at + prefix <= len(chunk):
                kind, length, flags = struct.unpack_from(form, chunk, at)
                data = chunk[at + prefix : at + prefix + length]
                at += prefix + length
                if kind == _CONTINUATION:
                    self._follow(data)
                yield kind, flags, data

    def _follow(self, data):
        address, size = self._stored.widths
        place = int.from_bytes(data[:address], "little")
        length = int.from_bytes(data[address : address + size], "little")
        # Newer ones begin with "OCHK", and end with a checksum, as the first does.
        self._chunks.append((place + 4, length - 8) if self._is_new else (place, length))


def _attribute(data: bytes) -> tuple[bytes, bytes]:
    """The name of an attribute, and what is stored of it."""
    version, _, *sizes = struct.unpack_from("<BBHHH", data)
    start = 9 if version == 3 else 8
    name = data[start : start + sizes[0]].partition(b"\0")[0]
    if version == 1:
        sizes = [size + -size % 8 for size in sizes]
    return name, data[start + sum(sizes) :]
