"""What kernels with wgmma and TMA need on the host: whether they run here, and their tensor maps.

A tensor map tells the GPU's copy engine how an array lies in memory, and which boxes of it will be
asked for.  The driver makes it; a kernel takes it by value, as a `gl::TensorMap` (see hopper.cuh).
"""

from __future__ import annotations

import ctypes
import os
from functools import cache, lru_cache

import numpy as np

from .module import c_type, capability, recorders

SM_90A = "-arch=sm_90a"  # An option for Module; beside CuPy's own -arch=sm_90 it wins ...
COMPILER = (12, 9)  # ... from this NVRTC on; older ones refuse two.
STRUCT = np.dtype("V128")  # A CUtensorMap.
NO_MAP = np.zeros(1, STRUCT)  # For a kernel that does not use the one it takes.
# Of cuda.h: CU_TENSOR_MAP_DATA_TYPE_..., and the swizzles by their bytes.
DATA_TYPES = {"half": 6, "float": 7, "bfloat16": 9}
SWIZZLES = {0: 0, 32: 1, 64: 2, 128: 3}
L2_PROMOTION_256B = 3
LARGEST_BOX = 256  # Elements along each axis.
ALIGNED = 64  # Bytes: where the driver writes maps.


def runs_here() -> bool:
    """Whether the GPU is of sm_90, and kernels for sm_90a can be compiled and given maps."""
    return capability() == 90 and compiles() and _encode() is not None


@cache
def compiles() -> bool:
    """Whether this NVRTC takes the architecture that we ask for beside CuPy's own."""
    import cupy

    return tuple(cupy.cuda.nvrtc.getVersion()) >= COMPILER


@cache
def _encode():
    """The driver's function that makes tensor maps; None if there is none."""
    try:
        return ctypes.CDLL("nvcuda" if os.name == "nt" else "libcuda.so.1").cuTensorMapEncodeTiled
    except (OSError, AttributeError):
        return None


def tensor_map(x, sizes, strides, box, *, swizzle: int = 128, offset: int = 0) -> np.ndarray:
    """A map of (a part of) an array, from which kernels copy boxes by `gl_tma_load`.

    Args:
        x: a CuPy array of float16, bfloat16 or float32.
        sizes, strides: of 2 to 5 axes, in elements; the last axis has no gaps.  Elements outside
            of them are read as zeros.
        box: how many elements along each axis are copied at once, at most 256.  With a swizzle
            its last axis has just so many bytes.
        swizzle: 128, 64 or 32 bytes, in which 16-byte pieces change places; 0 for none.
        offset: elements of x before the first of the map.

    Raises ValueError for what the hardware cannot address: see `addressable`.
    """
    size = x.dtype.itemsize
    if not addressable(x, strides, offset):
        raise ValueError(
            f"A tensor map needs an address and distances that are multiples of 16 bytes, with 1 "
            f"along the last axis: got strides {tuple(strides)} of {size} bytes, offset {offset}."
        )
    wide, most = box[-1] * size, swizzle or LARGEST_BOX * size
    if not (2 <= len(sizes) == len(strides) == len(box) <= 5):
        raise ValueError(f"A tensor map has 2 to 5 axes, got {sizes}, {strides}, {box}.")
    if wide % 16 or wide > most or (swizzle and wide != swizzle) or max(box) > LARGEST_BOX:
        raise ValueError(f"A box of {tuple(box)} cannot be copied with a swizzle of {swizzle}.")
    found = _made(
        x.data.ptr + offset * size, c_type(x.dtype), size, tuple(sizes), tuple(strides),
        tuple(box), swizzle,
    )  # fmt: skip
    for recorder in recorders():
        how = {"sizes": sizes, "strides": strides, "box": box}
        recorder.mapped(found, x, {**how, "swizzle": swizzle, "offset": offset})
    return found


def addressable(x, strides, offset: int = 0) -> bool:
    """Whether TMA can reach a part of an array: multiples of 16 bytes, but along the last axis."""
    size = x.dtype.itemsize
    return (
        c_type(x.dtype) in DATA_TYPES
        and (x.data.ptr + offset * size) % 16 == 0
        and strides[-1] == 1
        and all(stride > 0 and stride * size % 16 == 0 for stride in strides[:-1])
    )


@lru_cache(maxsize=4096)
def _made(address, kind, size, sizes, strides, box, swizzle) -> np.ndarray:
    rank, room = len(sizes), np.zeros(128 + ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED
    made = room[start : start + 128]
    words, halves = ctypes.c_uint64 * rank, ctypes.c_uint32 * rank
    code = _encode()(
        ctypes.c_void_p(made.ctypes.data), ctypes.c_int(DATA_TYPES[kind]), ctypes.c_uint32(rank),
        ctypes.c_void_p(address), words(*sizes[::-1]),
        words(*(stride * size for stride in strides[-2::-1])), halves(*box[::-1]),
        halves(*(1,) * rank), ctypes.c_int(0), ctypes.c_int(SWIZZLES[swizzle]),
        ctypes.c_int(L2_PROMOTION_256B), ctypes.c_int(0),
    )  # fmt: skip
    if code:
        raise RuntimeError(
            f"cuTensorMapEncodeTiled failed with {code}: {kind}, sizes {sizes}, strides {strides}, "
            f"box {box}, swizzle {swizzle}, address {address:#x}."
        )
    return made.view(STRUCT)
