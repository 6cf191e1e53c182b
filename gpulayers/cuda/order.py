"""The order that sorts keys: CuPy's, or for a few keys one that nothing waits for."""

from __future__ import annotations

import numpy as np

from .module import Module, blocks, contiguous, empty

_source = Module("order")

THREADS = 256  # As in the source.
FEW = 4096  # Keys. Expected to be where CuPy's sort, of several launches and a wait, is faster.
MOST = 1 << 16  # In a captured step, which cannot wait at all.
INSTANCES = [{"T": "int32"}, {"T": "int64"}]


def stable_order(keys):
    """The places (count,) at which whole numbers (count,) rise, equal ones as they come."""
    import cupy

    capturing = cupy.cuda.get_current_stream().is_capturing()
    if keys.size > (MOST if capturing else FEW):
        return cupy.argsort(keys, kind="stable")
    keys, order = contiguous(keys), empty((keys.size,), np.int64)
    kernel = _source.kernel("stable_order", T=keys.dtype)
    kernel(blocks(keys.size, THREADS), THREADS, keys, order, keys.size)
    return order
