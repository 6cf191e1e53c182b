"""How matrices lie in memory, and which batches of them one launch can multiply."""

from __future__ import annotations

from itertools import pairwise, product
from math import prod
from typing import NamedTuple

from .module import contiguous

LOOPS = 16  # So many launches of a batch each, rather than a copy that lets one launch do.


class Matrices(NamedTuple):
    """A batch of matrices, each (rows, columns), or held as (columns, rows) if `transposed`.

    The first begins `offset` elements behind the beginning of `array`; `ld` elements lie between
    the beginnings of lines, `stride` between those of matrices.
    """

    array: object
    rows: int
    columns: int
    transposed: bool
    ld: int
    stride: int = 0
    offset: int = 0

    def extent(self, batch: int) -> int:
        """How many elements there are from the first to the last of so many matrices."""
        rows, columns = self.rows, self.columns
        lines, length = (columns, rows) if self.transposed else (rows, columns)
        return max((lines - 1) * self.ld + length, 0) + (batch - 1) * self.stride


def held(x) -> Matrices:
    """The matrices of the last two axes of `x`: where they lie, or copied."""
    (rows, columns), (down, along), size = x.shape[-2:], x.strides[-2:], x.itemsize
    if all(stride >= 0 and stride % size == 0 for stride in x.strides):
        # The distance of lines means nothing where there is one: then it is a multiple of 8.
        if columns == 1 and down == size:
            return Matrices(x, rows, columns, True, -(-rows // 8) * 8)
        if (along == size or columns == 1) and (rows == 1 or down >= columns * size):
            ld = down // size if rows > 1 else -(-columns // 8) * 8
            return Matrices(x, rows, columns, False, ld)
        if (down == size or rows == 1) and (columns == 1 or along >= rows * size):
            ld = along // size if columns > 1 else -(-rows // 8) * 8
            return Matrices(x, rows, columns, True, ld)
    return Matrices(x.copy(), rows, columns, False, max(columns, 1))


def folded(a, b, y):
    """The arrays of one product, where a batch shares b and the rows of a follow each other."""
    if a.ndim > 2 and prod(b.shape[:-2]) == 1 and _follow(a.shape[:-1], a.strides[:-1]):
        rows, columns = y.size // y.shape[-1], y.shape[-1]
        return a.reshape(rows, a.shape[-1]), b.reshape(b.shape[-2:]), y.reshape(rows, columns)
    return a, b, y


def _follow(shape, strides) -> bool:
    """Whether axes can be seen as one."""
    axes = [(n, stride) for n, stride in zip(shape, strides, strict=True) if n != 1]
    return all(s == n * t for (_, s), (n, t) in pairwise(axes))


def batches(a, b, y):
    """The products that make up y = a b: (Matrices of a, of b, of y, how many) for each launch.

    Axes of a batch that follow each other in memory are one, and those over which an operand is
    broadcast have no distance.  What is then left beside the longest axis takes a launch for each
    of its matrices, or a copy of what lies unfavourably if these were many.
    """
    lead = y.shape[:-2]
    if not lead:
        yield held(a), held(b), _result(y), 1
        return
    left, right = held(a), held(b)
    axes = _axes(left.array, right.array, y)
    if _launches(axes) > LOOPS:
        left, right = held(contiguous(left.array)), held(contiguous(right.array))
        axes = _axes(left.array, right.array, y)
    if _launches(axes) > LOOPS:
        left, right = held(_spread(left.array, lead)), held(_spread(right.array, lead))
        axes = _axes(left.array, right.array, y)
    longest = max(range(len(axes)), key=lambda i: axes[i][0], default=None)
    count, *strides = axes.pop(longest) if axes else (1, 0, 0, 0)
    for place in product(*(range(n) for n, *_ in axes)):
        parts = zip((left, right, _result(y)), strides, *_transposed(axes), strict=True)
        yield (
            *(
                m._replace(stride=stride, offset=sum(i * s for i, s in zip(place, steps)))
                for m, stride, *steps in parts
            ),
            count,
        )


def _transposed(axes):
    """For each of the axes its three strides."""
    return [strides for _, *strides in axes]


def _result(y) -> Matrices:
    """The matrices of a C-contiguous array."""
    return Matrices(y, y.shape[-2], y.shape[-1], False, y.shape[-1])


def _axes(a, b, y) -> list[tuple[int, int, int, int]]:
    """The axes of a batch: (size, strides of a, b and y, in elements), outermost first."""
    axes: list[tuple[int, int, int, int]] = []
    for axis in range(y.ndim - 2):
        n = y.shape[axis]
        if n == 1:
            continue
        strides = [_stride(x, axis - y.ndim) for x in (a, b, y)]
        if axes and axes[-1][1:] == tuple(n * s for s in strides):
            n *= axes.pop()[0]
        axes.append((n, *strides))
    return axes


def _stride(x, axis: int) -> int:
    """Elements from one to the next along an axis; 0 where `x` is broadcast."""
    if x.ndim < -axis or x.shape[axis] == 1:
        return 0
    return x.strides[axis] // x.itemsize


def _launches(axes) -> int:
    sizes = [n for n, *_ in axes]
    return prod(sizes) // max(sizes, default=1)


def _spread(x, lead):
    """A copy in which each matrix of the batch has its own place."""
    import cupy

    return contiguous(cupy.broadcast_to(x, (*lead, *x.shape[-2:])))
