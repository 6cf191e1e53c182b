"""Products by warpgroups, on sm_90a: which of them, in which tiles, and operands as tensor maps.

`gemm` and `convolution` ask here first, and take their other kernels for what does not fit.
"""

from __future__ import annotations

from functools import lru_cache

from . import hopper
from .matrices import Matrices
from .module import blocks, c_type, multiprocessors

PATH = 3  # TENSOR in the sources.
ROWS = 128  # Of a tile.
THREADS = 384
LINE = 128  # Bytes of the depth in a tile.
STAGES = 4
LARGEST = 2**31 - 1  # Of sizes: TMA counts in 32 bits.

# For each kind of elements: the least depth, and columns of tiles, of which the first is taken that
# gives each multiprocessor a tile; those of few columns are 64 wide.  A multiprocessor has one
# block, so that what comes before and after its products is not hidden behind another one's: that
# takes as long as some 8 steps of 64, by which deep products alone gain.  128 x 256 reads 0.75 of
# what 128 x 128 does for each product, and for TF32, half as fast, that matters less.  Estimated
# from rates, registers and shared memory for the H200; not yet measured.
TILES = {"16 bits": (512, (256, 128)), "32 bits": (256, (128,))}
NARROW = 64
LEAST_ROWS = 64  # Below them half of a tile is empty.


def serves(dtype) -> bool:
    """Whether warpgroups multiply on this GPU, and elements of this dtype (floats as TF32)."""
    return hopper.runs_here() and c_type(dtype) in hopper.DATA_TYPES


@lru_cache(maxsize=1024)
def tiling(rows, columns, depth, batch, itemsize, most, widest=256) -> tuple[int, int, int] | None:
    """A tile's columns, in how many parts the depth is split, and the depth of each.

    None if the product is too small for tiles of this size: `most` blocks run at once.  No tile
    is wider than `widest`.
    """
    least, widths = TILES[f"{8 * itemsize} bits"]
    if rows < LEAST_ROWS or depth < least or max(rows, columns, depth) > LARGEST:
        return None
    fitting = [width for width in widths if width < 2 * columns and width <= widest] or [NARROW]
    for width in fitting:
        tiles = batch * blocks(rows, ROWS) * blocks(columns, width)
        if tiles >= most:
            break
    step = LINE // itemsize
    splits = max(min(most // tiles, depth // least), 1)
    each = blocks(blocks(depth, splits), step) * step
    splits = blocks(depth, each)
    return (width, splits, each) if 2 * tiles * splits >= most else None


def fits(rows: int, columns: int, depth: int, dtype) -> bool:
    """Whether a product of matrices without gaps is one for warpgroups."""
    lines_fit = all(n * dtype.itemsize % 16 == 0 for n in (columns, depth))
    found = tiling(rows, columns, depth, 1, dtype.itemsize, multiprocessors())
    return lines_fit and found is not None and serves(dtype)


def shared(width: int) -> int:
    """Bytes of dynamic shared memory that tiles of so many columns take, and their barriers."""
    return STAGES * ((ROWS + width) * LINE + 16)


def operands(a: Matrices, b: Matrices, batch: int):
    """What `tiling` says of a product, and the maps of a and b; None where it is not for here.

    TF32 is multiplied along the depth only: a as it is, b held as its transpose.
    """
    x = a.array
    if not serves(x.dtype) or (x.itemsize == 4 and (a.transposed or not b.transposed)):
        return None
    found = tiling(a.rows, b.columns, a.columns, batch, x.itemsize, multiprocessors())
    if found is None or batch > LARGEST or not all(_addressable(m) for m in (a, b)):
        return None
    return found, _map(a, batch, ROWS, not a.transposed), _map(b, batch, found[0], b.transposed)


def _strides(m: Matrices) -> tuple[int, int, int]:
    return (m.stride or m.ld, m.ld, 1)  # Of a single matrix any will do.


def _addressable(m: Matrices) -> bool:
    return hopper.addressable(m.array, _strides(m), m.offset)


def _map(m: Matrices, batch: int, width: int, along: bool):
    """The map of an operand: `width` lines of a tile, or panels of 128 bytes across the depth."""
    lines = (m.columns, m.rows) if m.transposed else (m.rows, m.columns)
    step = LINE // m.array.itemsize
    box = (1, width, step) if along else (1, step, step)
    return hopper.tensor_map(
        m.array, (batch if m.stride else 1, *lines), _strides(m), box, offset=m.offset
    )
