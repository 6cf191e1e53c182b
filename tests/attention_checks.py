"""What tests of attention's kernels share: arrays, masks, and the comparison with the reference."""

from __future__ import annotations

import numpy as np
from kernel_checks import check_version

from gpulayers.ops.attention import attention

# Sums of many products of 16-bit numbers that are rounded in between, compared with their size.
LIMITS = {"float32": 4e-6, "float16": 6e-3, "bfloat16": 5e-2, "float64": 1e-12}
SHORT = ("float16", "bfloat16")


def example(length, keys, heads=4, key_heads=2, size=24, value_size=20, batch=2, seed=0):
    draw = np.random.default_rng(seed).normal
    shapes = [(batch, length, heads, size)]
    shapes += [(batch, keys, key_heads, n) for n in (size, value_size)]
    return [draw(size=shape) for shape in shapes]


def some(*shape, seed=1):
    """A mask, with a row that sees nothing."""
    mask = np.random.default_rng(seed).random(shape) < 0.6
    mask[..., min(2, shape[-2] - 1), :] = False
    return mask


def numbers(*shape, seed=2):
    return np.random.default_rng(seed).normal(size=shape)


def check(cupy, arrays, *beside, dtype="float32", **options):
    return check_version(
        cupy, attention, *arrays, *beside, dtype=dtype, rtol=LIMITS[dtype], **options
    )
