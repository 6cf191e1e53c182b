"""Texts in the attributes of HDF5 files.

For texts of any length HDF5 takes as much memory as the file claims, before it looks whether there
is such a text; and all elements of an attribute can mean the same long one.  So what is claimed is
read here first, from the header of the object that has the attribute:

    header        version 1: prefix of 16 bytes; version 2: "OHDR", prefix, messages, checksum
    message       kind, size, flags, then its data; one of them says where others follow
    attribute     sizes, name, datatype, dataspace, and for each element (length, place of the text)

(HDF5 File Format Specification Version 3.0, IV.A.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

MOST_TEXTS = 64_000  # In one attribute, ...
LARGEST_TEXTS = 64 << 20  # ... and bytes of them.
LARGEST_HEADER = 16 << 20  # Bytes; that of a list of 64,000 texts has 1 << 20.
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
    size = count * kind.get_size()
    if count <= MOST_TEXTS and kind.is_variable_str():
        size = _claimed(holder, where, key, count, file)
    if count > MOST_TEXTS or size > LARGEST_TEXTS:
        raise ValueError(f"{where} lists more {name} than any model has.")
    found = h5py.AttributeManager(_Holder(holder))[name]
    found = np.atleast_1d(found).ravel().tolist()
    return [text if isinstance(text, str) else text.decode() for text in found]


class _Holder:
    """What h5py's attributes ask for."""

    def __init__(self, holder):
        self.id = holder


def _claimed(holder, where: str, key: bytes, count: int, file: BinaryIO) -> int:
    """How many bytes the texts of any length in an attribute claim to have."""
    import h5py

    plan = h5py.h5i.get_file_id(holder).get_create_plist()
    widths = plan.get_sizes()  # Of addresses, and of sizes.
    place = h5py.h5o.get_info(holder).addr
    header = _Header(file, plan.get_userblock(), place, widths)
    values = [value for named, value in header.attributes() if named == key]
    record = 4 + widths[0] + 4
    if len(values) != 1 or len(values[0]) < count * record:
        raise ValueError(f"the attribute {key.decode()} of {where} is stored in an unusual way.")
    lengths = np.frombuffer(values[0], np.uint8, count * record).reshape(count, record)[:, :4]
    return int(lengths.copy().view("<u4").sum(dtype=np.uint64))


class _Header:
    """The header of an object.

    Args:
        file: a binary file open for reading.
        base: where HDF5 begins in it.
        place: where the header begins, from there.
        widths: bytes of an address, and of a size.
    """

    def __init__(self, file: BinaryIO, base: int, place: int, widths: tuple[int, int]):
        self._file, self._base, self._widths, self._left = file, base, widths, LARGEST_HEADER
        start = self._bytes(place, 34)
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
                if data[at : at + self._widths[0]] != b"\xff" * self._widths[0]:
                    return
        for kind, flags, data in messages:
            if kind == _ATTRIBUTE and not flags & 2:  # Else it is shared, and stands elsewhere.
                yield _attribute(data)

    def _messages(self) -> Iterator[tuple[int, int, bytes]]:
        """(kind, flags, data) of each message."""
        form = ("<BHB2x" if self._ordered else "<BHB") if self._is_new else "<HHB3x"
        prefix = struct.calcsize(form)
        for place, size in self._chunks:  # It grows meanwhile.
            chunk, at = self._bytes(place, size), 0
            while at + prefix <= len(chunk):
                kind, length, flags = struct.unpack_from(form, chunk, at)
                data = chunk[at + prefix : at + prefix + length]
                at += prefix + length
                if kind == _CONTINUATION:
                    self._follow(data)
                yield kind, flags, data

    def _follow(self, data):
        address, size = self._widths
        place = int.from_bytes(data[:address], "little")
        length = int.from_bytes(data[address : address + size], "little")
        # Newer ones begin with "OCHK", and end with a checksum, as the first does.
        self._chunks.append((place + 4, length - 8) if self._is_new else (place, length))

    def _bytes(self, place, size) -> bytes:
        self._left -= max(size, 4096)  # So that they are not too many, either.
        if self._left < 0:
            raise ValueError("it has a header that is larger than any model needs.")
        self._file.seek(self._base + place)
        return self._file.read(max(size, 0))


def _attribute(data: bytes) -> tuple[bytes, bytes]:
    """The name of an attribute, and what is stored of it."""
    version, _, *sizes = struct.unpack_from("<BBHHH", data)
    start = 9 if version == 3 else 8
    name = data[start : start + sizes[0]].partition(b"\0")[0]
    if version == 1:
        sizes = [size + -size % 8 for size in sizes]
    return name, data[start + sum(sizes) :]
