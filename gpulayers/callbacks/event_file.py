"""Event files, the format that TensorBoard reads, written without TensorFlow.

A file is a sequence of TFRecords: length (uint64), masked CRC-32C of it, data, masked CRC-32C of
the data. The data are `Event` messages of protocol buffers (tensorflow/core/util/event.proto,
tensorflow/core/framework/summary.proto), of which only the fields used here are written.
"""

from __future__ import annotations

import functools
import os
import socket
import struct
import time
import zlib

import numpy as np

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # Wire types.
_DT_STRING = 7


class EventFile:
    """A file of summaries for TensorBoard, in a folder of its own.

    Args:
        folder: made if it is missing.
    """

    def __init__(self, folder: str):
        os.makedirs(folder, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{now:.6f}.{socket.gethostname()}.{os.getpid()}.v2"
        self.path = os.path.join(folder, name)
        self._file = open(self.path, "wb")  # noqa: SIM115 - closed by `close`.
        self._write(_double(1, now) + _bytes(3, b"brain.Event:2"))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write one number."""
        self._summary(step, _bytes(1, tag) + _float(2, value))

    def histogram(self, tag: str, values: np.ndarray, step: int, buckets: int = 30) -> None:
        """Write how `values` are distributed over `buckets` intervals of equal width."""
        values = np.asarray(values, np.float64).ravel()
        values = values[np.isfinite(values)]
        if not values.size:
            return
        counts, edges = np.histogram(values, buckets)
        parts = (values.min(), values.max(), values.size, values.sum(), np.square(values).sum())
        message = b"".join(_double(number, part) for number, part in enumerate(parts, start=1))
        message += _bytes(6, edges[1:].astype("<f8").tobytes())
        message += _bytes(7, counts.astype("<f8").tobytes())
        self._summary(step, _bytes(1, tag) + _bytes(5, message))

    def image(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Write a picture: uint8 (height, width, channels) with 1, 3 or 4 channels."""
        height, width, channels = pixels.shape
        message = _int(1, height) + _int(2, width) + _int(3, channels) + _bytes(4, png(pixels))
        self._summary(step, _bytes(1, tag) + _bytes(4, message))

    def text(self, tag: str, text: str, step: int, plugin: str) -> None:
        """Write a string for one of TensorBoard's plugins."""
        tensor = _int(1, _DT_STRING) + _bytes(2, b"") + _bytes(8, text)
        metadata = _bytes(1, _bytes(1, plugin) + _bytes(2, b"1"))
        self._summary(step, _bytes(1, tag) + _bytes(8, tensor) + _bytes(9, metadata))

    def flush(self) -> None:
        """Let readers see what was written."""
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _summary(self, step, value):
        self._write(_double(1, time.time()) + _int(2, step) + _bytes(5, _bytes(1, value)))

    def _write(self, event):
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked_crc(length) + event + _masked_crc(event))


def _int(field, value):
    return _key(field, _VARINT) + _varint(int(value))


def _double(field, value):
    return _key(field, _DOUBLE) + struct.pack("<d", value)


def _float(field, value):
    return _key(field, _FLOAT) + struct.pack("<f", value)


def _bytes(field, value):
    value = value.encode() if isinstance(value, str) else value
    return _key(field, _BYTES) + _varint(len(value)) + value


def _key(field, wire_type):
    return _varint(field << 3 | wire_type)


def _varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@functools.cache
def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # CRC-32C, reflected.
        table.append(byte)
    return table


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of `data`."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked_crc(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def png(pixels: np.ndarray) -> bytes:
    """A picture, uint8 (height, width, channels) with 1, 3 or 4 channels, as a PNG file."""
    height, width, channels = pixels.shape
    color = {1: 0, 3: 2, 4: 6}[channels]

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = np.zeros((height, width * channels + 1), np.uint8)  # Each begins with its filter: none.
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(rows.tobytes())),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)
