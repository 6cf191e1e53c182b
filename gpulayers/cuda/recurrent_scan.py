"""Recurrent layers with all steps in one launch, by blocks that keep the recurrent weights.

| blocks that share the weights | how they exchange states | GPU |
| --- | --- | --- |
| 1 | | any |
| 2, 4, 8: a cluster | through each other's shared memory | sm_90 |
| a part of a cooperative launch | through memory, with a barrier | sm_80 |
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from . import products
from .module import (
    Module,
    blocks,
    capability,
    empty,
    multiprocessors,
    other_work,
    shared_memory_limit,
)

_source, _cooperative = Module("recurrent_scan"), Module("recurrent_scan", cooperative=True)

THREADS, ROWS, WARPS, TILE = 256, 16, 8, 2048  # As in the source; TILE in bytes.
# Tiles of a warp in registers, if a block has so many units: as many as those need not.
HELD = {32: 8, 64: 7, 128: 4}
CLUSTERS = (2, 4, 8)
# The most units for a block alone, a cluster, and a grid, by itemsize; for a grid also the most
# sequences times units.  Estimates, to be measured: a block multiplies 16 sequences by its weights
# in 0.5 us where they fill it; a cluster's barrier takes 0.3 us, a grid's 1 us, and its blocks read
# all states of a step from the L2 cache.  Beyond, a step takes longer than its launches.
MOST = {"block": {2: 128, 4: 64}, "cluster": {2: 512, 4: 256}, "grid": {2: 1024, 4: 1024}}
MOST_IN_GRID = {2: 2**18, 4: 2**17}
GRID = 0  # SLICES of a grid.

INSTANCES = [
    {
        "T": dtype, "CELL": cell, "ACTIVATION": "TANH", "GATE": "SIGMOID", "OWN": own,
        "SLICES": slices, "TENSOR": int(held > 0), "HELD": held,
    }
    for dtype, cell, own, slices, held in (
        ("float16", "LSTM", 128, 1, 4),
        ("bfloat16", "LSTM", 64, 8, 7),
        ("bfloat16", "GRU", 32, GRID, 8),
        ("float32", "GRU", 64, 1, 0),
        ("float32", "LSTM", 8, GRID, 0),
        ("float16", "GRU_BEFORE", 128, 1, 4),
        ("bfloat16", "GRU_BEFORE", 64, 8, 7),
    )
]  # fmt: skip


class Plan(NamedTuple):
    """How the work of a sequence is shared; the fields that the kernels take come first."""

    slices: int  # Blocks that share the weights.
    padded: int  # Units, with those that are missing in the last block.
    groups: int  # Of blocks, in each direction.
    row_tiles: int  # Of 16 sequences each, in a group.
    parts: int  # Of the depth of a product, forward and back.
    parts_back: int
    own: int  # Units of a block.
    held: int  # Tiles of a warp in registers.
    kind: str
    shared: int  # Bytes, forward and back.
    shared_back: int

    @property
    def struct(self) -> np.ndarray:
        """As the kernels take it."""
        return np.array(self[:6], np.int32).view([("", np.int32, 6)])


def _chunk(itemsize: int) -> int:
    return 128 // itemsize


def _parts(chunks: int, tiles: int) -> int:
    """In how many parts the depth is split, so that as many warps as can have one to multiply."""
    return max(min(WARPS // chunks, tiles), 1)


def _held(own: int, itemsize: int) -> int:
    if itemsize > 2:
        return 0
    return next((held for most, held in HELD.items() if own <= most), 0)


def _tiles_in_shared(chunks: int, parts: int, tiles: int, held: int) -> int:
    """Bytes of weights that a block has in shared memory."""
    deep = blocks(tiles, parts)
    rounds = blocks(chunks * parts, WARPS)
    return (rounds * deep - min(deep, held)) * WARPS * TILE


def _planned(kind, slices, own, slots, count, directions, itemsize, most) -> Plan:
    """The plan for so many slices of so many units; `most`: blocks that run at once."""
    padded, wide, pad = slices * own, own * slots, 16 // itemsize
    rows, groups, row_tiles = blocks(count, ROWS), blocks(count, ROWS), 1
    if kind == "grid":
        groups = max(min(rows, most // (slices * directions)), 1)
        row_tiles = blocks(rows, groups)
        groups = blocks(rows, row_tiles)
    chunk = _chunk(itemsize)
    forward, back = (wide // chunk, padded // 16), (padded // chunk, wide // 16)
    parts, parts_back = _parts(*forward), _parts(*back)
    units, held = ROWS * own, _held(own, itemsize)
    shared = (
        ROWS * (padded + pad) * itemsize * (1 if kind == "grid" else 2)
        + 4 * (parts * ROWS * wide + row_tiles * units + wide)
        + _tiles_in_shared(forward[0], parts, forward[1], held)
    )
    received = {"block": 1, "cluster": 2, "grid": 0}[kind] * slices * parts_back * units
    shared_back = (
        ROWS * (wide + pad) * itemsize
        + 4 * (row_tiles * units * 2 + received)
        + _tiles_in_shared(back[0], parts_back, back[1], held)
    )
    return Plan(
        slices, padded, groups, row_tiles, parts, parts_back, own, held, kind, shared, shared_back
    )


@lru_cache(maxsize=1024)
def plans(kind: str, slots, units, count, directions, itemsize, most, limit) -> Plan | None:
    """The plan with the fewest slices of this kind that fits; None if none does.

    most, limit: how many blocks run at once, and how many bytes of shared memory each may have.
    """
    chunk = _chunk(itemsize)
    least = chunk // slots  # Units of a slice are a multiple of it, all of them one of a chunk.
    slices = {"block": (1,), "cluster": CLUSTERS, "grid": range(1, most // directions + 1)}[kind]
    for n in slices:
        step = least
        while step * n % chunk:
            step += least
        own = blocks(blocks(units, n), step) * step
        if kind == "grid" and own * (n - 1) >= units:
            continue  # The last one would have none.
        plan = _planned(kind, n, own, slots, count, directions, itemsize, most)
        if max(plan.shared, plan.shared_back) <= limit:
            return plan
    return None


def plan(run) -> Plan | None:
    """How a sequence (`recurrent.Sequences`) is to be shared; None if that is not for it."""
    size, has = run.dtype.itemsize, capability()
    tensor = products.path(run.dtype) == products.TENSOR
    if size > 4 or (size == 2 and not tensor):
        return None
    for kind, most in MOST.items():
        old = {"block": False, "cluster": has < 90, "grid": has < 80}[kind]
        many = kind == "grid" and run.count * run.units > MOST_IN_GRID[size]
        if run.units > most[size] or old or many:
            continue
        found = plans(
            kind, run.cell.slots, run.units, run.count, run.directions, size, multiprocessors(),
            shared_memory_limit(),
        )  # fmt: skip
        if found is not None:
            return found
    return None


def _launch(name, run, shared, *args) -> None:
    plan = run.plan
    slices = GRID if plan.kind == "grid" else plan.slices
    source = _cooperative if plan.kind == "grid" else _source
    constants = {
        "OWN": plan.own, "SLICES": slices, "TENSOR": int(run.dtype.itemsize == 2),
        "HELD": plan.held,
    }  # fmt: skip
    groups, arrived = plan.groups * run.directions, None
    if plan.kind == "grid":
        arrived = empty((groups,), np.uint32)
        arrived.fill(0)
        other_work()
    source.kernel(name, **run.names, **constants)(
        groups * plan.slices, THREADS, *args[:-1], run.mask, arrived, run.sizes, plan.struct,
        *args[-1], shared=shared,
    )  # fmt: skip


def forward(run, save: bool) -> None:
    """All steps, from `run.gates` to `run.states`."""
    _launch(
        "recurrent_scan_forward", run, run.plan.shared, run.gates, run.bias, run.together,
        run.first, run.first_carry, run.states, run.carries, run.reset, (save,),
    )  # fmt: skip


def backward(run, g, g_carry, d, direct, d_carry) -> None:
    """All steps back: gradients of what gates were computed from, and of first states."""
    plan, exchanged = run.plan, None
    if plan.kind == "grid":
        sent = plan.slices * plan.parts_back * ROWS * plan.own
        groups = plan.groups * run.directions
        exchanged = empty((2 * groups * plan.row_tiles * plan.slices * sent,), direct.dtype)
    _launch(
        "recurrent_scan_backward", run, plan.shared_back, g, g_carry, run.gates, run.together,
        run.first, run.first_carry, run.states, run.carries, d, direct, d_carry, exchanged, (),
    )  # fmt: skip
