"""Attention of a few queries to many keys, which blocks share: attention_decode.cu."""

from __future__ import annotations

from .attention_tiling import decode_constants, shared_memory, threads
from .module import Module, blocks, empty, multiprocessors, shared_memory_limit
from .partial_sums import accumulator

_source = Module("attention_decode")

QUERIES = 8  # The most of a sample.
LEAST = 256  # Keys of a split: below it, adding the splits takes as long as it saves.

INSTANCES = [
    {
        "T": dtype, "B": dtype, "EXTRAS": extras, "PASS": "DECODE", "TENSOR": tensor, "ROWS": rows,
        "COLUMNS": columns, "SIZE": size, "WIDTH": width, "M": fragments,
    }
    for dtype, extras, tensor, rows, columns, size, width, fragments in (
        ("bfloat16", False, True, 16, 32, 128, 128, 1),
        ("float16", True, True, 64, 32, 64, 64, 1),
        ("bfloat16", True, True, 32, 32, 256, 256, 1),
        ("float32", False, False, 32, 64, 128, 128, 0),
    )
]  # fmt: skip


def forward(work):
    """The outputs, and the logarithm of each query's sum, of an `attention.Work` without dropout.

    None for what is left to attention.cu: many queries.
    """
    query, key, value = work.arrays
    batch, length, heads, _ = query.shape
    groups, keys, size = key.shape[2], key.shape[1], value.shape[3]
    rows, wide = length * heads // groups, accumulator(query.dtype)
    limit = shared_memory_limit() - 1024
    how = decode_constants(query.dtype, max(query.shape[3], size), rows, limit)
    if length > QUERIES or how is None:
        return None
    how = {"T": query.dtype, "B": work.bias_dtype, "EXTRAS": work.changed, **how}
    slices = how["SIZE"] // how["WIDTH"]
    splits, each = parts(keys, batch * groups * slices, how["COLUMNS"])
    partial = empty((batch, groups, splits, rows, size), wide)
    numbers = empty((batch, groups, splits, rows, 2), wide)
    _source.kernel("attention_decode", **how)(
        splits * slices * groups * batch, threads(how), *work.inputs(), partial, numbers,
        work.scale, splits, each, work.problem, shared=shared_memory(how),
    )  # fmt: skip
    out = empty((batch, length, heads, size), query.dtype)
    sums = empty((batch, heads, length), wide)
    _source.kernel("attention_combine", **how)(
        blocks(batch * heads * length, 8), 256, partial, numbers, work.value.flat, out, sums,
        splits, work.problem,
    )  # fmt: skip
    return out, sums


def parts(keys: int, others: int, columns: int) -> tuple[int, int]:
    """In how many parts the keys are split, and how many each has (a multiple of `columns`).

    others: how many blocks there are for each split.  It depends on nothing but sizes and the GPU,
    so that sums have one order.
    """
    wanted = blocks(4 * multiprocessors(), others)
    splits = max(min(wanted, keys // LEAST), 1)
    each = blocks(blocks(keys, splits), columns) * columns
    return blocks(keys, each), each
