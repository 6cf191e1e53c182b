"""Recurrent layers with one launch for each step: product, gates and states at once."""

from __future__ import annotations

from . import products
from .module import Module, blocks

_source = Module("recurrent_step")

TILE = 64  # Sequences of a block, and columns of its product.

INSTANCES = [
    {
        "T": dtype, "CELL": cell, "ACTIVATION": "TANH", "GATE": "SIGMOID", "TILE": TILE,
        "TENSOR": path,
    }
    for dtype, cell, path in (
        ("float16", "LSTM", products.TENSOR),
        ("bfloat16", "GRU", products.TENSOR),
        ("float32", "LSTM", products.TENSOR_TF32),
        ("float32", "LSTM", products.SIMT),
        ("float16", "GRU_BEFORE", products.TENSOR),
        ("float64", "LSTM", products.SIMT),
    )
]  # fmt: skip


def _launch(name, run, left, packed, columns, *args) -> None:
    """One step of all sequences: `left`, Matrices, times the packed weights, and what follows."""
    path = products.path(run.dtype)
    kernel = _source.kernel(name, **run.names, TILE=TILE, TENSOR=path)
    down = blocks(run.count, TILE)
    kernel(
        down * blocks(columns, TILE) * run.directions, 2 * TILE,
        left.array, left.offset, left.ld, left.stride, packed, *args[0], run.sizes, down, *args[1],
        shared=2 * TILE * 192 if path else 0,
    )  # fmt: skip


def forward(run, save: bool) -> None:
    """All steps, from `run.gates` to `run.states`; see `recurrent.Sequences`."""
    carry, before = run.carried(), run.all_at_once(run.first)
    arrays = run.gates, run.bias, run.first, run.states, run.carries, carry, run.reset, run.mask
    columns = run.units * run.cell.slots
    for step in range(run.steps):
        for second, packed in enumerate(run.packed):
            left = run.at(run.reset, step) if second else before
            more = step, save, bool(second)
            _launch("recurrent_step_forward", run, left, packed, columns, arrays, more)
        before = run.at(run.states, step)


def backward(run, g, g_carry, d, direct, d_carry) -> None:
    """All steps back: gradients of what gates were computed from, and those that are carried."""
    known = (
        g, g_carry, run.gates, run.first, run.first_carry, run.states, run.carries, d, direct,
        d_carry, run.mask,
    )  # fmt: skip
    depth = run.units * run.cell.slots
    for step in range(run.steps - 1, -1, -1):
        last = step == run.steps - 1
        # First what comes through r, for z and r come from the first product.
        for second in range(len(run.packed)):
            left = run.at(d, step if second or last else step + 1)
            arrays = (0 if last and not second else depth, *known)
            packed = run.packed[-1] if second else run.packed[0]
            more = step, bool(second)
            _launch("recurrent_step_backward", run, left, packed, run.units, arrays, more)
