"""The array libraries that benchmarks run over: their parameter `library`."""

from __future__ import annotations

from functools import cache

import numpy as np

LIBRARIES = ("numpy", "cupy")


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
