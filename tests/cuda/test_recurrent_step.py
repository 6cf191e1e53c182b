"""Recurrent layers with one launch for each step."""

from __future__ import annotations

import pytest
import rig
from product_checks import high_precision
from recurrent_checks import CELLS, check

from gpulayers.cuda import products
from gpulayers.cuda import recurrent as kernels

EVERY = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture(autouse=True)
def _by_steps(monkeypatch):
    monkeypatch.setattr(kernels, "way", lambda run: "steps")


@pytest.mark.parametrize("units", [1, 31, 32, 33, 64, 65])
@pytest.mark.parametrize(
    ("cell", "dtype"), [("lstm", "float32"), ("gru", "float16"), ("simple_rnn", "float16")]
)
def test_units_around_tiles(cupy, cell, dtype, units):
    check(cupy, cell, 2, 3, 3, units, dtype=dtype)


@pytest.mark.parametrize("count", [1, 33, 65])
@EVERY
def test_batches_around_tiles(cupy, cell, count):
    check(cupy, cell, count, 2, 3, 9, masked=True)


@EVERY
def test_any_order_of_threads(cupy, order, cell):
    check(cupy, cell, 2, 3, 4, 70)


@pytest.mark.parametrize("cell", ["lstm", "gru, reset before"])
def test_no_races(cupy, cell):
    with rig.schedule("random", sanitize="thread"):
        check(cupy, cell, 2, 1, 3, 8, masked=True, dtype="float16")


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_tf32(cupy, cell):
    with high_precision():
        check(cupy, cell, 3, 3, 8, 12, atol=1e-2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_older_gpus(cupy, monkeypatch, dtype):
    monkeypatch.setattr(products, "capability", lambda: 70)
    check(cupy, "lstm", 3, 3, 4, 6, dtype=dtype)
