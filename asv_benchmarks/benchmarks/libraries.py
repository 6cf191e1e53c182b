"""The array libraries that benchmarks run over, their parameter `library`; data, and memory.

CuPy is left out where it is not installed; where it is, but finds no GPU, its results are n/a.  In
CI, where QUICK_BENCHMARKS=1 is in the environment, networks and inputs are small.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from functools import cache
from importlib.util import find_spec

import numpy as np

from gpulayers import config

QUICK = bool(os.environ.get("QUICK_BENCHMARKS"))
LIBRARIES = ("numpy", "cupy") if find_spec("cupy") else ("numpy",)


@cache
def namespace(library: str):
    """The library's module; raises NotImplementedError, which asv takes for n/a, without a GPU."""
    if library == "numpy":
        return np
    from gpulayers.arrays import devices

    reason = devices.why_no_gpu()
    if reason:
        raise NotImplementedError(reason)
    import cupy

    return cupy


def choose(library: str) -> None:
    """Have new models live where that library's arrays do."""
    namespace(library)
    config.set_device("gpu" if library == "cupy" else "cpu")


def to_library(library: str, *arrays):
    """NumPy arrays as a list of that library's."""
    xp = namespace(library)
    return [xp.asarray(x) for x in arrays]


def finish(library: str) -> None:
    """Wait for the GPU, so that its work is measured and not only the calls."""
    if library == "cupy":
        namespace(library).cuda.get_current_stream().synchronize()


@cache
def normal(*shape: int) -> np.ndarray:
    """Random numbers, the same ones each time."""
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@cache
def integers(high: int, *shape: int) -> np.ndarray:
    """Random whole numbers below `high`, the same ones each time."""
    return np.random.default_rng(0).integers(0, high, size=shape).astype("int32")


@cache
def probabilities(*shape: int) -> np.ndarray:
    """Rows of positive numbers that add up to 1."""
    x = np.exp(normal(*shape))
    return x / x.sum(axis=-1, keepdims=True)


def peak(library: str, action) -> int:
    """The most bytes that an action holds on its way, beyond those before."""
    action()  # From here on, all that it replaces has been counted.
    gc.collect()
    if library == "cupy":
        pool = namespace(library).get_default_memory_pool()
        pool.free_all_blocks()
        before = pool.total_bytes()
        action()
        finish(library)
        return pool.total_bytes() - before  # The pool keeps what is given back to it.
    return held(action)[1]


def held(action) -> tuple[int, int]:
    """The bytes that Python and NumPy keep after an action, and the most that they hold in it."""
    tracemalloc.start()
    try:
        action()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        action()
        highest = tracemalloc.get_traced_memory()[1]
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before, highest - before
    finally:
        tracemalloc.stop()
