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
    size = blocks(max(query.shape[3], value.shape[3]), BOX) * BOX
    if c_type(dtype) not in ("half", "bfloat16") or max(query.shape[3], value.shape[3]) <= LEAST:
        return None
    if not hopper.runs_here():
        return None
    columns = 128 if size <= 128 else 64
    given = (work.query, query, ROWS), (work.key, key, columns), (work.value, value, columns)
    if not all(hopper.addressable(lines.flat, _strides(lines, x)) for lines, x, _ in given):
        return None
    maps = [_map(lines, x, box) for lines, x, box in given]
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


def _strides(lines, x) -> tuple[int, ...]:
    """Of the axes samples, heads, places, elements; any where an axis has one place."""
    batch, place, head = (stride or BOX for stride in lines.strides)
    return batch, head, place, 1


def _map(lines, x, box):
    batch, places, heads, size = x.shape
    sizes = batch, heads, places, size
    return hopper.tensor_map(lines.flat, sizes, _strides(lines, x), (1, 1, box, BOX))
