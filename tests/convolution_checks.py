"""What tests of convolution kernels share."""

from __future__ import annotations

import numpy as np
from kernel_checks import check_version

from gpulayers.ops import convolution as ops
from gpulayers.ops.dense import activated
from gpulayers.ops.sliding import margins

# Results are sums of products of numbers of size 1, scaled to size 1: a few roundings of the dtype.
ATOL = {"float64": 1e-12, "float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def check(
    cupy, x, kernel, strides=1, padding="same", dilations=1, groups=1, dtype="float32", bias=True,
    activation=None, order="C", atol=None,
):  # fmt: skip
    """Against the reference, with gradients: sums of a gradient have as many terms as places."""
    rank = len(kernel) - 2
    strides, dilations = (
        (one,) * rank if isinstance(one, int) else one for one in (strides, dilations)
    )
    if isinstance(padding, str):
        padding = margins(padding, x[1:-1], kernel[:-2], strides, dilations)
    terms = np.sqrt(np.prod(kernel[:-1]))
    op, options = ops.convolution, {}
    if callable(activation):
        op, options = activated, {"operation": op}
    check_version(
        cupy, op, numbers(*x), numbers(*kernel, seed=1) / terms,
        numbers(kernel[-1], seed=2) if bias else None, dtype=dtype, order=order,
        atol=atol or ATOL[dtype], rtol=atol or ATOL[dtype], strides=strides, padding=padding,
        dilations=dilations, groups=groups, activation=activation,
        **options,
    )  # fmt: skip
