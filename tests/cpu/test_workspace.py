"""What operations on NumPy arrays use: memory beyond arrays and results, and work for a batch."""

import math
import tracemalloc

import numpy as np
import pytest

from gpulayers import config
from gpulayers.ops.batch_normalization import normalized_in_batch
from gpulayers.ops.convolution import convolution
from gpulayers.ops.normalization import normalized_along, normalized_in_groups
from gpulayers.ops.pooling import average_pooling, max_pooling

MOST = 64 << 20  # Bytes.


def windows(size, stride):
    return {"windows": (size,) * 2, "strides": (stride,) * 2, "padding": ((1, 1),) * 2}


def convolved(window, stride=1, groups=1):
    half = window // 2
    options = {"strides": (stride,) * 2, "padding": ((half, half),) * 2, "dilations": (1, 1)}
    return convolution, options | {"groups": groups}


LAST = {"axes": (1,), "epsilon": 1e-3}
LARGE = {
    "max 3x3": (max_pooling, windows(3, 1), [(16, 112, 112, 64)]),
    "max 2x2": (max_pooling, windows(2, 2), [(64, 112, 112, 32)]),
    "mean 3x3": (average_pooling, windows(3, 1), [(16, 112, 112, 64)]),
    "one large image": (max_pooling, windows(3, 2), [(1, 1024, 1024, 16)]),
    "layer": (normalized_along, LAST, [(1 << 17, 128), (128,), (128,)]),
    "batch": (normalized_in_batch, {"axis": -1, "epsilon": 1e-3},
              [(32, 112, 112, 32), (32,), (32,)]),
    "batch, channels first": (normalized_in_batch,
                              {"axis": 1, "epsilon": 1e-3}, [(32, 32, 112, 112), (32,), (32,)]),
    "groups": (normalized_in_groups, {"axis": -1, "groups": 4, "epsilon": 1e-3},
               [(1, 1024, 1024, 16), (16,), (16,)]),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_memory_is_bounded(name):
    """Of a forward and a backward run; what is kept for the gradient counts up to a copy of x."""
    op, options, shapes = LARGE[name]
    arrays = [np.ones(shape, "f4") for shape in shapes]
    tracemalloc.start()
    try:
        y, pullback = op.version("numpy")(*arrays, needs=(True,) * len(arrays), **options)
        results = y if isinstance(y, tuple) else (y,)
        size = sum(one.nbytes for one in results)
        _, forward = tracemalloc.get_traced_memory()
        kept = tracemalloc.get_traced_memory()[0] - size
        tracemalloc.reset_peak()
        gradients = pullback(y)
        _, backward = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert forward - size < MOST
    kept = min(kept, arrays[0].nbytes)
    assert backward - size - kept - sum(g.nbytes for g in gradients if g is not None) < MOST


class Counted:
    """Functions of NumPy that count what they are asked for."""

    def __init__(self, monkeypatch):
        self.total = 0
        for name in ("matmul", "einsum", "copyto", "multiply", "add", "maximum", "equal", "greater",
                     "less", "subtract"):  # fmt: skip
            monkeypatch.setattr(np, name, self.counting(name, getattr(np, name)))

    def counting(self, name, function):
        def counted(*args, **options):
            out = function(*args, **options)
            if name == "matmul":
                self.total += out.size * args[0].shape[-1]
            elif name == "einsum":
                self.total += max(math.prod(a.shape) for a in args[1:])
            else:
                self.total += args[0].size if out is None else out.size
            return out

        return counted


SAMPLES = {
    "Winograd": (*convolved(3), (14, 14, 64), (3, 3, 64, 64)),
    "panels": (*convolved(3, 2), (14, 14, 64), (3, 3, 64, 64)),
    "lowering": (*convolved(5), (20, 20, 3), (5, 5, 3, 16)),
    "depthwise": (*convolved(3, 1, 16), (20, 20, 16), (3, 3, 1, 16)),
    "max": (max_pooling, windows(3, 2), (20, 20, 16)),
    "mean": (average_pooling, windows(2, 2), (20, 20, 16)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_work_is_linear_in_the_batch(name, monkeypatch):
    """Forward and backward, by NumPy's passes: each image costs as much as the one before."""
    monkeypatch.setitem(config._settings, "jit", False)
    op, options, sample, *kernel = SAMPLES[name]
    found = []
    for batch in (16, 32, 64, 128):
        arrays = [np.ones(shape, "f4") for shape in ((batch, *sample), *kernel)]
        with monkeypatch.context() as patch:
            counted = Counted(patch)
            y, pullback = op.version("numpy")(*arrays, needs=(True,) * len(arrays), **options)
            pullback(y)
        found.append(counted.total)
    more = np.diff(found) / [16, 32, 64]
    np.testing.assert_allclose(more, more[0], rtol=0.02)
    assert found[0] >= 16 * more[0] * 0.9
