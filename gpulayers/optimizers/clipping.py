"""Gradients made shorter: each by itself, by value, or all together.

Norms are taken in float32 at least, and nothing here asks a device for a number.
"""

from __future__ import annotations

import numpy as np

from ..arrays import dtypes, namespace

ROW = 1 << 12  # Elements whose squares are added up one after the other: few, for rounding errors.


def clip_by_norm(gradient, limit: float):
    """`gradient`, scaled down to the norm `limit` if it is longer."""
    xp = namespace(gradient)
    norm = xp.sqrt(_square_sum(gradient))
    return gradient * _like(limit / xp.clip(norm, limit, None), gradient)


def clip_by_value(gradient, limit: float):
    """`gradient` with each element between -limit and limit."""
    return namespace(gradient).clip(gradient, -limit, limit)


def clip_by_global_norm(gradients: list, limit: float) -> list:
    """All gradients, scaled down by one factor so that their common norm is at most `limit`.

    If the norm is not finite the factor is NaN, so that the fault shows.
    Source: Pascanu et al. 2012, https://arxiv.org/abs/1211.5063
    """
    norm = global_norm(gradients)
    xp = namespace(norm)
    factor = limit / xp.clip(norm, limit, None)
    factor = xp.where(xp.isfinite(norm), factor, xp.full_like(norm, float("nan")))
    return [g * _like(factor, g) for g in gradients]


def global_norm(gradients: list):
    """The square root of the sum of all squares of all gradients."""
    total = sum(_square_sum(g) for g in gradients)
    return namespace(total).sqrt(total)


def _square_sum(x):
    if type(x) is np.ndarray and x.dtype.char in "fd":  # Without an array of squares.
        flat = x.reshape(-1)
        whole, rest = flat[: x.size - x.size % ROW].reshape(-1, ROW), flat[x.size - x.size % ROW :]
        return np.add.reduce(np.vecdot(whole, whole)) + np.dot(rest, rest)
    xp = namespace(x)
    if dtypes.name(x.dtype) in dtypes.SHORT_FLOATS:
        x = xp.astype(x, dtypes.of(xp, "float32"))
    return xp.sum(x * x)


def _like(factor, gradient):
    return namespace(gradient).astype(factor, gradient.dtype)
