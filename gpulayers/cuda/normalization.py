"""Normalization of CuPy arrays along axes: each row in the registers of a few threads."""

from __future__ import annotations

from math import prod

from ..ops.normalization import DEVIATION, LAYER, LENGTH, ROOT_MEAN_SQUARE, normalized_along
from .module import Module, blocks, contiguous, empty, empty_like, is_float, multiprocessors
from .partial_sums import accumulator, partial_sums

_source = Module("normalization")

KINDS = {LAYER: "LAYER", ROOT_MEAN_SQUARE: "RMS", DEVIATION: "DEVIATION", LENGTH: "LENGTH"}
VECTOR, HELD = 16, {2: 2, 4: 4, 8: 4}  # Bytes; vectors that a thread holds at most, by itemsize.
BLOCK, LARGEST, LARGEST_BACKWARD, TILE = 256, 1024, 512, 256  # Threads, as in the source.
LARGEST_OF_SUM = 512
LONGEST = 2**31 - 2**16  # Elements of a row, so that columns are ints.

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

    def forward(self, gamma, beta, keep: bool):
        """The result; if it is to `keep` them, the moments stay here for `backward`."""
        y = empty_like(self.x)
        if keep:
            self.factors = empty((self.rows,), self.accumulator)
            if self.kind in (LAYER, DEVIATION):
                self.means = empty((self.rows,), self.accumulator)
        given = self.x, gamma, beta, y, self.means, self.factors
        if self.group > LARGEST:
            kernel = self._kernel("normalize_forward_long")
            kernel(self.rows, LARGEST_BACKWARD, *given, self.width, self.epsilon)
        else:
            kernel, grid = self._kernel("normalize_forward"), blocks(self.rows, self.at_once)
            kernel(grid, self.block, *given, self.rows, self.width, self.group, self.epsilon)
        return y

    def forward_of_sum(self, added, total, gamma, beta):
        """The result for these rows and others, whose sums are written to `total`."""
        y = empty_like(self.x)
        given = self.x, added, total, gamma, beta, y
        if self.group > LARGEST_OF_SUM:
            kernel = self._kernel("normalize_sum_long")
            kernel(self.rows, LARGEST_BACKWARD, *given, self.width, self.epsilon)
        else:
            kernel, grid = self._kernel("normalize_sum"), blocks(self.rows, self.at_once)
            kernel(grid, self.block, *given, self.rows, self.width, self.group, self.epsilon)
        return y

    def backward(self, g, gamma, needs):
        """The gradients by x, gamma and beta, the latter in the accumulator's dtype."""
        dx = empty_like(self.x) if needs[0] else None
        long = self.group > LARGEST_BACKWARD
        if long:
            tiles = blocks(self.width, 32 * VECTOR // self.x.itemsize)
            wanted = max(8 * multiprocessors() // tiles, 1)
            rows_each = blocks(blocks(self.rows, wanted), 8) * 8
            slabs = blocks(self.rows, rows_each)
        else:
            slabs = min(blocks(self.rows, self.at_once), multiprocessors() * (512 // self.block))
        partial = [
            empty((slabs, self.width), self.accumulator) if need else None for need in needs[1:]
        ]
        given = g, self.x, gamma, self.means, self.factors
        if long:
            both = empty((self.rows, 2), self.accumulator)
            kernel = self._kernel("normalize_backward_shares")
            kernel(self.rows, LARGEST_BACKWARD, *given, both, self.width, self.epsilon)
            kernel = self._kernel("normalize_backward_long")
            sizes = self.rows, self.width, rows_each
            kernel((tiles, slabs), TILE, *given, both, dx, *partial, *sizes)
        else:
            kernel = self._kernel("normalize_backward")
            sizes = self.rows, self.width, self.group
            kernel(slabs, self.block, *given, dx, *partial, *sizes, self.epsilon)
        sums = [None if p is None else partial_sums(p, self.accumulator) for p in partial]
        return dx, *sums


def in_accumulator(weights, dtype):
    """Weights as the kernels take them: contiguous, in the dtype of sums; None stays."""
    return None if weights is None else contiguous(weights.astype(accumulator(dtype), copy=False))


def sum_and_normalized(x, other, gamma, beta, *, axes, epsilon, kind):
    """x + other, and that normalized along its last axes, in one pass over memory."""
    width = prod(x.shape[axis] for axis in axes)
    x, other, total = contiguous(x), contiguous(other), empty_like(x)
    weights = [None if w is None else in_accumulator(w, x.dtype).reshape(-1) for w in (gamma, beta)]
    rows = [a.reshape(-1, width) for a in (x, other, total)]
    made = Rows(rows[0], kind, float(epsilon)).forward_of_sum(*rows[1:], *weights)
    return total, made.reshape(x.shape)


def takes(x, axes) -> bool:
    """Whether `sum_and_normalized` is for arrays like `x`."""
    last = tuple(range(x.ndim - len(axes), x.ndim))
    return is_float(x) and tuple(axes) == last and 0 < prod(x.shape[a] for a in axes) <= LONGEST


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

    flat = [None if w is None else in_accumulator(w, x.dtype).reshape(-1) for w in (gamma, beta)]
    made = Rows(rows_of(x), kind, float(epsilon))
    out = as_before(made.forward(*flat, keep=needs is not None))
    if needs is None:
        return out
    wanted = (*needs, False, False)[:3]

    def pullback(g):
        dx, d_gamma, d_beta = made.backward(rows_of(g), flat[0], wanted)
        return (
            None if dx is None else as_before(dx),
            None if d_gamma is None else d_gamma.reshape(gamma.shape),
            None if d_beta is None else d_beta.reshape(beta.shape),
        )

    return out, pullback
