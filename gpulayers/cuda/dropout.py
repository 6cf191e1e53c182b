"""Dropout on CuPy arrays: NumPy's masks, bit for bit, and made again for the gradient."""

from __future__ import annotations

import math

from ..arrays.capturing import DeviceStream
from ..arrays.philox import WORD
from ..ops.dropout import dropout, mask_sizes
from .module import Module, blocks, contiguous, empty, empty_like, is_float

_source = Module("dropout")

THREADS, ELEMENTS = 256, 16  # As in the source: of a block, for each thread.
INSTANCES = [{"T": "float16"}, {"T": "bfloat16"}, {"T": "float32"}, {"T": "float64"}]


@dropout.on("cupy")
def _(x, *, rate, noise_shape=None, seed, needs=None):
    sizes = tuple(mask_sizes(x, noise_shape))
    if not 0 < rate < 1 or not is_float(x):
        return NotImplemented
    folded = None
    if sizes != x.shape:
        folded = _folded(sizes, x.shape)
        if folded is None:
            return NotImplemented
    out = _apply(x, rate, folded, seed)
    return out if needs is None else (out, lambda g: (_apply(g, rate, folded, seed),))


def _apply(x, rate, folded, seed):
    x = contiguous(x)
    y, scale = empty_like(x), 1.0 / (1.0 - rate)
    if folded is None:
        kernel = _source.kernel("dropout", T=x.dtype)
        grid = blocks(x.size, THREADS * ELEMENTS)
        kernel(grid, THREADS, x, y, x.size, *start_of(seed), threshold(rate), scale)
        return y
    outer, middle, inner = folded
    kept = mask(outer * inner, rate, seed)
    kernel = _source.kernel("dropout_by_mask", T=x.dtype)
    vectors = blocks(x.size, 16 // x.itemsize)
    kernel(blocks(vectors, THREADS), THREADS, x, kept, y, x.size, middle, inner, scale)
    return y


def mask(count: int, rate: float, seed):
    """Whether each of `count` elements is kept, as `arrays.random.keep` says."""
    kept = empty((count,), bool)
    kernel = _source.kernel("dropout_mask", T="float32")
    grid, start = blocks(count, THREADS * ELEMENTS), start_of(seed)
    kernel(grid, THREADS, kept, count, *start, threshold(rate))
    return kept


def start_of(seed) -> tuple:
    """Where a stream starts, as kernels take it: two words on the GPU (or None), and two numbers.

    `seed` is a pair, or a DeviceStream in a captured step.
    """
    if type(seed) is DeviceStream:
        return seed.words, 0, seed.draws
    return None, seed[0] % WORD, seed[1] % WORD


def threshold(rate: float) -> int:
    return int(rate * 65536 + 0.5)


def _folded(sizes, shape) -> tuple[int, int, int] | None:
    """(outer, middle, inner) so that the mask (outer, 1, inner) is that of these sizes, if any."""
    shared = [i for i, (n, size) in enumerate(zip(sizes, shape)) if n != size]
    first, last = shared[0], shared[-1] + 1
    if any(n != 1 for n in sizes[first:last]):
        return None
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])
