"""Arrays in the memory of an HDF5 file in its oldest form, which h5py writes by default.

HDF5 itself needs some twenty milliseconds to find three hundred arrays; here they are found in a
few.  Whatever is not in the plainest form, or seems wrong, is left to HDF5, and to its errors.

    superblock   version 0; says where the header of the outermost group is
    header       of messages: of a group its tree and heap; of an array its shape, dtype and place
    tree         ("TREE") of lists ("SNOD") of entries: places of names and of headers
    heap         ("HEAP") of the names

(HDF5 File Format Specification Version 3.0, II to IV.)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import numpy as np

MOST_OBJECTS = 100_000  # Groups and datasets in a file.
LONGEST_PATH = 2000  # Letters.
MOST_CHUNKS = 100  # Of a header.
_SUPERBLOCK = b"\x89HDF\r\n\x1a\n\0"
_SPACE, _TYPE, _EXTERNAL, _LAYOUT, _FILTERS, _CONTINUED, _SYMBOLS = (
    0x01, 0x03, 0x07, 0x08, 0x0B, 0x10, 0x11,
)  # fmt: skip
_DTYPES = {  # By the beginning of the message: class, bit fields, size, offset and precision, ...
    bytes.fromhex(form): np.dtype(dtype)
    for form, dtype in {
        "11200f0002000000000010000a05000a0f000000": "<f2",
        "11201f000400000000002000170800177f000000": "<f4",
        "11203f000800000000004000340b0034ff030000": "<f8",
        "100800000400000000002000": "<i4",
        "100800000800000000004000": "<i8",
        "100000000100000000000800": "|u1",
        "100000000400000000002000": "<u4",
        "100000000800000000004000": "<u8",
    }.items()
}

Place = tuple[tuple[int, ...], np.dtype, int]  # The shape of an array, its dtype and first byte.


def places(data: np.ndarray) -> dict[str, dict[str, Place | None]] | None:
    """Where the arrays of a file are, by the paths of their groups and their names.

    None in the place of one that has another form, or of all if the file has.

    Args:
        data: all bytes of the file.
    """
    try:
        return _places(memoryview(data))
    except (_OtherForm, struct.error, ArithmeticError, LookupError, TypeError, ValueError):
        return None


class _OtherForm(Exception):
    """The file has to be left to HDF5."""


def _places(view) -> dict[str, dict[str, Place | None]]:
    widths_and_base = bytes(view[13:15]), struct.unpack_from("<Q", view, 24)
    if bytes(view[:9]) != _SUPERBLOCK or widths_and_base != (b"\x08\x08", (0,)):
        raise _OtherForm
    found, waiting, seen = {}, [("", *struct.unpack_from("<Q", view, 64))], set()
    count = 0
    while waiting:
        path, header = waiting.pop()
        messages = _messages(view, header)
        if _LAYOUT in messages:
            group, _, name = path.rpartition("/")
            found[group][name] = _array(view, messages)
            continue
        if header in seen or len(path) > LONGEST_PATH or not messages.get(_SYMBOLS):
            raise _OtherForm
        seen.add(header)
        tree, heap = struct.unpack_from("<QQ", messages[_SYMBOLS])
        names = _names(view, heap)
        for at, header in _entries(view, tree):
            name = names[at : names.index(b"\0", at)].decode(errors="surrogateescape")
            found.setdefault(path, {})[name] = None
            waiting.append((f"{path}/{name}" if path else name, header))
            count += 1
        if count > MOST_OBJECTS:
            raise _OtherForm
    return found


def _names(view, heap) -> bytes:
    mark, size, start = struct.unpack_from("<4s4xQ8xQ", view, heap)
    if mark != b"HEAP" or start + size > len(view):
        raise _OtherForm
    return bytes(view[start : start + size])


def _entries(view, tree) -> Iterator[tuple[int, int]]:
    """(place of the name, header) of all in a group."""
    waiting = [tree]
    for node in waiting:
        if len(waiting) > MOST_OBJECTS:
            raise _OtherForm
        mark, kind, level, count = struct.unpack_from("<4sBBH", view, node)
        if mark != b"TREE" or kind != 0:
            raise _OtherForm
        children = struct.unpack_from("<" + "8xQ" * count, view, node + 24)
        if level:
            waiting += children
            continue
        for leaf in children:
            mark, count = struct.unpack_from("<4s2xH", view, leaf)
            if mark != b"SNOD":
                raise _OtherForm
            entries = struct.iter_unpack("<QQI20x", view[leaf + 8 : leaf + 8 + 40 * count])
            for at, header, kind in entries:
                if kind > 1:  # A link to somewhere else.
                    raise _OtherForm
                yield at, header


def _messages(view, header) -> dict[int, memoryview | None]:
    """The messages in a header, one of each kind; None for one that is shared."""
    version, size = struct.unpack_from("<B7xI", view, header)
    if version != 1:
        raise _OtherForm
    messages, chunks = {}, [(header + 16, size)]
    for at, size in chunks:
        if len(chunks) > MOST_CHUNKS:
            raise _OtherForm
        end = at + size
        while at + 8 <= end:
            kind, length, flags = struct.unpack_from("<HHB", view, at)
            message = None if flags & 2 else view[at + 8 : at + 8 + length]
            messages[kind] = message
            if kind == _CONTINUED:
                chunks.append(struct.unpack("<QQ", message[:16]))
            at += 8 + length
    return messages


def _array(view, messages) -> Place | None:
    """Where an array is, None if it has another form."""
    space, form, layout = map(messages.get, (_SPACE, _TYPE, _LAYOUT))
    if not space or not form or not layout or messages.keys() & {_EXTERNAL, _FILTERS}:
        return None
    dtype = _DTYPES.get(bytes(form[:20])) or _DTYPES.get(bytes(form[:12]))
    if dtype is None or bytes(layout[:2]) != b"\3\1" or space[0] != 1 or space[1] > 32:
        return None
    shape = struct.unpack_from(f"<{space[1]}Q", space, 8)
    start, size = struct.unpack_from("<QQ", layout, 2)
    fits = size == math.prod(shape) * dtype.itemsize and start + size <= len(view)
    return (shape, dtype, start) if fits and start % dtype.alignment == 0 else None
