"""Normalization of NumPy arrays along their last axes, and of groups of channels.

In blocks that stay in the cache, for each pass of a ufunc costs as much as the arithmetic: sums are
products with vectors of ones, weights stand several times in a row so that inner loops are long.
Threads share the blocks of large arrays; what they sum is added in the order of the blocks.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..ops.normalization import (
    LAYER,
    LENGTH,
    ROOT_MEAN_SQUARE,
    normalized_along,
    normalized_in_groups,
)
from .activation import fits
from .threads import share

BLOCK = 1 << 16  # Elements: with two more arrays of this size, a core's cache.
SHARED_BLOCK = 1 << 17  # Of arrays that threads share: so that they seldom wait for Python's lock.
OPERATIONS = 8  # For each element, about.
LONG = 512  # From this length on, an inner loop costs little to begin.


def same_dtype(x, *weights) -> bool:
    """Whether passes in place are possible, with weights of the same dtype (or None)."""
    return fits(x) and all(w is None or w.dtype == x.dtype for w in weights)


def blocks(rows: int, width: int):
    """Slices of rows that together are one block each."""
    size = SHARED_BLOCK if rows * width >= 8 * SHARED_BLOCK else BLOCK
    step = max(size // max(width, 1), 1)
    return [slice(i, min(i + step, rows)) for i in range(0, rows, step)]


def in_blocks(work, slices, elements: int) -> None:
    """Call work(i, slice) for all slices of an array of so many elements, on several threads."""

    def run(items):
        for i in items:
            work(i, slices[i])

    share(run, range(len(slices)), OPERATIONS * elements)


def repeats(rows: int, width: int) -> int:
    """How many rows may be seen as one, so that it is long: a divisor of their number."""
    k = 1
    while k * width < LONG and rows % (2 * k) == 0:
        k *= 2
    return k


def weigh(out, gamma, beta) -> None:
    """Multiply rows by gamma and add beta, in place."""
    if gamma is None and beta is None:
        return
    rows, width = out.shape
    k = repeats(rows, width) if rows > 8 else 1
    view = out.reshape(-1, k * width) if k > 1 else out
    if gamma is not None:
        view *= np.tile(gamma, k) if k > 1 else gamma
    if beta is not None:
        view += np.tile(beta, k) if k > 1 else beta


class Rows:
    """Rows that are normalized, each by itself; what is kept is a mean and a factor of each."""

    def __init__(self, x, epsilon, kind):
        self.x, self.epsilon, self.kind = x, epsilon, kind
        n, width = x.shape
        self.mean = np.empty(n, x.dtype) if kind == LAYER else None
        self.factor = np.empty(n, x.dtype)
        self.average = np.full(width, 1 / width, x.dtype)

    def forward(self, gamma=None, beta=None):
        """The normalized rows, multiplied and added to."""
        out = np.empty_like(self.x)

        def work(_, rows):
            x, y, factor = self.x[rows], out[rows], self.factor[rows]
            if self.mean is not None:
                x = np.subtract(x, np.dot(x, self.average, self.mean[rows])[:, None], y)
            self._factors(np.vecdot(x, x), factor)
            np.multiply(x, factor[:, None], y)
            weigh(y, gamma, beta)

        in_blocks(work, blocks(*out.shape), out.size)
        return out

    def _factors(self, squares, out):
        """1 / sqrt(mean of squares + epsilon), or what stands for it, into `out`."""
        if self.kind == LENGTH:
            np.maximum(squares, self.epsilon**2, out=squares)
        else:
            squares *= 1 / self.x.shape[1]
            squares += self.epsilon
        np.reciprocal(np.sqrt(squares, squares), out)

    def units(self, rows, out):
        """The normalized rows once more, before gamma and beta."""
        x = self.x[rows]
        if self.mean is not None:
            x = np.subtract(x, self.mean[rows, None], out)
        return np.multiply(x, self.factor[rows, None], out)

    def backward(self, g, gamma, needs=(True, True, True)):
        """The gradients by x, gamma and beta; None where not needed."""
        slices, width = blocks(*g.shape), g.shape[1]
        dx = np.empty_like(g) if needs[0] else None
        d_gamma, d_beta = (
            np.empty((len(slices), width), g.dtype) if need else None for need in needs[1:]
        )
        ones = np.ones(slices[0].stop, g.dtype)

        def work(i, rows):
            part = g[rows]
            if needs[2]:
                np.dot(ones[: len(part)], part, d_beta[i])
            if not needs[0] and not needs[1]:
                return
            unit = self.units(rows, np.empty(part.shape, g.dtype))
            if needs[1]:
                np.einsum("ij,ij->j", part, unit, out=d_gamma[i])
            if needs[0]:
                self._through(part if gamma is None else part * gamma, unit, rows, dx[rows])

        in_blocks(work, slices, 2 * g.size)
        return dx, *(None if d is None else d.sum(0) for d in (d_gamma, d_beta))

    def _through(self, g, unit, rows, dx):
        """The gradient by x into `dx`; changes `unit`."""
        factor, share = self.factor[rows], np.vecdot(g, unit)
        if self.kind == LENGTH:
            share *= factor * self.epsilon < 1 - 1e-6  # Else it is epsilon that divides.
        else:
            share *= 1 / g.shape[1]
        unit *= share[:, None]
        np.subtract(g, unit, dx)
        if self.kind == LAYER:
            dx -= (g @ self.average)[:, None]
        dx *= factor[:, None]


@normalized_along.on("numpy")
def _(x, gamma=None, beta=None, *, axes, epsilon, kind=LAYER, needs=None):
    known = kind in (LAYER, ROOT_MEAN_SQUARE, LENGTH)
    if not known or axes != tuple(range(x.ndim - len(axes), x.ndim)):
        return NotImplemented
    if not same_dtype(x, gamma, beta) or x.size == 0:
        return NotImplemented
    width = prod(x.shape[axes[0] :])
    flat = [None if w is None else w.reshape(-1) for w in (gamma, beta)]
    made = Rows(x.reshape(-1, width), epsilon, kind)
    out = made.forward(*flat).reshape(x.shape)
    if needs is None:
        return out

    needs = (*needs, False, False)[:3]

    def pullback(g):
        dx, d_gamma, d_beta = made.backward(g.reshape(-1, width), flat[0], needs)
        return (
            None if dx is None else dx.reshape(x.shape),
            None if d_gamma is None else d_gamma.reshape(gamma.shape),
            None if d_beta is None else d_beta.reshape(beta.shape),
        )

    return out, pullback


@normalized_in_groups.on("numpy")
def _(x, gamma=None, beta=None, *, groups, axis, epsilon, needs=None):
    axis %= x.ndim
    needs = None if needs is None else (*needs, False, False)[:3]
    channels, places = x.shape[axis], prod(x.shape[axis + 1 :])
    if axis == 0 or not same_dtype(x, gamma, beta) or x.size == 0 or channels % groups:
        return NotImplemented
    if prod(x.shape[1:axis]) > 1:  # A group's channels do not lie together.
        return (
            NotImplemented if places > 1 else _channels_last(x, gamma, beta, groups, epsilon, needs)
        )
    made = Rows(x.reshape(x.shape[0] * groups, -1), epsilon, LAYER)
    shape = (x.shape[0], channels, places)
    out, column = made.forward().reshape(shape), (slice(None), None)
    if gamma is not None:
        out *= gamma[column]
    if beta is not None:
        out += beta[column]
    out = out.reshape(x.shape)
    if needs is None:
        return out

    def pullback(g):
        g, d_gamma, dx = g.reshape(shape), None, None
        if needs[1]:
            unit = made.units(slice(None), np.empty(made.x.shape, x.dtype)).reshape(shape)
            d_gamma = np.vecdot(g, unit).sum(0)
        if needs[0]:
            through = g if gamma is None else g * gamma[column]
            dx = made.backward(through.reshape(made.x.shape), None, (True, False, False))[0]
            dx = dx.reshape(x.shape)
        return dx, d_gamma, g.sum((0, 2)) if needs[2] else None

    return out, pullback


def _channels_last(x, gamma, beta, groups, epsilon, needs):
    """Samples (places, channels), one after another."""
    channels = x.shape[-1]
    samples = x.reshape(x.shape[0], -1, channels)
    size = channels // groups
    share = x.dtype.type(1 / (samples.shape[1] * size))
    ones = np.ones(samples.shape[1], x.dtype)
    means, factors = np.empty((2, len(samples), channels), x.dtype)

    def spread(values):
        """The mean of each group, for each of its channels."""
        return np.repeat(values.reshape(groups, size).sum(1) * share, size)

    out = np.empty_like(samples)
    for i, (sample, y) in enumerate(zip(samples, out, strict=True)):
        means[i] = spread(ones @ sample)
        np.subtract(sample, means[i], y)
        factors[i] = 1 / np.sqrt(spread(np.einsum("ij,ij->j", y, y)) + epsilon)
        weigh(y, factors[i] if gamma is None else factors[i] * gamma, beta)
    out = out.reshape(x.shape)
    if needs is None:
        return out

    def pullback(g):
        g, dx = g.reshape(samples.shape), np.empty_like(samples)
        d_gamma, d_beta = np.zeros((2, channels), x.dtype)
        for i, part in enumerate(g):
            unit = np.subtract(samples[i], means[i], dx[i])
            unit *= factors[i]
            total, shared = ones @ part, np.einsum("ij,ij->j", part, unit)
            d_beta += total
            d_gamma += shared
            if gamma is not None:
                total, shared = total * gamma, shared * gamma
            unit *= -spread(shared) * factors[i]
            unit += part * (factors[i] if gamma is None else factors[i] * gamma)
            unit -= spread(total) * factors[i]
        gradients = dx.reshape(x.shape), d_gamma, d_beta
        return tuple(d if wanted else None for d, wanted in zip(gradients, needs, strict=True))

    return out, pullback
