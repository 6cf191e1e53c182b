"""The affine map of NumPy arrays: bias and activation are applied to the product in place."""

from __future__ import annotations

import numpy as np

from ..ops import dense as ops
from ..ops.dense import require_sizes
from .activation import LARGEST, ONE, SIX, ZERO, sigmoid_of
from .bounds import at_least, at_most


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
        g = g.reshape(shape)
        if activation is not None:
            g = through(g, kept, activation)
        return (
            g.dot(kernel.T).reshape(x.shape) if needs[0] else None,
            rows.T.dot(g) if needs[1] else None,
            np.add.reduce(g, 0) if bias is not None and needs[2] else None,
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


def through(g, y, name):
    """The gradient before the activation `name`, whose result is `y`."""
    if name == "relu":
        return g * (y > ZERO)
    d = np.square(y) if name == "tanh" else np.subtract(ONE, y)
    if name == "tanh":
        np.subtract(ONE, d, d)
    else:
        d *= y
    d *= g
    return d
