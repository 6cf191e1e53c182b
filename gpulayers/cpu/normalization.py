"""Normalization of NumPy arrays along their last axes, and of groups of channels.

In blocks that threads share, with few passes, for each of a ufunc costs as much as the arithmetic:
sums are products with vectors of ones, weights stand several times in a row so that inner loops are
long.  What threads sum is added in the order of the blocks.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .. import jit
from ..jit import normalization as loops
from ..ops.normalization import (
    LAYER,
    LENGTH,
    ROOT_MEAN_SQUARE,
    normalized_along,
    normalized_in_groups,
)
from . import memory
from .activation import fits
from .rows import repeats
from .threads import ENOUGH, available, divided, scratch, share

BLOCK = 1 << 19  # Elements at most: with fewer, threads wait more for Python's lock than is saved
# by what stays in a core's cache (1.6 million elements in blocks of 2^17 by two: 0.8, not 0.6 ms).
PASS = 6  # Operations of a product that an element takes as long as, in each pass.
PASSES = 6  # About, over all elements.
EVEN = 512  # From this length on, `einsum` adds up products faster than they are written and added.


def same_dtype(x, *weights) -> bool:
    """Whether passes in place are possible, with weights of the same dtype (or None)."""
    return fits(x) and all(w is None or w.dtype == x.dtype for w in weights)


def blocks(rows: int, width: int, times: int = 1):
    """Slices of rows that together are one block each, of a multiple of `times` rows."""
    threads = available() if PASS * PASSES * rows * width >= ENOUGH else 1
    number = -(-rows // max(BLOCK // max(width, 1), 1))
    number = max(-(-number // threads) * threads, 1)  # As many for each thread, of one size.
    step = max(-(-rows // (number * times)), 1) * times
    return [slice(i, min(i + step, rows)) for i in range(0, rows, step)]


def room(name: str, like):
    """Memory of the thread's own as large as an array, with whatever is in it."""
    return scratch(name, like.size, like.dtype).reshape(like.shape)


def of_products(ones, block, other, out) -> None:
    """The sums of products of two blocks of rows, for each element of a row, into `out`."""
    if block.shape[1] >= EVEN:
        np.einsum("ij,ij->j", block, other, out=out)
    else:
        np.dot(ones[: len(block)], np.multiply(block, other, room("products", block)), out)


def in_blocks(work, slices, elements: int) -> None:
    """Call work(i, slice) for all slices, on several threads; passes are over so many elements."""

    def run(items):
        for i in items:
            work(i, slices[i])

    share(run, range(len(slices)), PASS * elements)


class Weights:
    """Factors and offsets for the elements of rows, several times in a row where rows are short:
    so that inner loops are long."""

    def __init__(self, times: int, gamma=None, beta=None):
        self.times = times
        self.gamma, self.beta = (
            None if w is None else np.ascontiguousarray(np.tile(w, times) if times > 1 else w)
            for w in (gamma, beta)
        )

    def of(self, rows):
        """Rows in a shape that broadcasts with weights."""
        return rows.reshape(-1, self.times * rows.shape[1])

    def apply(self, rows) -> None:
        """Multiply by the factors and add the offsets, in place."""
        view = self.of(rows)
        if self.gamma is not None:
            view *= self.gamma
        if self.beta is not None:
            view += self.beta


class Rows:
    """Rows that are normalized, each by itself; what is kept is a mean and a factor of each."""

    def __init__(self, x, epsilon, kind):
        self.x, self.epsilon, self.kind = x, epsilon, kind
        n, width = x.shape
        self.mean = np.empty(n, x.dtype) if kind == LAYER else None
        self.factor = np.empty(n, x.dtype)
        self.average = np.full(width, 1 / width, x.dtype)
        self.times = repeats(n, width) if n > 8 else 1
        self.blocks = blocks(n, width, self.times)

    def forward(self, gamma=None, beta=None):
        """The normalized rows, multiplied and added to."""
        out, weights = memory.empty_like(self.x), Weights(self.times, gamma, beta)

        def work(_, rows):
            x, y, factor = self.x[rows], out[rows], self.factor[rows]
            if self.mean is not None:
                x = np.subtract(x, np.dot(x, self.average, self.mean[rows])[:, None], y)
            self._factors(np.vecdot(x, x), factor)
            np.multiply(x, factor[:, None], y)
            weights.apply(y)

        in_blocks(work, self.blocks, PASSES * out.size)
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
        return np.multiply(self._away(rows, out), self.factor[rows, None], out)

    def backward(self, g, gamma, needs=(True, True, True)):
        """The gradients by x, gamma and beta; None where not needed."""
        slices, weights = self.blocks, Weights(self.times, gamma)
        dx = memory.empty_like(g) if needs[0] else None
        n, width = len(slices), g.shape[1]
        d_gamma = np.empty((n, self.times * width), g.dtype) if needs[1] else None
        d_beta = np.empty((n, width), g.dtype) if needs[2] else None
        ones = np.ones(slices[0].stop, g.dtype)

        def work(i, rows):
            given = g[rows]
            if needs[2]:
                np.dot(ones[: len(given)], given, d_beta[i])
            if not needs[0] and not needs[1]:
                return
            away = self._away(rows, dx[rows] if needs[0] else room("seen", given))
            given = np.multiply(given, self.factor[rows, None], room("given", given))
            if needs[1]:
                of_products(ones, weights.of(given), weights.of(away), d_gamma[i])
            if needs[0]:
                weights.apply(given)
                self._through(given, away, rows, dx[rows])

        in_blocks(work, slices, 2 * PASSES * g.size)
        sums = (None if d is None else d.reshape(-1, width).sum(0) for d in (d_gamma, d_beta))
        return dx, *sums

    def _away(self, rows, out):
        """Rows less their means, in `out` if these are not 0."""
        if self.mean is None:
            return self.x[rows]
        return np.subtract(self.x[rows], self.mean[rows, None], out)

    def _through(self, given, away, rows, dx):
        """The gradient by x into `dx`, from what is given for units times their factors."""
        factor, share = self.factor[rows], np.vecdot(given, away)
        if self.kind == LENGTH:
            share *= factor * self.epsilon < 1 - 1e-6  # Else it is epsilon that divides.
        else:
            share *= 1 / given.shape[1]
        share *= factor
        share *= factor
        np.multiply(away, np.negative(share, share)[:, None], dx)
        dx += given
        if self.kind == LAYER:
            dx -= np.dot(given, self.average)[:, None]


class LoopedRows(Rows):
    """The same by loops that are compiled."""

    def forward(self, gamma=None, beta=None):
        out, bound = memory.empty_like(self.x), self.epsilon if self.kind == LENGTH else 0.0
        args = self.x, gamma, beta, out, self.mean, self.factor, self.epsilon, bound
        divided(loops.normalize, len(self.x), PASS * out.size, *args)
        return out

    def backward(self, g, gamma, needs=(True, True, True)):
        dx, bound = memory.empty_like(g), self.epsilon if self.kind == LENGTH else 0.0
        args = self.x, g, gamma, self.mean, self.factor, dx, bound
        sums = [g.shape[1:] if needed else None for needed in needs[1:]]
        return dx, *divided(loops.differentiate, len(g), 2 * PASS * g.size, *args, sums=sums)


def made_rows(x, epsilon, kind) -> Rows:
    """Rows, by whatever is faster for them."""
    return (LoopedRows if jit.takes(x) else Rows)(np.ascontiguousarray(x), epsilon, kind)


@normalized_along.on("numpy")
def _(x, gamma=None, beta=None, *, axes, epsilon, kind=LAYER, needs=None):
    known = kind in (LAYER, ROOT_MEAN_SQUARE, LENGTH)
    if not known or axes != tuple(range(x.ndim - len(axes), x.ndim)):
        return NotImplemented
    if not same_dtype(x, gamma, beta) or x.size == 0:
        return NotImplemented
    width = prod(x.shape[axes[0] :])
    flat = [None if w is None else np.ascontiguousarray(w).reshape(-1) for w in (gamma, beta)]
    made = made_rows(x.reshape(-1, width), epsilon, kind)
    out = made.forward(*flat).reshape(x.shape)
    if needs is None:
        return out

    needs = (*needs, False, False)[:3]

    def pullback(g):
        g = np.ascontiguousarray(g.reshape(-1, width))
        dx, d_gamma, d_beta = made.backward(g, flat[0], needs)
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
    if prod(x.shape[1:axis]) > 1 and places > 1:
        return NotImplemented
    if prod(x.shape[1:axis]) > 1:  # A group's channels do not lie together.
        return _channels_last(x, axis, gamma, beta, groups, epsilon, needs)
    made = made_rows(x.reshape(x.shape[0] * groups, -1), epsilon, LAYER)
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
            through = np.ascontiguousarray(through.reshape(made.x.shape))
            dx = made.backward(through, None, (True, False, False))[0]
            dx = dx.reshape(x.shape)
        return dx, d_gamma, g.sum((0, 2)) if needs[2] else None

    return out, pullback


def _channels_last(x, axis, gamma, beta, groups, epsilon, needs):
    shape, x = x.shape, x.reshape(x.shape[: axis + 1])  # What may follow are axes of size 1.
    made = (LoopedSamples if jit.takes(x) else Samples)(x, groups, epsilon, gamma, beta)
    out = made.forward().reshape(shape)
    if needs is None:
        return out

    def pullback(g):
        dx, *gradients = made.backward(g.reshape(x.shape))
        gradients = dx.reshape(shape), *gradients
        return tuple(d if wanted else None for d, wanted in zip(gradients, needs, strict=True))

    return out, pullback


class Samples:
    """Samples with channels last, which are normalized in groups.

    Channels stand several times in a row; what is kept is a mean and a factor of each.
    """

    def __init__(self, x, groups, epsilon, gamma, beta):
        batch, channels, places = x.shape[0], x.shape[-1], prod(x.shape[1:-1])
        times = repeats(places, channels, EVEN)
        self.shape, self.epsilon = (times, groups, channels // groups), epsilon
        self.share = x.dtype.type(groups / (places * channels))
        rows, width = places // times, times * channels
        self.x = np.ascontiguousarray(x).reshape(batch, rows, width)
        self.weights = Weights(times, gamma, beta)
        self.means, self.factors = np.empty((2, batch, width), x.dtype)
        step = max(BLOCK // width, 1)
        self.pieces = [slice(i, min(i + step, rows)) for i in range(0, rows, step)]
        self.ones = np.ones(min(step, rows), x.dtype)
        self.blocks = blocks(batch, rows * width)

    def forward(self):
        out, weights = memory.empty_like(self.x), self.weights

        def work(_, part):
            x = self.x[part]
            self.means[part] = self._spread(self._sums(x))
            y = np.subtract(x, self.means[part, None], out[part])
            self.factors[part] = 1 / np.sqrt(self._spread(self._sums(y, y)) + self.epsilon)
            factor = self.factors[part, None]
            y *= factor if weights.gamma is None else factor * weights.gamma
            if weights.beta is not None:
                y += weights.beta

        in_blocks(work, self.blocks, PASSES * out.size)
        return out

    def backward(self, g):
        """The gradients by x, gamma and beta."""
        shape, g, gamma = g.shape, g.reshape(self.x.shape), self.weights.gamma
        dx, (d_gamma, d_beta) = np.empty_like(g), np.empty((2, len(g), g.shape[-1]), g.dtype)

        def work(_, part):
            given, unit = g[part], np.subtract(self.x[part], self.means[part, None], dx[part])
            factor = self.factors[part]
            unit *= factor[:, None]
            d_beta[part], d_gamma[part] = total, shared = self._sums(given), self._sums(given, unit)
            through = factor
            if gamma is not None:
                total, shared, through = total * gamma, shared * gamma, factor * gamma
            unit *= (-self._spread(shared) * factor)[:, None]
            for rows in self.pieces:
                own = given[:, rows]
                unit[:, rows] += np.multiply(own, through[:, None], room("seen", own))
            unit -= (self._spread(total) * factor)[:, None]

        in_blocks(work, self.blocks, 2 * PASSES * g.size)
        weights = (d.sum(0).reshape(self.shape[0], -1).sum(0) for d in (d_gamma, d_beta))
        return dx.reshape(shape), *weights

    def _sums(self, part, other=None):
        """The sums of each sample's rows, or of their products with others."""
        found = 0
        for rows in self.pieces:
            own = part[:, rows]
            if other is not None and own.shape[2] >= EVEN:
                found = found + np.einsum("ijk,ijk->ik", own, other[:, rows])
                continue
            if other is not None:
                own = np.multiply(own, other[:, rows], room("seen", own))
            found = found + np.matmul(self.ones[: own.shape[1]], own)
        return found

    def _spread(self, values):
        """The mean of each group, for each element of a row."""
        times, _, size = self.shape
        found = values.reshape(-1, *self.shape).sum((1, 3)) * self.share
        return np.tile(np.repeat(found, size, axis=1), times)


class LoopedSamples(Samples):
    """The same by loops that are compiled."""

    def forward(self):
        out, (_, groups, size), weights = memory.empty_like(self.x), self.shape, self.weights
        args = weights.gamma, weights.beta, out, self.means, self.factors
        args = self.x, *args, groups, size, self.epsilon
        divided(loops.normalize_groups, len(out), PASS * out.size, *args)
        return out

    def backward(self, g):
        shape, g, sizes = g.shape, np.ascontiguousarray(g), self.shape[1:]
        dx, made = memory.empty_like(self.x), [np.empty_like(self.means) for _ in range(4)]
        args = self.x, g.reshape(dx.shape), self.weights.gamma, self.means, self.factors, dx
        divided(loops.differentiate_groups, len(dx), 2 * PASS * dx.size, *args, *made, *sizes)
        return dx.reshape(shape), *(d.reshape(-1, prod(sizes)).sum(0) for d in made[:2])
