"""Batch normalization of NumPy arrays, in blocks that stay in the cache."""

from __future__ import annotations

from math import prod

import numpy as np

from ..ops.batch_normalization import batch_moments, normalized_by, normalized_in_batch
from .normalization import blocks, in_blocks, repeats, same_dtype


class Channels:
    """An array as blocks in which channels lie one after another, or each in a row."""

    def __init__(self, x, axis):
        axis %= x.ndim
        self.shape, self.count = x.shape, x.size // x.shape[axis]
        self.channels, inner = x.shape[axis], prod(x.shape[axis + 1 :])
        outer = prod(x.shape[:axis])
        self.last = inner == 1
        self.times = repeats(outer, self.channels) if self.last else 1
        width = self.times * self.channels
        self.view = (outer // self.times, width) if self.last else (outer, self.channels, inner)
        self.blocks = blocks(self.view[0], prod(self.view[1:]))
        self.ones = np.ones(self.blocks[0].stop if self.last else inner, x.dtype)

    def of(self, x):
        """An array in that shape."""
        return x.reshape(self.view)

    def spread(self, values):
        """Values (channels,) in a shape that broadcasts with a block."""
        if self.last:
            return np.tile(values, self.times) if self.times > 1 else values
        return values[:, None]

    def sums(self, block, other=None):
        """The sums (channels,) of a block, or of its products with another, in float64."""
        if not self.last:
            part = block @ self.ones if other is None else np.vecdot(block, other)
            return part.sum(0, dtype=np.float64)
        if other is None:
            part = self.ones[: len(block)] @ block
        else:
            part = np.einsum("ij,ij->j", block, other)
        return part.reshape(self.times, self.channels).sum(0, dtype=np.float64)

    def moments(self, x):
        """The mean and the variance of each channel, in one reading (Chan et al., 1979)."""
        parts = [None] * len(self.blocks)

        def work(i, rows):
            parts[i] = self._moments_of(x[rows])

        in_blocks(work, self.blocks, x.size)
        mean, squares, done = parts[0]
        for own, own_squares, size in parts[1:]:
            apart, before, done = own - mean, done, done + size
            mean = mean + apart * (size / done)
            squares = squares + own_squares + apart**2 * (size * before / done)
        return mean.astype(x.dtype), np.maximum(squares / done, 0).astype(x.dtype)

    def _moments_of(self, part):
        """The means in a block, the sums of squares around them, and the count."""
        size = part.size // self.channels
        near = (self.sums(part) / size).astype(part.dtype)
        centred = part - self.spread(near)
        left = self.sums(centred) / size  # What rounding the mean has left.
        return near + left, self.sums(centred, centred) - size * left**2, size

    def affine(self, x, factor, offset=None):
        """x factor + offset."""
        out, factor = np.empty(self.view, x.dtype), self.spread(factor)
        offset = None if offset is None else self.spread(offset)

        def work(_, rows):
            y = np.multiply(x[rows], factor, out[rows])
            if offset is not None:
                y += offset

        in_blocks(work, self.blocks, x.size // 4)
        return out.reshape(self.shape)

    def shared(self, g, x, mean):
        """The sums of g, and of g (x - mean), for each channel."""
        parts, mean = np.empty((len(self.blocks), 2, self.channels)), self.spread(mean)

        def work(i, rows):
            parts[i, 0] = self.sums(g[rows])
            parts[i, 1] = self.sums(g[rows], x[rows] - mean)

        in_blocks(work, self.blocks, x.size)
        return parts.sum(0).astype(x.dtype)

    def centred(self, x, mean, slope, offset=None, g=None, factor=None):
        """(x - mean) slope + offset + g factor."""
        out = np.empty(self.view, x.dtype)
        mean, slope, offset, factor = (
            None if a is None else self.spread(a) for a in (mean, slope, offset, factor)
        )

        def work(_, rows):
            y = np.subtract(x[rows], mean, out[rows])
            y *= slope
            if offset is not None:
                y += offset
            if g is not None:
                y += g[rows] * factor

        in_blocks(work, self.blocks, x.size // 2)
        return out.reshape(self.shape)


def factor_of(variance, scale, epsilon):
    """scale / sqrt(variance + epsilon)."""
    factor = np.reciprocal(np.sqrt(variance + epsilon))
    return factor if scale is None else factor * scale


@batch_moments.on("numpy")
def _(x, mask=None, *, axis, needs=None):
    if mask is not None or not same_dtype(x) or x.size == 0:
        return NotImplemented
    form = Channels(x, axis)
    rows = form.of(x)
    mean, variance = form.moments(rows)
    if needs is None:
        return mean, variance

    def pullback(gs):
        d_mean, d_variance = gs
        slope, offset = 2 * d_variance / form.count, d_mean / form.count
        return form.centred(rows, mean, slope, offset), None

    return (mean, variance), pullback


@normalized_by.on("numpy")
def _(x, mean, variance, offset=None, scale=None, *, axis, epsilon, needs=None):
    if not same_dtype(x, mean, variance, offset, scale) or x.size == 0:
        return NotImplemented
    form = Channels(x, axis)
    rows = form.of(x)
    factor = factor_of(variance, scale, epsilon)
    start = -mean * factor
    out = form.affine(rows, factor, start if offset is None else start + offset)
    if needs is None:
        return out

    def pullback(g):
        g, inverse = form.of(g), np.reciprocal(np.sqrt(variance + epsilon))
        dx = form.affine(g, factor) if needs[0] else None
        if not any(needs[1:]):
            return dx, None, None, None, None
        total, product = form.shared(g, rows, mean)
        product *= inverse
        return dx, -factor * total, -0.5 * inverse * factor * product, total, product

    return out, pullback


@normalized_in_batch.on("numpy")
def _(x, gamma=None, beta=None, mask=None, *, axis, epsilon, needs=None):
    if mask is not None or not same_dtype(x, gamma, beta) or x.size == 0:
        return NotImplemented
    form = Channels(x, axis)
    rows = form.of(x)
    mean, variance = form.moments(rows)
    factor = factor_of(variance, gamma, epsilon)
    out = form.centred(rows, mean, factor, beta), mean, variance
    if needs is None:
        return out

    def pullback(gs):
        g, d_mean, d_variance = gs
        g, inverse = form.of(g), np.reciprocal(np.sqrt(variance + epsilon))
        total, product = form.shared(g, rows, mean)
        product *= inverse
        dx = None
        if needs[0]:
            offset = (d_mean - factor * total) / form.count
            slope = (2 * d_variance - inverse * factor * product) / form.count
            dx = form.centred(rows, mean, slope, offset, g, factor)
        return dx, product if gamma is not None else None, total, None

    return out, pullback
