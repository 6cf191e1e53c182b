"""Attention's gradients by wgmma and TMA, on GPUs of sm_90: attention_hopper_gradients.cu."""

from __future__ import annotations

from . import hopper
from .attention_hopper import ROWS, padded, reached
from .module import Module, blocks, empty

_source = Module("attention_hopper_gradients", hopper.SM_90A)

# For each pass and SIZE: COLUMNS and WIDTH, so that registers and shared memory hold them.
TILES = {
    ("QUERY", 64): (128, 64), ("QUERY", 128): (96, 128), ("QUERY", 256): (32, 256),
    ("KEY", 64): (128, 64), ("KEY", 128): (64, 128), ("KEY", 256): (32, 128),
}  # fmt: skip


def constants(way: str, dtype, size: int) -> dict:
    """Those of the source, for heads of a padded size."""
    columns, width = TILES[way, size]
    return {
        "T": dtype, "B": dtype, "EXTRAS": False, "PASS": way, "TENSOR": True, "ROWS": ROWS,
        "COLUMNS": columns, "SIZE": size, "WIDTH": width, "M": 1,
    }  # fmt: skip


INSTANCES: list[dict] = []
HOPPER_INSTANCES = [
    constants(way, dtype, size)
    for way, size, dtype in (
        ("QUERY", 64, "bfloat16"), ("QUERY", 128, "float16"), ("QUERY", 256, "bfloat16"),
        ("KEY", 64, "float16"), ("KEY", 128, "bfloat16"), ("KEY", 256, "float16"),
    )
]  # fmt: skip


def query_gradient(work, g, sums, delta):
    """The gradient of the queries of an `attention.Work` without extras; None for what is left.

    Args:
        g: the gradient of the outputs, as `attention.lines` has it.
        sums, delta: as attention.cu has them.
    """
    query = work.arrays[0]
    mine, others = _sides(work, g)
    found = _launch(work, "QUERY", query.shape, (mine, others), (sums, delta), (query,))
    return found and found[0]


def key_gradients(work, g, sums, delta):
    """Those of the keys and values, in the same way."""
    _, key, value = work.arrays
    mine, others = _sides(work, g)
    return _launch(work, "KEY", key.shape, (others, mine), (sums, delta), (key, value))


def _sides(work, g):
    """Arrays with their shapes: queries and gradients of outputs; keys and values."""
    query, key, value = work.arrays
    outputs = (*query.shape[:3], value.shape[3])
    queries = (work.query, query.shape), (g, outputs)
    return queries, ((work.key, key.shape), (work.value, value.shape))


def _launch(work, way, shape, sides, numbers, like):
    """Gradients of `like`: of a side of this shape, which meets the other one."""
    how = constants(way, work.arrays[0].dtype, padded(work))
    boxes = zip(sides, (ROWS, how["COLUMNS"]), strict=True)
    maps = reached(work, [(*placed, box) for side, box in boxes for placed in side])
    if maps is None:
        return None
    found = [empty(x.shape, x.dtype) for x in like]
    batch, places, heads, _ = shape
    kernel = _source.kernel("attention_hopper_gradients", **how)
    kernel(
        blocks(places, ROWS) * (how["SIZE"] // how["WIDTH"]) * heads * batch, 2 * ROWS + 128,
        *maps, work.lengths, work.starts, *numbers, *found, *(None,) * (2 - len(found)),
        work.scale, work.problem,
        shared=(2 * ROWS + 4 * how["COLUMNS"]) * how["SIZE"] * 2,
    )  # fmt: skip
    return found
