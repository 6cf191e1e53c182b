"""The second half of a sum that many blocks began: their results, added in a fixed order."""

from __future__ import annotations

import numpy as np

from .module import Module, blocks, c_type, empty

_source = Module("partial_sums")

INSTANCES = [{"T": "bfloat16"}, {"T": "float32"}]


def accumulator(dtype) -> np.dtype:
    """The dtype in which kernels add numbers of this one: A in the sources."""
    return np.dtype(np.float64 if c_type(dtype) == "double" else np.float32)


def partial_sums(partial, dtype):
    """The sums (width,) over the rows of `partial` (rows, width), rounded to `dtype` once."""
    rows, width = partial.shape
    y = empty((width,), dtype)
    _source.kernel("partial_sums", T=dtype)(blocks(width, 32), 256, partial, y, rows, width)
    return y
