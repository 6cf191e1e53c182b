"""Batch and group normalization of CuPy arrays, with channels last or elsewhere."""

from __future__ import annotations

from math import prod

from .. import config
from ..ops.batch_normalization import batch_moments, followed, normalized_by, normalized_in_batch
from ..ops.normalization import normalized_in_groups
from .activation import activation_backward
from .module import Module, blocks, contiguous, empty, empty_like, is_float, multiprocessors
from .normalization import in_accumulator
from .partial_sums import accumulator

_source = Module("batch_normalization")

BLOCK, VECTOR, PER_BLOCK = 256, 16, 4  # Threads; bytes; blocks of each multiprocessor.
LINE = 16384  # Elements of a line that a block takes at least.

INSTANCES = [
    {"T": dtype, "ACTIVATION": activation}
    for dtype, activation in (
        ("float16", "LINEAR"), ("bfloat16", "RELU"), ("float32", "LINEAR"), ("float64", "LINEAR"),
    )
]  # fmt: skip


class Channels:
    """How an array's channels lie, and the kernels for that: see the head of the source.

    Args:
        x: not empty.
        axis: that of the channels.
        groups: into how many groups a sample's channels are divided; None for the statistics of
            each channel over the batch.
    """

    def __init__(self, x, axis: int, groups: int | None = None):
        axis %= x.ndim
        self.dtype, self.accumulator, self.shape = x.dtype, accumulator(x.dtype), x.shape
        self.channels, self.inner = x.shape[axis], prod(x.shape[axis + 1 :])
        outer = prod(x.shape[:axis])
        samples, self.groups = x.shape[0], groups or self.channels
        self.last = self.inner == 1
        if self.last:
            self.planes = 1 if groups is None else samples
            self.rows = outer // self.planes
            self._divide_columns()
        else:
            self.planes, self.joined = outer, groups is None
            self._divide_lines()
        own_planes = 1 if groups is None else samples
        self.parts *= self.planes // own_planes
        self.planes = own_planes  # Of the statistics.
        self.statistics = own_planes * self.groups

    def _divide_columns(self):
        vectors = blocks(self.channels, VECTOR // self.dtype.itemsize)
        self.lanes = min(32, 1 << (vectors - 1).bit_length())
        tiles, at_once = blocks(vectors, self.lanes), BLOCK // self.lanes
        wanted = max(PER_BLOCK * multiprocessors() // (tiles * self.planes), 1)
        rows_each = blocks(blocks(self.rows, wanted), at_once) * at_once
        self.parts = blocks(self.rows, rows_each)
        self.grid = tiles * self.parts * self.planes
        self.division = rows_each, self.lanes
        self.sizes = self.rows, self.channels

    def _divide_lines(self):
        lines = self.planes * self.channels
        wanted = max(PER_BLOCK * multiprocessors() // lines, 1)
        each = max(blocks(self.inner, wanted), LINE)
        each = blocks(each, VECTOR) * VECTOR
        self.parts = blocks(self.inner, each)
        self.grid = lines * self.parts
        self.division = (each,)
        self.sizes = self.channels, self.inner

    @property
    def fits(self) -> bool:
        """Whether blocks and channels can be counted."""
        return self.grid < 2**31 and self.channels < 2**30 and self.statistics < 2**31

    def _kernel(self, name, own=True, activation="LINEAR"):
        layout = ("columns_" if self.last else "lines_") if own else ""
        return _source.kernel(layout + name, T=self.dtype, ACTIVATION=activation)

    def _empty(self, *shape):
        return empty(shape, self.accumulator)

    @property
    def _place(self):
        """What kernels take to find an element's statistic."""
        return (self.groups,) if self.last else (self.groups, self.joined)

    def moments(self, x, mask=None):
        """The mean, the variance and the count of each statistic."""
        partial = self._empty(self.planes, self.parts, 3, self.channels)
        masks = (mask,) if self.last else ()
        self._kernel("moments")(self.grid, BLOCK, x, *masks, partial, *self.sizes, *self.division)
        mean, variance, count = (self._empty(self.statistics) for _ in range(3))
        extra = 0.0 if mask is None else config.epsilon()
        sizes = self.statistics, self.parts, self.channels, self.groups
        kernel = self._kernel("combine_moments", own=False)
        kernel(blocks(self.statistics, 8), BLOCK, partial, mean, variance, count, *sizes, extra)
        return mean, variance, count

    def apply(self, x, mean, variance, gamma, beta, epsilon, activation=None):
        """activation((x - mean) / sqrt(variance + epsilon) * gamma + beta)."""
        y = empty_like(x)
        sizes = *self.sizes, *self._place, *self.division
        self._kernel("apply", activation=(activation or "linear").upper())(
            self.grid, BLOCK, x, mean, variance, gamma, beta, y, *sizes, float(epsilon)
        )
        return y

    def sums(self, g, x, mean, variance, gamma, epsilon, of_statistics=(None, None)):
        """What `gradient` needs, and the gradients by gamma and beta."""
        partial = self._empty(self.planes, self.parts, 2, self.channels)
        sizes = *self.sizes, *self._place, *self.division
        self._kernel("sums")(self.grid, BLOCK, g, x, mean, partial, *sizes)
        sums = self._empty(self.planes, 2, self.channels)
        kernel, sizes = self._kernel("combine_sums", own=False), (self.parts, self.channels)
        kernel(blocks(sums.size, 8), BLOCK, partial, sums, sums.size, *sizes)
        return self.finish(sums, variance, gamma, epsilon, of_statistics)

    def finish(self, sums, variance, gamma, epsilon, of_statistics):
        """The same from the sums of each channel."""
        shares = self._empty(2, self.statistics)
        d_gamma, d_beta = self._empty(self.channels), self._empty(self.channels)
        kernel = self._kernel("finish_sums", own=False)
        sizes = self.planes, self.channels, self.groups
        grid = blocks(self.statistics + self.channels, BLOCK)
        given = sums, variance, gamma, *of_statistics
        kernel(grid, BLOCK, *given, shares, d_gamma, d_beta, *sizes, float(epsilon))
        return shares, d_gamma, d_beta

    def gradient(self, g, x, mask, mean, variance, count, gamma, shares, epsilon):
        """The gradient by x."""
        dx = empty_like(x)
        masks = (mask,) if self.last else ()
        sizes = self.statistics, *self.sizes, *self._place, *self.division
        self._kernel("gradient")(
            self.grid, BLOCK, g, x, *masks, mean, variance, count, gamma, shares, dx, *sizes,
            float(epsilon),
        )  # fmt: skip
        return dx


def form_of(x, axis, mask=None, groups=None):
    """How the channels of `x` lie; None for what is left to the reference."""
    if not is_float(x) or not x.size:
        return None
    if mask is not None and (axis % x.ndim != x.ndim - 1 or mask.shape != x.shape[:-1]):
        return None
    form = Channels(x, axis, groups)
    return form if form.fits and (mask is None or form.last) else None


@batch_moments.on("cupy")
def _(x, mask=None, *, axis, needs=None):
    form = form_of(x, axis, mask)
    if form is None:
        return NotImplemented
    x, mask = contiguous(x), None if mask is None else contiguous(mask)
    mean, variance, count = form.moments(x, mask)
    if needs is None:
        return mean, variance

    def pullback(gs):
        nothing = empty((1, 2, form.channels), form.accumulator)
        nothing.fill(0)
        gs = [in_accumulator(g, x.dtype) for g in gs]
        shares, *_ = form.finish(nothing, variance, None, 1.0, gs)
        return form.gradient(None, x, mask, mean, variance, count, None, shares, 1.0), None

    return (mean, variance), pullback


@normalized_by.on("cupy")
def _(x, mean, variance, offset=None, scale=None, *, axis, epsilon, activation=None, needs=None):
    form = form_of(x, axis)
    if form is None:
        return NotImplemented
    x = contiguous(x)
    mean, variance, beta, gamma = (
        in_accumulator(w, x.dtype) for w in (mean, variance, offset, scale)
    )
    out = form.apply(x, mean, variance, gamma, beta, epsilon, activation)
    if needs is None:
        return out

    def pullback(g):
        g, inverse = _before(g, out, activation), (variance + epsilon) ** -0.5
        factor = inverse if gamma is None else inverse * gamma
        dx = None
        if needs[0]:
            shares = empty((2, form.statistics), form.accumulator)
            shares.fill(0)
            ones = shares[0] + 1
            dx = form.gradient(g, x, None, mean, variance, ones, gamma, shares, epsilon)
        if not any(needs[1:]):
            return dx, None, None, None, None
        _, d_scale, d_offset = form.sums(g, x, mean, variance, gamma, epsilon)
        return dx, -factor * d_offset, -0.5 * inverse * factor * d_scale, d_offset, d_scale

    return out, pullback


@normalized_in_batch.on("cupy")
def _(x, gamma=None, beta=None, mask=None, *, axis, epsilon, activation=None, needs=None):
    form = form_of(x, axis, mask)
    if form is None:
        return NotImplemented
    x, mask = contiguous(x), None if mask is None else contiguous(mask)
    scale, offset = (in_accumulator(w, x.dtype) for w in (gamma, beta))
    mean, variance, count = form.moments(x, mask)
    y = form.apply(x, mean, variance, scale, offset, epsilon, activation)
    if needs is None:
        return y, mean, variance

    def pullback(gs):
        g, *of_statistics = gs
        if g is None:
            g = empty_like(y)
            g.fill(0)
        g = _before(g, y, activation)
        of_statistics = [in_accumulator(d, x.dtype) for d in of_statistics]
        shares, d_gamma, d_beta = form.sums(g, x, mean, variance, scale, epsilon, of_statistics)
        dx = None
        if needs[0]:
            dx = form.gradient(g, x, mask, mean, variance, count, scale, shares, epsilon)
        return dx, d_gamma, d_beta, None

    pullback.takes_none = True  # Hardly anybody asks for gradients of the statistics.
    return (y, mean, variance), pullback


@followed.on("cupy")
def _(mean, variance, new_mean, new_variance, *, momentum, needs=None):
    given = [contiguous(w) for w in (mean, variance, new_mean, new_variance)]
    if needs is not None or not is_float(*given) or accumulator(mean.dtype) != mean.dtype:
        return NotImplemented
    made = empty_like(given[0]), empty_like(given[1])
    kernel = _source.kernel("follow", T=mean.dtype, ACTIVATION="LINEAR")
    kernel(blocks(mean.size, BLOCK), BLOCK, *given, *made, mean.size, momentum, 1.0 - momentum)
    return made


def _before(g, y, activation):
    """The gradient of the activation's argument, C-contiguous."""
    g = contiguous(g)
    return g if activation is None else activation_backward(g, y, activation.upper())


@normalized_in_groups.on("cupy")
def _(x, gamma=None, beta=None, *, groups, axis, epsilon, needs=None):
    axis %= x.ndim
    form = None
    if axis and x.shape[axis] % groups == 0:
        between = prod(x.shape[1:axis]) > 1 and prod(x.shape[axis + 1 :]) > 1
        form = None if between else form_of(x, axis, None, groups)
    if form is None:
        return NotImplemented
    x = contiguous(x)
    scale, offset = (in_accumulator(w, x.dtype) for w in (gamma, beta))
    mean, variance, count = form.moments(x)
    out = form.apply(x, mean, variance, scale, offset, epsilon)
    if needs is None:
        return out

    def pullback(g):
        g = contiguous(g)
        shares, d_gamma, d_beta = form.sums(g, x, mean, variance, scale, epsilon)
        dx = None
        if needs[0]:
            dx = form.gradient(g, x, None, mean, variance, count, scale, shares, epsilon)
        return dx, d_gamma, d_beta

    return out, pullback
