"""Random numbers made where they are needed: the same as NumPy's, bit for bit."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import dtypes, random
from . import dropout
from .module import Module, blocks, c_type, empty

_source = Module("random", "--fmad=false")

THREADS = 256  # As in the source.
INSTANCES = [{"T": "float16"}, {"T": "bfloat16"}, {"T": "float32"}, {"T": "float64"}]


@random.made_on("cupy")
def uniform(stream, shape, dtype, minval, maxval):
    """`random.uniform`, for bounds that are Python numbers."""
    if not isinstance(minval, (int, float)) or not isinstance(maxval, (int, float)):
        return NotImplemented
    kind = dtypes.numpy_dtype(dtype)
    wide = np.dtype(np.float64 if dtype == "float64" else np.float32)
    width = wide.type(np.float64(maxval) - np.float64(minval))
    low, top = wide.type(minval), _below(minval, maxval, wide)
    return _launch(
        "random_uniform", stream, shape, kind, width, low, top, _below(minval, maxval, kind)
    )


def _below(minval, maxval, kind) -> float:
    """The largest number of this dtype below maxval, but at least minval."""
    low, high = np.asarray(minval, kind), np.asarray(maxval, kind)
    return float(np.maximum(np.nextafter(high, low), low))


@random.made_on("cupy")
def normal(stream, shape, dtype, mean, stddev, part):
    """`random.normal` and `truncated_normal`, for parameters that are Python numbers."""
    if not isinstance(mean, (int, float)) or not isinstance(stddev, (int, float)):
        return NotImplemented
    kind = dtypes.numpy_dtype(dtype)
    return _launch("random_normal", stream, shape, kind, part, stddev, mean)


@random.made_on("cupy")
def dropout_mask(stream, shape, dtype, rate):
    """`random.dropout_mask`."""
    return dropout.mask(math.prod(shape), rate, stream).reshape(shape)


def _launch(name, stream, shape, kind, *parameters):
    y = empty(shape, kind)
    numbers = 4 if c_type(kind) == "double" else 8  # Of one block of words.
    kernel, start = _source.kernel(name, T=kind), dropout.start_of(stream)
    kernel(blocks(y.size, THREADS * numbers), THREADS, y, y.size, *start, *parameters)
    return y
