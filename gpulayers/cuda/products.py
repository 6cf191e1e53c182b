"""Launches of gemm.cu: how a product is shared among blocks, and by which instructions."""

from __future__ import annotations

from .. import config
from . import hopper, warpgroups
from .activation import LINEAR, Curve
from .matrices import Matrices
from .module import Module, blocks, c_type, capability, empty, multiprocessors
from .partial_sums import accumulator

_source = Module("gemm")
_hopper = Module("gemm", hopper.SM_90A)

SIMT, TENSOR, TENSOR_TF32 = 0, 1, 2  # TENSOR in the source; warpgroups.PATH is another.
STEP = 32  # What the depth of a split is a multiple of.
LEAST_DEPTH = 256  # Of a split: below it, adding the splits takes as long as it saves.

INSTANCES = [
    {
        "T": dtype, "TILE": tile, "TENSOR": path,
        "TRANS_A": a, "TRANS_B": b, "ACTIVATION": activation,
    }
    for dtype, tile, path, a, b, activation in (
        ("float16", 128, TENSOR, False, False, "GELU"),
        ("float16", 64, TENSOR, False, True, "LINEAR"),
        ("bfloat16", 128, TENSOR, True, True, "LINEAR"),
        ("bfloat16", 128, TENSOR, True, False, "LINEAR"),
        ("bfloat16", 64, SIMT, False, True, "LINEAR"),
        ("float32", 128, TENSOR_TF32, False, False, "TANH"),
        ("float32", 128, TENSOR_TF32, True, False, "LINEAR"),
        ("float32", 128, SIMT, False, False, "TANH"),
        ("float32", 128, SIMT, True, False, "LINEAR"),
        ("float32", 64, SIMT, True, True, "RELU"),
        ("float64", 64, SIMT, False, True, "GELU"),
    )
]  # fmt: skip
HOPPER_INSTANCES = [
    {
        "T": dtype, "TILE": tile, "TENSOR": warpgroups.PATH,
        "TRANS_A": a, "TRANS_B": b, "ACTIVATION": activation,
    }
    for dtype, tile, a, b, activation in (
        ("float16", 128, False, False, "GELU"),
        ("bfloat16", 256, False, True, "GELU"),
        ("bfloat16", 256, True, False, "LINEAR"),
        ("float16", 64, True, True, "LINEAR"),
        ("float32", 128, False, True, "TANH"),
    )
]  # fmt: skip


def tf32(dtype) -> bool:
    """Whether products of this dtype may round their factors to TF32."""
    return c_type(dtype) == "float" and config.float32_matmul_precision() == "high"


def path(dtype) -> int:
    """What multiplies: SIMT for ordinary arithmetic, or tensor cores."""
    kind, has = c_type(dtype), capability()
    if kind == "half":
        return TENSOR if has >= 75 else SIMT
    if kind == "bfloat16":
        return TENSOR if has >= 80 else SIMT
    return TENSOR_TF32 if has >= 80 and tf32(dtype) else SIMT


def tiling(rows: int, columns: int, depth: int, batch: int, dtype) -> tuple[int, int, int]:
    """The size of a block's tile, in how many parts the depth is split, and the depth of each.

    Large tiles read less, small ones occupy more multiprocessors; where even these are too few for
    all of them, and the depth is large, blocks share a tile.  It depends on nothing but sizes and
    the GPU, so that sums have one order.
    """
    most = multiprocessors()
    large = batch * blocks(rows, 128) * blocks(columns, 128)
    tile = 128 if large >= most and c_type(dtype) != "double" else 64
    tiles = batch * blocks(rows, tile) * blocks(columns, tile)
    splits = max(min(2 * most // tiles, depth // LEAST_DEPTH), 1)
    each = max(blocks(blocks(depth, splits), STEP), 1) * STEP
    return tile, max(blocks(depth, each), 1), each


def launch(
    a: Matrices, b: Matrices, y: Matrices, *,
    batch: int = 1, bias=None, saved=None, curve: Curve = LINEAR, alpha: float = 1.0, added=None,
) -> None:  # fmt: skip
    """y = curve(alpha a b (+ added) + bias) for each of a batch; see gemm.cu.

    Args:
        a, b, y: of one dtype; y is not transposed, and neither empty.
        bias: (columns,) or None.
        added: an array like y's, perhaps y itself, or None.
        saved: an array like y's that gets what the bias is added to, or None.
        curve: an activation function that kernels know.
    """
    rows, columns, depth, dtype = y.rows, y.columns, a.columns, y.array.dtype
    constants = {"T": dtype, "TRANS_A": a.transposed, "TRANS_B": b.transposed}
    constants["ACTIVATION"] = curve.name
    result, after = _flat(y, batch), (alpha, added, *curve.parameters)
    way = path(dtype)
    mapped = warpgroups.operands(a, b, batch) if way != SIMT else None
    if mapped is not None:
        (tile, splits, each), map_a, map_b = mapped
        constants |= {"TILE": tile, "TENSOR": warpgroups.PATH}
        partial = _partial(batch * splits * rows * columns, splits, dtype)
        _hopper.kernel("gemm_of_warpgroups", **constants)(
            blocks(rows, warpgroups.ROWS) * blocks(columns, tile) * splits * batch,
            warpgroups.THREADS, map_a, map_b, bias, result, saved, partial,
            rows, columns, depth, y.ld, y.stride, a.stride != 0, b.stride != 0,
            each, splits, *after, shared=warpgroups.shared(tile),
        )  # fmt: skip
    else:
        tile, splits, each = tiling(rows, columns, depth, batch, dtype)
        constants |= {"TILE": tile, "TENSOR": way}
        partial = _partial(batch * splits * rows * columns, splits, dtype)
        _source.kernel("gemm", **constants)(
            blocks(rows, tile) * blocks(columns, tile) * splits * batch,
            2 * tile, _flat(a, batch), _flat(b, batch), bias, result, saved, partial,
            rows, columns, depth, a.ld, b.ld, y.ld, a.stride, b.stride, y.stride,
            each, splits, *after, shared=tile * 384 if way else 0,
        )  # fmt: skip
    if partial is not None:
        grid = blocks(batch * rows * blocks(columns, 8), 256)
        source = _source if mapped is None else _hopper
        source.kernel("gemm_finish", **constants)(
            grid, 256, partial, bias, result, saved, batch, rows, columns, y.ld, y.stride,
            splits, *after,
        )  # fmt: skip


def _partial(size: int, splits: int, dtype):
    """Where blocks that share a tile write their sums; None if none do."""
    return empty((size,), accumulator(dtype)) if splits > 1 else None


def _flat(m: Matrices, batch: int):
    """The elements from the first to the last of some matrices, as one contiguous array."""
    x = m.array
    if m.offset == 0 and x.flags.c_contiguous:
        return x
    import cupy

    start = x.data + m.offset * x.itemsize
    return cupy.ndarray((m.extent(batch),), x.dtype, start)
