"""Attention forward by wgmma and TMA, on GPUs of sm_90: attention_hopper.cu."""

from __future__ import annotations

from . import hopper
from .module import Module, blocks, c_type, empty

_source = Module("attention_hopper", hopper.SM_90A)

ROWS, BOX = 128, 64  # Queries of a block; elements of a line that are copied together.
LEAST = 32  # Of a head: smaller ones would be half empty.

INSTANCES: list[dict] = []
HOPPER_INSTANCES = [
    {
        "T": dtype, "B": dtype, "EXTRAS": False, "PASS": "FORWARD", "TENSOR": True, "ROWS": ROWS,
        "COLUMNS": columns, "SIZE": size, "WIDTH": size, "M": 1,
    }
    for dtype, columns, size in (
        ("bfloat16", 128, 64), ("bfloat16", 128, 128), ("float16", 128, 128), ("float16", 64, 256),
    )
]  # fmt: skip


def forward(work):
    """The outputs, and the logarithm of each query's sum, of an `attention.Work` without extras.

    None for what is left to attention.cu: other GPUs, dtypes and sizes, and what TMA cannot reach.
    """
    query, key, value = work.arrays
    dtype, batch, length, heads = query.dtype, *query.shape[:3]
    size = padded(work)
    columns = 128 if size <= 128 else 64
    maps = reached(
        work,
        [
            (work.query, query.shape, ROWS),
            (work.key, key.shape, columns),
            (work.value, value.shape, columns),
        ],
    )
    if maps is None:
        return None
    out = empty((batch, length, heads, value.shape[3]), dtype)
    sums = empty((batch, heads, length), "float32")
    kernel = _source.kernel(
        "attention_hopper", T=dtype, B=dtype, EXTRAS=False, PASS="FORWARD", TENSOR=True,
        ROWS=ROWS, COLUMNS=columns, SIZE=size, WIDTH=size, M=1,
    )  # fmt: skip
    kernel(
        blocks(length, ROWS) * heads * batch, 2 * ROWS + 128, *maps, work.lengths, work.starts,
        out, sums, work.scale, work.problem, shared=(ROWS + 4 * columns) * size * 2,
    )  # fmt: skip
    return out, sums


def padded(work) -> int:
    """SIZE for heads of these sizes: 64, 128 or 256."""
    size = _size(work)
    return 256 if size > 128 else blocks(size, BOX) * BOX


def reached(work, given):
    """Tensor maps of arrays (`attention.Lines`, shape, lines of a box); None if there are none."""
    if c_type(work.arrays[0].dtype) not in ("half", "bfloat16") or _size(work) <= LEAST:
        return None
    if not hopper.runs_here():
        return None
    placed = [(lines.flat, shape, _strides(lines, shape), box) for lines, shape, box in given]
    if not all(hopper.addressable(flat, strides) for flat, _, strides, _ in placed):
        return None
    return [_map(*x) for x in placed]


def _size(work):
    query, _, value = work.arrays
    return max(query.shape[3], value.shape[3])


def _strides(lines, shape) -> tuple[int, ...]:
    """Of the axes samples, heads, places, elements; any where an axis has one place."""
    batch, place, head = (BOX if n == 1 else s for s, n in zip(lines.strides, shape[:3]))
    return batch, head, place, 1


def _map(flat, shape, strides, box):
    batch, places, heads, size = shape
    return hopper.tensor_map(flat, (batch, heads, places, size), strides, (1, 1, box, BOX))
