"""Normalization of CuPy arrays along axes: each row in the registers of a few threads."""

from __future__ import annotations

from math import prod

from ..ops.normalization import (
    DEVIATION,
    LAYER,
    LENGTH,
    ROOT_MEAN_SQUARE,
    normalized_along,
    normalized_sum,
)
from .module import Module, blocks, contiguous, empty, empty_like, is_float, multiprocessors
from .partial_sums import accumulator, partial_sums

_source = Module("normalization")

KINDS = {LAYER: "LAYER", ROOT_MEAN_SQUARE: "RMS", DEVIATION: "DEVIATION", LENGTH: "LENGTH"}
VECTOR, HELD = 16, {2: 2, 4: 4, 8: 4}  # Bytes; vectors that a thread holds at most, by itemsize.
BLOCK, LARGEST, LARGEST_BACKWARD, TILE = 256, 1024, 512, 256  # Threads, as in the source.
LARGEST_OF_SUM = 512
LONGEST = 2**30 - 2**16  # Elements of a row, so that columns of both weights are ints.

INSTANCES = [
    {"T": dtype, "KIND": kind, "PER": per}
    for dtype, kind, per in (
        ("float16", "LAYER", 2),
        ("bfloat16", "RMS", 2),
        ("float32", "LAYER", 1),
        ("float32", "LAYER", 4),
        ("float32", "DEVIATION", 4),
        ("float32", "LENGTH", 2),
        ("float64", "LAYER", 4),
    )
]


class Rows:
    """Rows (rows, width), C-contiguous, that are normalized, each by itself."""

    def __init__(self, x, kind: str, epsilon: float):
        self.x, self.kind, self.epsilon = x, kind, epsilon
        self.rows, self.width = x.shape
        self.accumulator = accumulator(x.dtype)
        vectors, most = blocks(self.width, VECTOR // x.itemsize), HELD[x.itemsize]
        self.per = 1  # Vectors that a thread holds; `group` threads hold a row.
        while self.per < most and vectors > 32 * self.per:
            self.per *= 2
        self.group = blocks(blocks(vectors, self.per), 32) * 32
        if vectors <= 32:
            self.group = 1 << (vectors - 1).bit_length()
        self.block = max(self.group, BLOCK) if self.group <= 32 else self.group
        self.at_once = self.block // self.group
        self.means = self.factors = None

    def _kernel(self, name):
        return _source.kernel(name, T=self.x.dtype, KIND=KINDS[self.kind], PER=self.per)

    def forward(self, gamma, beta, keep: bool, added=None):
        """The result; if it is to `keep` them, the moments stay here for `backward`.

        With other rows that are `added`, `x` becomes the sum, and that is normalized.
        """
        y, x, name, largest = empty_like(self.x), (self.x,), "normalize_forward", LARGEST
        if added is not None:
            self.x, name, largest = empty_like(self.x), "normalize_sum", LARGEST_OF_SUM
            x = *x, added, self.x
        if keep:
            self.factors = empty((self.rows,), self.accumulator)
            if self.kind in (LAYER, DEVIATION):
                self.means = empty((self.rows,), self.accumulator)
        given = *x, gamma, beta, y, self.means, self.factors
        if self.group > largest:
            kernel = self._kernel(f"{name}_long")
            kernel(self.rows, LARGEST_BACKWARD, *given, self.width, self.epsilon)
        else:
            kernel, grid = self._kernel(name), blocks(self.rows, self.at_once)
            kernel(grid, self.block, *given, self.rows, self.width, self.group, self.epsilon)
        return y

    def backward(self, g, gamma, needs, more=None):
        """The gradients by x, gamma and beta, the latter in the accumulator's dtype; `more` is
        added to the first."""
        dx = empty_like(self.x) if needs[0] else None
        long = self.group > LARGEST_BACKWARD
        if long:
            tiles = blocks(self.width, 32 * VECTOR // self.x.itemsize)
            wanted = max(8 * multiprocessors() // tiles, 1)
            rows_each = blocks(blocks(self.rows, wanted), 8) * 8
            slabs = blocks(self.rows, rows_each)
        else:
            slabs = min(blocks(self.rows, self.at_once), multiprocessors() * (512 // self.block))
        partial, weights = self._partial(slabs, needs[1:])
        name = "normalize_backward" if more is None else "normalize_sum_backward"
        read = (g, self.x) if more is None else (g, self.x, more)
        given = gamma, self.means, self.factors
        if long:
            both = empty((self.rows, 2), self.accumulator)
            kernel = self._kernel("normalize_backward_shares")
            kernel(self.rows, LARGEST_BACKWARD, g, self.x, *given, both, self.width, self.epsilon)
            kernel, sizes = self._kernel(f"{name}_long"), (self.rows, self.width, rows_each)
            kernel((tiles, slabs), TILE, *read, *given, both, dx, *weights, *sizes)
        else:
            kernel, sizes = self._kernel(name), (self.rows, self.width, self.group)
            kernel(slabs, self.block, *read, *given, dx, *weights, *sizes, self.epsilon)
        if partial is None:
            return dx, None, None
        sums, first = partial_sums(partial, self.accumulator), self.width * needs[1]
        return dx, sums[:first] if needs[1] else None, sums[first:] if needs[2] else None

    def _partial(self, slabs, needs):
        """Where so many blocks write sums, those of both weights side by side: all of it, then
        where gamma's begin, and beta's, and how far it is from one block's to the next."""
        if not any(needs):
            return None, (None, None, 0)
        partial = empty((slabs, self.width * sum(needs)), self.accumulator)
        flat, (of_gamma, of_beta) = partial.reshape(-1), needs
        beta = flat[self.width * of_gamma :] if of_beta else None
        return partial, (flat if of_gamma else None, beta, partial.shape[1])


def in_accumulator(weights, dtype):
    """Weights as the kernels take them: in a row, in the dtype of sums; None stays."""
    if weights is None:
        return None
    return contiguous(weights.astype(accumulator(dtype), copy=False)).reshape(-1)


@normalized_along.on("cupy")
def _(x, gamma=None, beta=None, *, axes, epsilon, kind=LAYER, needs=None):
    width = prod(x.shape[axis] for axis in axes)
    if not is_float(x) or not 0 < width <= LONGEST:
        return NotImplemented
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    order = (*kept, *axes)
    sorted_already = order == tuple(range(x.ndim))
    there = x if sorted_already else x.transpose(order)
    form, back = there.shape, [order.index(axis) for axis in range(x.ndim)]

    def rows_of(a):
        a = a if sorted_already else a.transpose(order)
        return contiguous(a).reshape(-1, width)

    def as_before(rows):
        rows = rows.reshape(form)
        return rows if sorted_already else rows.transpose(back)

    made = Rows(rows_of(x), kind, float(epsilon))
    flat = [in_accumulator(w, x.dtype) for w in (gamma, beta)]
    out = as_before(made.forward(*flat, keep=needs is not None))
    if needs is None:
        return out
    wanted = (*needs, False, False)[:3]

    def pullback(g):
        dx, *others = made.backward(rows_of(g), flat[0], wanted)
        return None if dx is None else as_before(dx), *_shaped(others, gamma, beta)

    return out, pullback


@normalized_sum.on("cupy")
def _(x, other, gamma=None, beta=None, *, axes, epsilon, kind=LAYER, needs=None):
    """For the last axes: the sum is read where it is made, and so is its gradient."""
    width, form = prod(x.shape[axis] for axis in axes), x.shape
    fits = tuple(axes) == tuple(range(x.ndim - len(axes), x.ndim)) and 0 < width <= LONGEST
    if not fits or not is_float(x, other) or other.shape != form:
        return NotImplemented

    def rows_of(a):
        return contiguous(a).reshape(-1, width)

    made = Rows(rows_of(x), kind, float(epsilon))
    flat = [in_accumulator(w, x.dtype) for w in (gamma, beta)]
    out = made.forward(*flat, keep=needs is not None, added=rows_of(other)).reshape(form)
    out = made.x.reshape(form), out
    if needs is None:
        return out
    wanted = (needs[0] or needs[1], *needs[2:], False, False)[:3]

    def pullback(g):
        more, g = (None if part is None else rows_of(part) for part in g)
        if g is None:  # Nobody asks for what is normalized.
            return more.reshape(form), more.reshape(form), None, None
        dx, *others = made.backward(g, flat[0], wanted, more)
        dx = None if dx is None else dx.reshape(form)
        return dx, dx, *_shaped(others, gamma, beta)

    pullback.takes_none = True  # For a sum that only its normalization reads.
    return out, pullback


def _shaped(gradients, *weights):
    """The gradients of weights in the shapes of these; None stays."""
    pairs = zip(gradients, weights, strict=True)
    return [None if g is None else g.reshape(w.shape) for g, w in pairs]
