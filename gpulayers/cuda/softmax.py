"""Softmax and log-softmax of CuPy arrays over neighbouring axes: one read and one write each way.

Rows of up to 32768 elements (for the gradient, which reads two arrays, and for float64: half of it)
are held in registers; longer ones are read twice.  Axes with others between them are left to the
reference.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from ..ops.softmax import axes_of, log_softmax, softmax
from .module import Module, blocks, contiguous, empty, empty_like, is_float, multiprocessors
from .partial_sums import accumulator

_source = Module("softmax")

VECTOR, WARP = 16, 32  # Bytes moved at once; threads.
BLOCK, LONG_BLOCK = 256, 1024  # As in the source.
MOST = 1024  # Threads that may share a row which they hold.
PART = 1024 * VECTOR  # Bytes of a row that are worth a block of their own, where rows are few.


def _instances():
    for dtype, form, lanes, per, whole in (
        ("float32", "ROWS", 32, 8, True),
        ("float32", "ROWS", 4, 3, False),
        ("float32", "ROWS", 0, 8, True),
        ("float16", "ROWS", 0, 4, True),
        ("bfloat16", "ROWS", 16, 4, True),
        ("bfloat16", "ROWS", 0, 4, True),
        ("float64", "ROWS", 0, 8, True),
        ("float32", "LONG", 0, 0, True),
        ("bfloat16", "LONG", 0, 0, True),
        ("float32", "COLUMNS", 0, 8, True),
        ("float32", "COLUMNS", 0, 0, True),
        ("float32", "COLUMNS", 0, 8, False),
        ("bfloat16", "COLUMNS", 0, 4, True),
    ):
        log = dtype != "float32" or lanes == 32
        constants = {"FORM": form, "WHOLE": whole, "LANES": lanes, "PER": per}
        yield {"T": dtype, "LOG": log, **constants}


INSTANCES = list(_instances())


class Launch(NamedTuple):
    """A kernel's name before "softmax", its constants, and how it is launched."""

    prefix: str
    constants: dict
    grid: int
    block: int
    sizes: tuple


@lru_cache(1024)
def launch(shape, axis, itemsize: int, arrays: int) -> Launch | None:
    """How a kernel reads so many arrays of a shape; None for axes with others between them."""
    found = layout(shape, axis)
    if found is None or not found[1]:
        return None
    outer, length, inner = found
    most = 8 if itemsize > 2 else 4  # Vectors that a thread can hold: 32 registers of numbers.
    if inner == 1:
        return rows_launch(outer, length, itemsize, most, arrays)
    whole = inner % (VECTOR // itemsize) == 0
    side = inner // (VECTOR // itemsize) if whole else inner  # What lies side by side.
    held = min(most, 4) if arrays > 1 else most
    along = min(power_of_two(blocks(length, held)), BLOCK // min(WARP, power_of_two(side)))
    per = blocks(length, along)
    constants = _constants("COLUMNS", whole, 0, per if per <= held else 0)
    lanes = BLOCK // along
    grid = blocks(outer * side, lanes)
    return Launch("column_", constants, grid, BLOCK, (outer * inner, length, inner, lanes))


def rows_launch(rows: int, width: int, itemsize: int, most: int, arrays: int) -> Launch:
    """That for the last axis."""
    whole, vectors = row_vectors(width, itemsize)
    if vectors <= WARP * most:
        lanes = row_lanes(vectors, whole)
        constants = _constants("ROWS", whole, lanes, blocks(vectors, lanes))
        return Launch("", constants, blocks(rows, BLOCK // lanes), BLOCK, (rows, width))
    if vectors <= MOST // (2 if itemsize == 8 else arrays) * most:
        block = blocks(vectors, most * WARP) * WARP
        return Launch("", _constants("ROWS", True, 0, most), rows, block, (rows, width))
    return Launch("long_", _constants("LONG", True, 0, 0), rows, LONG_BLOCK, (width, vectors))


def _constants(form, whole, lanes, per) -> dict:
    return {"FORM": form, "WHOLE": whole, "LANES": lanes, "PER": per}


def layout(shape, axis) -> tuple[int, int, int] | None:
    """(outer, length, inner) with the axes as the middle one; None if others lie between them."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    chosen = sorted(a % len(shape) for a in axes)
    if len(set(chosen)) < len(chosen):
        return None
    chosen = [a for a in chosen if shape[a] != 1]
    if not chosen:
        return math.prod(shape), 1, 1
    first, last = chosen[0], chosen[-1] + 1
    if any(shape[a] != 1 and a not in chosen for a in range(first, last)):
        return None
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


def row_vectors(width: int, itemsize: int) -> tuple[bool, int]:
    """Whether rows are moved by vectors, and how many vectors (or else elements) lie in one.

    Short rows that begin between vectors are not: most of their vectors would be shared.
    """
    size = VECTOR // itemsize
    if width % size == 0:
        return True, width // size
    if width < 4 * WARP:
        return False, width
    return True, blocks(width + size - 1, size)


def row_lanes(vectors: int, whole: bool = True) -> int:
    """How many threads of a warp share a row of so many vectors, each with a few of them."""
    fewest = min(power_of_two(vectors), 8) if whole else 1
    return min(max(power_of_two(blocks(vectors, 4)), fewest), WARP)


def power_of_two(n: int) -> int:
    """The smallest power of two that is not below `n`."""
    return 1 << max(n - 1, 0).bit_length()


def _run(direction: str, how: Launch, arrays, log: bool):
    """Launch it on arrays, of which the last is written."""
    dtype = arrays[-1].dtype
    name = f"{how.prefix}softmax_{direction}"
    kernel = _source.kernel(name, T=dtype, LOG=log, **how.constants)
    if how.prefix != "long_":
        kernel(how.grid, how.block, *arrays, *how.sizes)
        return
    (width, vectors), rows = how.sizes, how.grid
    wanted = min(4 * multiprocessors() // max(rows, 1), blocks(vectors * VECTOR, PART))
    each = blocks(vectors, max(wanted, 1))
    parts = blocks(vectors, each)
    if rows >= multiprocessors() or parts == 1:
        kernel(rows, how.block, *arrays, None, width, vectors)
        return
    partial = empty((rows, parts, 2), accumulator(dtype))
    kernel((rows, parts), how.block, *arrays[:-1], None, partial, width, each)
    kernel((rows, parts), how.block, *arrays, partial, width, each)


def _softmax(x, axis, needs, log):
    if not is_float(x):
        return NotImplemented
    axis = axes_of(axis, x.ndim)
    how = launch(x.shape, axis, x.itemsize, 1)
    if how is None:
        return NotImplemented
    x = contiguous(x)
    y = empty_like(x)
    _run("forward", how, (x, y), log)
    if needs is None:
        return y

    def pullback(g):
        dx = empty_like(y)
        _run("backward", launch(y.shape, axis, y.itemsize, 2), (contiguous(g), y, dx), log)
        return dx, None

    return y, pullback


@softmax.on("cupy")
def _(x, axis=-1, *, needs=None):
    return _softmax(x, axis, needs, False)


@log_softmax.on("cupy")
def _(x, axis=-1, *, needs=None):
    return _softmax(x, axis, needs, True)
