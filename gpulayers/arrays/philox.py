"""Random bits: a pure function of (seed, counter), the same on every device.

The generator is Philox4x64-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
1, 2, 3", SC 2011), which NumPy computes in C and any GPU thread can compute by itself.

Words.  The stream of (seed, counter) is a sequence of 64-bit words w[0], w[1], ...  Words 4i to
4i + 3 are the four results of ten rounds of Philox4x64 with

    counter  (c0, c1, c2, c3) = (i + 1, 0, counter mod 2**64, 0)
    key      (k0, k1)         = (seed mod 2**64, 0)

where c0 starts at 1 because NumPy increments before it generates.  One round is

    (c0, c1, c2, c3) <- (high(M1 * c2) ^ c1 ^ k0,  low(M1 * c2),
                         high(M0 * c0) ^ c3 ^ k1,  low(M0 * c0))
    (k0, k1)         <- (k0 + W0, k1 + W1)         mod 2**64; not needed after the last round

    M0 = 0xD2E7470EE14C6C93   M1 = 0xCA5A826395121157
    W0 = 0x9E3779B97F4A7C15   W1 = 0xBB67AE8584CAA73B

with `high` and `low` the upper and lower 64 bits of a 128-bit product.  This is
`numpy.random.Philox(key=(seed, 0), counter=(0, 0, counter, 0)).random_raw`.

Parts.  A word holds two halves of 32 bits, or four quarters of 16, the lowest bits first:

    half[h]    = (w[h // 2] >> 32 * (h % 2)) & 0xFFFFFFFF
    quarter[q] = (w[q // 4] >> 16 * (q % 4)) & 0xFFFF

Numbers.  Element e (in C order) of a draw takes half[e], or word w[e] for float64:

    uniform in [0, 1)            (half >> 8) * 2**-24            (w >> 11) * 2**-53
    centred in (-1/2, 1/2)       (int32(half) + 1/2) * 2**-32    ((int64(w) >> 11) + 1/2) * 2**-53

All of these are exact.  float16 and bfloat16 numbers are float32 numbers, rounded.  `quantile`
makes centred numbers normal.  `keep` in `random` says how dropout takes quarters.
"""

from __future__ import annotations

import threading

import numpy as np

WORD = 2**64
_here = threading.local()
_EMPTY_BUFFER = np.zeros(4, np.uint64)
_HALVES, _QUARTERS = np.dtype("<u4"), np.dtype("<u2")  # The same on a big-endian machine.


def words(seed: int, counter: int, count: int, skipped: int = 0) -> np.ndarray:
    """`count` 64-bit words of the stream (seed, counter), after `skipped` groups of 4."""
    # Setting the state of a generator takes 1 us; making a new one takes 6.
    generator = getattr(_here, "generator", None)
    if generator is None:
        generator = _here.generator = np.random.Philox(0)
    generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": (skipped, 0, counter % WORD, 0), "key": (seed % WORD, 0)},
        "buffer": _EMPTY_BUFFER,
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return generator.random_raw(count)


def halves(seed: int, counter: int, count: int) -> np.ndarray:
    """The first `count` 32-bit halves of the stream."""
    return _parts(words(seed, counter, (count + 1) // 2), _HALVES, count)


def quarters(seed: int, counter: int, count: int, start: int = 0) -> np.ndarray:
    """`count` 16-bit quarters of the stream, from number `start` on."""
    skipped, start = divmod(start, 16)
    end = start + count
    return _parts(words(seed, counter, (end + 3) // 4, skipped), _QUARTERS, end)[start:]


def uniforms(seed: int, counter: int, count: int, dtype: str) -> np.ndarray:
    """`count` numbers in [0, 1): float64 for that dtype, else float32."""
    if dtype == "float64":
        bits, unit = words(seed, counter, count) >> np.uint64(11), 2.0**-53
    else:
        bits, unit = halves(seed, counter, count) >> np.uint32(8), 2.0**-24
    numbers = bits.astype(np.float64 if dtype == "float64" else np.float32)
    numbers *= unit
    return numbers


def centred(seed: int, counter: int, count: int, dtype: str) -> np.ndarray:
    """`count` float64 numbers in (-1/2, 1/2), symmetric, with the bits that `dtype` deserves."""
    if dtype == "float64":
        bits, unit = words(seed, counter, count).view(np.int64) >> 11, 2.0**-53
    else:
        bits, unit = halves(seed, counter, count).view(np.int32), 2.0**-32
    numbers = bits.astype(np.float64)
    numbers += 0.5
    numbers *= unit
    return numbers


def _parts(stream: np.ndarray, kind: np.dtype, count: int) -> np.ndarray:
    if kind.isnative:
        return stream.view(kind)[:count]
    return stream.astype("<u8").view(kind)[:count].astype(kind.newbyteorder("="))
