"""The affine map of NumPy arrays: bias and activation are applied to the product in place."""

from __future__ import annotations

import numpy as np

from ..ops import dense as ops
from ..ops.dense import require_sizes
from .activation import LARGEST, ONE, SIX, ZERO, relu_back, sigmoid_of
from .bounds import at_least, at_most
from .rows import channel_sums


@ops.dense.on("numpy")
def _(x, kernel, bias=None, *, activation=None, factor=None, needs=None):
    kind = x.dtype.char
    if kind not in LARGEST or kernel.dtype.char != kind or x.ndim < 2:
        return NotImplemented
    if x.shape[-1] != kernel.shape[0]:
        require_sizes(x, kernel)
    lead, rows = x.shape[:-1], x
    if x.ndim > 2:  # One product instead of a batch of small ones.
        rows = x.reshape(-1, x.shape[-1])
    y = rows.dot(kernel)
    if factor is not None:  # Of a plan of inference.
        y *= factor
    if bias is not None:
        y += bias
    if activation is not None:
        y = activate(y, activation)
    out = y if x.ndim == 2 else y.reshape(*lead, y.shape[1])
    if needs is None:
        return out
    shape, kept = y.shape, None if activation is None else y

    def pullback(g):
        g, sums = before(g.reshape(shape), kept, activation, bias is not None and needs[2])
        return (
            g.dot(kernel.T).reshape(x.shape) if needs[0] else None,
            rows.T.dot(g) if needs[1] else None,
            sums,
        )

    return out, pullback


def activate(y, name):
    """The activation `name` of y, which may be overwritten; or a function that does as much."""
    if callable(name):
        return name(y)
    if name == "relu":
        return at_least(y, ZERO, out=y)
    if name == "relu6":  # In inference only.
        return at_most(at_least(y, ZERO, out=y), SIX, out=y)
    return np.tanh(y, y) if name == "tanh" else sigmoid_of(y)


def finish(y, name) -> None:
    """The activation `name` of y in its place."""
    made = activate(y, name)
    if made is not y:
        y[...] = made


def before(g, y, activation, summed: bool):
    """The gradient before an activation, or None, whose result is `y`; and its sums for a bias.

    These are for each element of the last axis, None if they are not wanted.
    """
    if activation == "relu":
        return relu_back(g, y, summed=summed)
    if activation is not None:
        d = np.square(y) if activation == "tanh" else np.subtract(ONE, y)
        if activation == "tanh":
            np.subtract(ONE, d, d)
        else:
            d *= y
        d *= g
        g = d
    return g, channel_sums(g) if summed else None
