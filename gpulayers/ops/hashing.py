"""Hashes of strings that are the same everywhere: FarmHash's fingerprint and SipHash, in 64 bits.

They hash many strings at once: those of one length are the rows of a matrix of bytes, whose columns
go through the hash together, as NumPy arrays of 64-bit numbers that wrap around.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

# The constants of FarmHash: https://github.com/google/farmhash.
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
CROSSED = 0xDECAFCAFFE  # What a hash of several values begins with.
MASK = (1 << 64) - 1


def as_bytes(values, encoding: str = "utf-8") -> list[bytes]:
    """What is hashed of each value: strings encoded, whole numbers in decimal digits.

    Args:
        values: a NumPy array of strings, bytes, numbers or mixed objects, of any shape; floats are
            cut to whole numbers first.
    """
    kind = values.dtype.kind
    if kind == "S":
        return values.ravel().tolist()
    if kind in "UT" or (kind == "O" and set(map(type, values.ravel().tolist())) == {str}):
        return [text.encode(encoding) for text in values.ravel().tolist()]
    if kind in "iuf":
        values = values.astype(np.int64) if kind == "f" else values
        return [b"%d" % number for number in values.ravel().tolist()]
    if kind == "b":
        raise TypeError("expected strings or whole numbers to hash, got booleans.")
    return [_bytes_of(value, encoding) for value in values.ravel().tolist()]


def _bytes_of(value, encoding):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(encoding)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return b"%d" % value
    raise TypeError(f"expected strings or whole numbers to hash, got {value!r}.")


def fingerprint64(texts: Sequence[bytes]) -> np.ndarray:
    """FarmHash's Fingerprint64 of each text: uint64."""
    return _by_length(texts, _farm)


def siphash64(texts: Sequence[bytes], key: Iterable[int]) -> np.ndarray:
    """SipHash-2-4 of each text, with a key of two 64-bit numbers: uint64.

    Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
    """
    first, second = (int(part) & MASK for part in key)
    return _by_length(texts, lambda rows: _sip(rows, first, second))


def crossed64(columns: Iterable[np.ndarray]) -> np.ndarray:
    """One hash of several uint64 numbers, taken from as many columns: uint64."""
    mixed = None
    factor = 0xC6A4A7935BD1E995
    for column in columns:
        if mixed is None:
            mixed = np.full(column.shape, CROSSED, np.uint64)
        mixed = mixed ^ factor
        mixed = (mixed ^ (_mix(column * factor) * factor)) * factor
        mixed = _mix(_mix(mixed) * factor)
    return mixed


def _by_length(texts: Sequence[bytes], hashed: Callable) -> np.ndarray:
    """`hashed` of the matrix of bytes of all texts of each length, in the order of the texts."""
    out = np.empty(len(texts), np.uint64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    order = np.argsort(lengths, kind="stable")
    ends = np.flatnonzero(np.diff(lengths[order], append=-1)) + 1
    start = 0
    for end in ends.tolist():
        chosen = order[start:end]
        joined = b"".join([texts[i] for i in chosen.tolist()])
        rows = np.frombuffer(joined, np.uint8).reshape(len(chosen), -1 if joined else 0)
        out[chosen] = hashed(rows)
        start = end
    return out


def _number(rows, start, size=8):
    """The little-endian numbers of `size` bytes from a column on."""
    part = np.ascontiguousarray(rows[:, start : start + size])
    return part.view(f"<u{size}")[:, 0].astype(np.uint64)


def _turned(x, by):
    """Bits rotated to the right."""
    return (x >> by) | (x << (64 - by))


def _mix(x):
    return x ^ (x >> 47)


def _pair(u, v, factor):
    a = _mix((u ^ v) * factor)
    return _mix((v ^ a) * factor) * factor


def _farm(rows):
    length = rows.shape[1]
    if length > 64:
        return _farm_long(rows)
    factor = (K2 + length * 2) & MASK
    if length > 32:
        return _farm_64(rows, factor)
    if length > 16:
        a, b = _number(rows, 0) * K1, _number(rows, 8)
        c, d = _number(rows, length - 8) * factor, _number(rows, length - 16) * K2
        u = _turned(a + b, 43) + _turned(c, 30) + d
        return _pair(u, a + _turned(b + K2, 18) + c, factor)
    if length >= 8:
        a, b = _number(rows, 0) + K2, _number(rows, length - 8)
        c = _turned(b, 37) * factor + a
        return _pair(c, (_turned(a, 25) + b) * factor, factor)
    if length >= 4:
        first, last = _number(rows, 0, 4), _number(rows, length - 4, 4)
        return _pair((first << 3) + length, last, factor)
    if length:
        letters = rows.astype(np.uint64)
        y = letters[:, 0] + (letters[:, length >> 1] << 8)
        z = (letters[:, length - 1] << 2) + length
        return _mix(y * K2 ^ z * K0) * K2
    return np.full(len(rows), K2, np.uint64)


def _farm_64(rows, factor):
    """Of 33 to 64 bytes."""
    length = rows.shape[1]
    a, b = _number(rows, 0) * K2, _number(rows, 8)
    c, d = _number(rows, length - 8) * factor, _number(rows, length - 16) * K2
    y = _turned(a + b, 43) + _turned(c, 30) + d
    z = _pair(y, a + _turned(b + K2, 18) + c, factor)
    e, f = _number(rows, 16) * factor, _number(rows, 24)
    g = (y + _number(rows, length - 32)) * factor
    h = (z + _number(rows, length - 24)) * factor
    u = _turned(e + f, 43) + _turned(g, 30) + h
    return _pair(u, e + _turned(f + a, 18) + g, factor)


def _weak(rows, start, a, b):
    w, x, y, z = (_number(rows, start + 8 * i) for i in range(4))
    a = a + w
    b = _turned(b + a + z, 21)
    c = a
    a = a + x + y
    return a + z, b + _turned(a, 44) + c


def _farm_long(rows):
    """Of more than 64 bytes: 64 at a time, and the last 64 once more."""
    length = rows.shape[1]
    seed = 81
    full = np.full(len(rows), 0, np.uint64)
    y = full + ((seed * K1 + 113) & MASK)
    z = _mix(y * K2 + 113) * K2
    x = (full + seed) * K2 + _number(rows, 0)
    v = w = (full, full)
    last = (length - 1) // 64 * 64
    for start in range(0, last, 64):
        x, y, z, v, w = _farm_block(rows, start, x, y, z, v, w, K1)
    factor = K1 + ((z & 0xFF) << 1)
    w = (w[0] + ((length - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _farm_block(rows, length - 64, x, y, z, v, w, factor, 9)
    u = _pair(v[0], w[0], factor) + _mix(y) * K0 + z
    return _pair(u, _pair(v[1], w[1], factor) + x, factor)


def _farm_block(rows, start, x, y, z, v, w, factor, weight=1):
    x = _turned(x + y + v[0] + _number(rows, start + 8), 37) * factor
    y = _turned(y + v[1] + _number(rows, start + 48), 42) * factor
    x = x ^ w[1] * weight
    y = y + v[0] * weight + _number(rows, start + 40)
    z = _turned(z + w[0], 33) * factor
    v = _weak(rows, start, v[1] * factor, x + w[0])
    w = _weak(rows, start + 32, z + w[1], y + _number(rows, start + 16))
    return z, y, x, v, w


def _sip(rows, first, second):
    count, length = rows.shape
    zero = np.zeros(count, np.uint64)
    v = [zero + (c ^ k) for c, k in zip(_SIP, (first, second, first, second), strict=True)]
    for block in _sip_blocks(rows, length):
        v[3] = v[3] ^ block
        v = _sip_round(*_sip_round(*v))
        v[0] = v[0] ^ block
    v[2] = v[2] ^ 0xFF
    for _ in range(4):
        v = _sip_round(*v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# "somepseudorandomlygeneratedbytes".
_SIP = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def _sip_blocks(rows, length):
    """The numbers of 8 bytes that a text is, the last with its length in the highest byte."""
    whole = length // 8 * 8
    for start in range(0, whole, 8):
        yield _number(rows, start)
    end = np.zeros((len(rows), 8), np.uint8)
    end[:, : length - whole] = rows[:, whole:]
    end[:, 7] = length & 0xFF
    yield _number(end, 0)


def _sip_round(v0, v1, v2, v3):
    v0 = v0 + v1
    v1 = _turned(v1, 51) ^ v0
    v2 = v2 + v3
    v3 = _turned(v3, 48) ^ v2
    v0 = _turned(v0, 32) + v3
    v3 = _turned(v3, 43) ^ v0
    v2 = v2 + v1
    v1 = _turned(v1, 47) ^ v2
    return [v0, v1, _turned(v2, 32), v3]
