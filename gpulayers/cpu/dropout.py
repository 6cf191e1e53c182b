"""Dropout on NumPy arrays: the mask as bits, so that a dropped NaN is zero too."""

from __future__ import annotations

import numpy as np

from ..arrays import random
from ..ops.dropout import dropout, mask_sizes


@dropout.on("numpy")
def _(x, *, rate, noise_shape=None, seed, needs=None):
    sizes = mask_sizes(x, noise_shape)
    if not 0 < rate < 1 or x.dtype.char not in "fd" or x.ndim == 0:
        return NotImplemented
    out = _apply(x, rate, sizes, seed)
    return out if needs is None else (out, lambda g: (_apply(g, rate, sizes, seed),))


def _apply(x, rate, sizes, seed):
    # 1.8 ns an element at 2**20 of them (0.9 of it for the bits), against 5.8 with `where`; a
    # product with the mask is as fast, but would leave NaN where such elements are dropped.
    kept = random.keep(sizes, rate, *seed)
    integer = np.dtype(f"i{x.dtype.itemsize}")
    out = x * (1.0 / (1.0 - rate))
    all_ones = np.negative(kept.view(np.int8), dtype=integer)  # -1 where kept, else 0
    bits = out.view(integer)
    return np.bitwise_and(bits, all_ones, out=bits).view(x.dtype)
