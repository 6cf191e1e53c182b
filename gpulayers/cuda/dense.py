"""The affine map of CuPy arrays: bias and activation in the product's launch, or in one after it.

The gradient takes three passes: through activation and bias at once, then a product each for the
inputs and the kernel, which read transposes where they lie.
"""

from __future__ import annotations

from math import prod

from ..ops import dense as ops
from ..ops.dense import require_sizes
from .activation import before, curve_of
from .gemm import affine, matmul, sum_of_affine
from .module import contiguous, is_float


@ops.dense.on("cupy")
def _(x, kernel, bias=None, *, activation=None, added=None, needs=None):
    """With any Curve as its `activation`; in inference with an array `added` before that."""
    if not is_float(x, kernel, bias):
        return NotImplemented
    require_sizes(x, kernel)
    after, units = curve_of(activation), kernel.shape[1]
    rows = x.reshape(prod(x.shape[:-1]), x.shape[-1])
    if added is not None:
        y = sum_of_affine(rows, kernel, bias, after, added.reshape(rows.shape[0], units))
        return NotImplemented if y is None else y.reshape(added.shape)
    y, z = affine(rows, kernel, bias, after, keep=needs is not None and after.needs_input)
    out = y.reshape(*x.shape[:-1], units)
    if needs is None:
        return out
    saved = y if z is None else z

    def pullback(g):
        g, dbias = before(contiguous(g).reshape(y.shape), saved, bias, after, needs)
        dx = matmul(g, kernel.T).reshape(x.shape) if needs[0] else None
        return dx, matmul(rows.T, g) if needs[1] else None, dbias

    return out, pullback
