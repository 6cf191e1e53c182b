"""The affine map of CuPy arrays: bias and activation in the product's launch, or in one after it.

The gradient takes three passes: through activation and bias at once, then a product each for the
inputs and the kernel, which read transposes where they lie.
"""

from __future__ import annotations

from math import prod

from ..ops import dense as ops
from ..ops.dense import require_sizes
from .activation import activation_backward, bias_activation_backward
from .gemm import affine, matmul, sum_of_affine
from .module import contiguous, is_float

NAMES = {None: "LINEAR", "relu": "RELU", "sigmoid": "SIGMOID", "tanh": "TANH"}


@ops.dense.on("cupy")
def _(x, kernel, bias=None, *, activation=None, added=None, needs=None):
    """With an array `added` before the activation, in inference."""
    if not is_float(x, kernel, bias):
        return NotImplemented
    require_sizes(x, kernel)
    name = NAMES.get(activation) or activation.upper()  # Any that has no parameters, in inference.
    units = kernel.shape[1]
    rows = x.reshape(prod(x.shape[:-1]), x.shape[-1])
    if added is not None:
        y = sum_of_affine(rows, kernel, bias, name, added.reshape(rows.shape[0], units))
        return NotImplemented if y is None else y.reshape(added.shape)
    y, _ = affine(rows, kernel, bias, name)
    out = y.reshape(*x.shape[:-1], units)
    if needs is None:
        return out

    def pullback(g):
        wanted = bias is not None and needs[2]
        g, dbias = _through(contiguous(g).reshape(y.shape), y, bias, name, wanted)
        dx = matmul(g, kernel.T).reshape(x.shape) if needs[0] else None
        return dx, matmul(rows.T, g) if needs[1] else None, dbias

    return out, pullback


def _through(g, y, bias, name, wanted):
    """The gradients of the product and, if wanted, of the bias."""
    if name == "LINEAR":
        if not wanted:
            return g, None
        return g, bias_activation_backward(g, g, bias, needs=(False, True))[1]
    if wanted:
        return bias_activation_backward(g, y, bias, name)
    return activation_backward(g, y, name), None
