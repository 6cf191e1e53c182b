"""Batch normalization of NumPy arrays, in blocks that threads share, or by loops over rows."""

from __future__ import annotations

from math import prod

import numpy as np

from .. import jit
from ..jit import batch_normalization as loops
from ..jit.batch_normalization import APART, SAMPLED
from ..ops.batch_normalization import batch_moments, normalized_by, normalized_in_batch
from ..ops.dense import FUSED, before_activation
from . import memory
from .normalization import blocks, in_blocks, of_products, room, same_dtype
from .rows import LONG, SHORT, repeats
from .threads import ENOUGH, SUMMED, divided

PASS = 8  # Operations of a product that an element takes as long as, in a loop.


class Channels:
    """An array as blocks in which channels lie one after another, or each in a row."""

    long = LONG

    def __init__(self, x, axis):
        axis %= x.ndim
        self.shape, self.size, self.dtype = x.shape, x.size, x.dtype
        self.channels, inner = x.shape[axis], prod(x.shape[axis + 1 :])
        self.count = x.size // self.channels
        outer = prod(x.shape[:axis])
        self.last = inner == 1
        self.times = repeats(outer, self.channels, self.long) if self.last else 1
        width = self.times * self.channels
        self.view = (outer // self.times, width) if self.last else (outer, self.channels, inner)
        self.blocks = blocks(self.view[0], prod(self.view[1:]))
        self.ones = np.ones(self.blocks[0].stop, x.dtype)
        self.near = False  # Whether means are so near 0 that no values need to be taken less them.

    def of(self, x):
        """An array in that shape."""
        return x.reshape(self.view)

    def spread(self, values):
        """Values (channels,) in a shape that broadcasts with a block."""
        if self.last:
            return np.tile(values, self.times) if self.times > 1 else values
        return values[:, None]

    def sums(self, out, block, other=None) -> None:
        """The sums of a block, for each element of a row or for each channel, into `out`; or of its
        products with another."""
        if self.last and other is not None:
            of_products(self.ones, block, other, out)
        elif self.last:
            np.dot(self.ones[: len(block)], block, out)
        elif other is not None:
            np.add.reduce(np.vecdot(block, other), axis=0, out=out)
        else:  # NumPy adds long rows up in pairs, so that errors stay small.
            np.add.reduce(np.add.reduce(block, axis=-1), axis=0, out=out)

    def two_sums(self, work, passes):
        """Two totals (channels,) in float64; work(rows, out, out) adds up each block."""
        parts = np.empty((2, len(self.blocks), self.times * self.channels), self.dtype)
        in_blocks(lambda i, rows: work(rows, *parts[:, i]), self.blocks, passes * self.size)
        return parts.reshape(2, -1, self.channels).sum(1, dtype=np.float64)

    def moments(self, x):
        """The mean and the variance of each channel, in one reading as a rule.

        Sums are taken around 0 where means seem to be near, else around a value near the mean;
        where it turns out to be far, around the mean.
        """
        middle = self.near_mean(x)
        apart, variance = self._around(x, middle)
        if not (apart**2 <= APART * variance + (1e-6 * middle) ** 2).all():
            middle = (middle + apart).astype(x.dtype)
            apart, variance = self._around(x, middle)
        mean, variance = middle + apart, np.maximum(variance, 0)
        self.near = (mean**2 <= APART * variance).all()
        return mean.astype(x.dtype), variance.astype(x.dtype)

    def near_mean(self, x):
        """A value for each channel that is probably near its mean; 0 if that is."""
        sample, axes = self.sample(x)
        middle = sample.mean(axes, dtype=x.dtype)
        if (middle**2 <= APART / 2 * sample.var(axes)).all():
            middle = np.zeros_like(middle)
        return middle

    def sample(self, x):
        """Some rows, and the axes that are not of channels."""
        if self.last:
            rows, axes = x.reshape(-1, self.channels), 0
        else:
            rows, axes = x[..., :: max(x.shape[2] // SAMPLED, 1)], (0, 2)
        return rows[:: -(-len(rows) // SAMPLED)], axes

    def _around(self, x, middle):
        """The mean less `middle`, and the variance, from sums around that."""
        middle = self.spread(middle) if middle.any() else None

        def work(rows, sums, squares):
            part = x[rows]
            if middle is not None:
                part = np.subtract(part, middle, room("seen", part))
            self.sums(sums, part)
            self.sums(squares, part, part)

        apart, squares = self.two_sums(work, 4) / self.count
        return apart, squares - apart**2

    def finished(self, y, activation):
        """What follows, of a result."""
        return y if activation is None else FUSED[activation].version("numpy")(y)

    def before(self, g, y, activation):
        """The gradient by what `finished` has got."""
        return self.of(g if activation is None else before_activation(np, g, y, activation))

    def affine(self, x, factor, offset=None):
        """x factor + offset."""
        out, factor = memory.empty(self.view, x.dtype), self.spread(factor)
        offset = None if offset is None else self.spread(offset)

        def work(_, rows):
            y = np.multiply(x[rows], factor, out[rows])
            if offset is not None:
                y += offset

        in_blocks(work, self.blocks, 2 * x.size)
        return out.reshape(self.shape)

    def shared(self, g, x, mean):
        """The sums of g, and of g (x - mean), for each channel."""
        middle = None if self.near else self.spread(mean)

        def work(rows, sums, products):
            given, part = g[rows], x[rows]
            if middle is not None:
                part = np.subtract(part, middle, room("seen", part))
            self.sums(sums, given)
            self.sums(products, given, part)

        total, product = self.two_sums(work, 4)
        if self.near:
            product -= mean * total
        return total.astype(x.dtype), product.astype(x.dtype)

    def centred(self, x, mean, slope, offset=None, g=None, factor=None):
        """(x - mean) slope + offset + g factor."""
        out = memory.empty(self.view, x.dtype)
        if self.near:
            mean, offset = None, -mean * slope if offset is None else offset - mean * slope
        mean, slope, offset, factor = (
            None if a is None else self.spread(a) for a in (mean, slope, offset, factor)
        )

        def work(_, rows):
            y, part = out[rows], x[rows]
            np.multiply(part if mean is None else np.subtract(part, mean, y), slope, y)
            if offset is not None:
                y += offset
            if g is not None:
                part = g[rows]
                y += np.multiply(part, factor, room("seen", part))

        in_blocks(work, self.blocks, (3 if g is None else 5) * x.size)
        return out.reshape(self.shape)


class LoopedChannels(Channels):
    """The same by loops that are compiled, into which a ReLU goes."""

    long, after, relu = SHORT, None, False

    def of(self, x):
        return np.ascontiguousarray(super().of(x))

    def finished(self, y, activation):
        return y if self.relu else super().finished(y, activation)

    def before(self, g, y, activation):
        if not self.relu:
            return super().before(g, y, activation)
        self.after = self.of(y)
        return self.of(g)

    def near_mean(self, x):
        sample, axes = self.sample(x)
        return sample.mean(axes, dtype=x.dtype)

    def _around(self, x, middle):
        apart, squares = self._sums(x, middle) / self.count
        return apart, squares - apart**2

    def shared(self, g, x, mean):
        return self._sums(x, mean, g, self.after).astype(x.dtype)

    def _sums(self, x, middle, g=None, after=None):
        """The sums that loops give, (2, channels) in float64."""
        kernel = loops.sum_columns if self.last else loops.sum_rows
        args = (*self._rows(x), self._of_columns(middle), *self._rows(g, after))
        size = (len(args[1]),)
        found = divided(
            kernel, len(args[0]), PASS * x.size, *args, sums=(size, size), totals=np.float64
        )
        return np.stack(found).reshape(2, -1, self.channels).sum(1)

    def affine(self, x, factor, offset=None):
        return self._combined(x, None, factor, offset, relu=self.relu and self.after is None)

    def centred(self, x, mean, slope, offset=None, g=None, factor=None):
        return self._combined(x, mean, slope, offset, g, factor, self.relu and g is None)

    def _combined(self, x, mean, slope, offset, g=None, factor=None, relu=False):
        out = memory.empty(self.view, x.dtype)
        x, g, after, y = self._rows(x, g, self.after, out)
        weights = mean, slope, offset, factor
        weights = [None if w is None else self._of_columns(w) for w in weights]
        *first, factor = weights
        kernel = loops.combine_columns if self.last else loops.combine_rows
        divided(kernel, len(x), PASS * x.size, x, *first, g, factor, after, y, relu)
        return out.reshape(self.shape)

    def _of_columns(self, values):
        """Values (channels,) as loops take them."""
        return np.ascontiguousarray(self.spread(values) if self.last else values)

    @property
    def small(self) -> bool:
        """Whether one thread does all of it at once."""
        return self.last and self.view[0] <= SUMMED and PASS * self.size < ENOUGH

    @staticmethod
    def _rows(*arrays):
        """Arrays in two axes, or None."""
        return [None if a is None else a.reshape(-1, a.shape[-1]) for a in arrays]


def channels_of(x, axis, activation=None) -> Channels:
    """The channels of an array, by whatever is faster for it.

    Loops, which round products and sums at once, leave a rest of what cancels exactly where a
    channel has but one element.
    """
    if not jit.takes(x) or x.size == x.shape[axis]:
        return Channels(x, axis)
    form = LoopedChannels(x, axis)
    form.relu = activation == "relu"
    return form


def factor_of(variance, scale, epsilon):
    """scale / sqrt(variance + epsilon)."""
    factor = np.reciprocal(np.sqrt(variance + epsilon))
    return factor if scale is None else factor * scale


@batch_moments.on("numpy")
def _(x, mask=None, *, axis, needs=None):
    if mask is not None or not same_dtype(x) or x.size == 0:
        return NotImplemented
    form = channels_of(x, axis)
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
def _(x, mean, variance, offset=None, scale=None, *, axis, epsilon, activation=None, needs=None):
    if not same_dtype(x, mean, variance, offset, scale) or x.size == 0:
        return NotImplemented
    form = channels_of(x, axis, activation)
    rows = form.of(x)
    factor = factor_of(variance, scale, epsilon)
    start = -mean * factor
    out = form.affine(rows, factor, start if offset is None else start + offset)
    out = form.finished(out, activation)
    if needs is None:
        return out
    kept = out if activation else None  # Else it is let go when nobody else needs it.

    def pullback(g):
        g, inverse = form.before(g, kept, activation), np.reciprocal(np.sqrt(variance + epsilon))
        dx = form.affine(g, factor) if needs[0] else None
        if not any(needs[1:]):
            return dx, None, None, None, None
        total, product = form.shared(g, rows, mean)
        product *= inverse
        return dx, -factor * total, -0.5 * inverse * factor * product, total, product

    return out, pullback


@normalized_in_batch.on("numpy")
def _(x, gamma=None, beta=None, mask=None, *, axis, epsilon, activation=None, needs=None):
    if mask is not None or not same_dtype(x, gamma, beta) or x.size == 0:
        return NotImplemented
    form = channels_of(x, axis, activation)
    if type(form) is LoopedChannels and form.small:
        return _at_once(form, x, gamma, beta, epsilon, activation, needs)
    rows = form.of(x)
    mean, variance = form.moments(rows)
    factor = factor_of(variance, gamma, epsilon)
    y = form.finished(form.centred(rows, mean, factor, beta), activation)
    if needs is None:
        return y, mean, variance
    kept = y if activation else None

    def pullback(gs):
        g, d_mean, d_variance = gs
        g, inverse = form.before(g, kept, activation), np.reciprocal(np.sqrt(variance + epsilon))
        total, product = form.shared(g, rows, mean)
        product *= inverse
        dx = None
        if needs[0]:
            offset = (d_mean - factor * total) / form.count
            slope = (2 * d_variance - inverse * factor * product) / form.count
            dx = form.centred(rows, mean, slope, offset, g, factor)
        return dx, product if gamma is not None else None, total, None

    return (y, mean, variance), pullback


def _at_once(form: LoopedChannels, x, gamma, beta, epsilon, activation, needs):
    """`normalized_in_batch` by one loop each way: what small arrays wait for is Python."""
    rows, y = form.of(x), memory.empty(form.view, x.dtype)
    mean, variance, epsilon = *np.empty((2, form.channels), x.dtype), float(epsilon)
    gamma = None if gamma is None else np.ascontiguousarray(gamma)
    beta = None if beta is None else np.ascontiguousarray(beta)
    loops.normalize(rows, gamma, beta, y, mean, variance, epsilon, form.relu)
    y = form.finished(y.reshape(x.shape), activation)
    if needs is None:
        return y, mean, variance
    kept = y if activation else None

    def pullback(gs):
        g, *others = gs
        g, dx = (
            form.before(g, kept, activation),
            memory.empty(form.view, x.dtype) if needs[0] else None,
        )
        d_gamma, d_beta = np.empty((2, form.channels), x.dtype)
        moments = mean, variance, gamma, *map(np.ascontiguousarray, others)
        loops.differentiate(rows, g, form.after, *moments, dx, d_gamma, d_beta, epsilon)
        dx = None if dx is None else dx.reshape(x.shape)
        return dx, None if gamma is None else d_gamma, d_beta, None

    return (y, mean, variance), pullback
