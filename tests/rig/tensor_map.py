"""`cuTensorMapEncodeTiled` of the rig: what its TMA reads, packed as `TensorMap` of runtime.h.

It takes what the driver's function takes, and refuses what that refuses.
"""

from __future__ import annotations

import ctypes
import struct

MAGIC = 0x70616D726F736E74
SIZES = {6: 2, 7: 4, 9: 2}  # Bytes of FLOAT16, FLOAT32, BFLOAT16.
SWIZZLES = (0, 32, 64, 128)
INVALID_VALUE = 1


def encode(
    out, kind, rank, address, sizes, strides, box, steps, interleave, swizzle, promotion, fill
) -> int:
    """Write a map to `out`; 0, or the code of an error."""
    kind, rank, swizzle = kind.value, rank.value, SWIZZLES[swizzle.value]
    element, lines = SIZES[kind], list(strides)[: rank - 1]
    wide = box[0] * element
    if (
        not 1 <= rank <= 5
        or out.value % 64
        or address.value % 16
        or any(not 0 < n <= 2**32 for n in sizes)
        or any(n % 16 or not 0 < n < 2**40 for n in lines)
        or any(not 0 < n <= 256 for n in box)
        or any(step != 1 for step in steps)
        or wide % 16
        or (swizzle and wide > swizzle)
        or interleave.value
        or fill.value
        or promotion.value not in range(4)
    ):
        return INVALID_VALUE
    packed = struct.pack(
        "<2Q5Q4Q5I3I", MAGIC, address.value, *_padded(sizes, 5), *_padded(lines, 4),
        *_padded(box, 5), rank, element, swizzle,
    )  # fmt: skip
    ctypes.memmove(out.value, packed, len(packed))
    return 0


def _padded(values, count: int) -> list[int]:
    return [*values, *(0,) * (count - len(values))]
