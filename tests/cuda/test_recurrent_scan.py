"""Recurrent layers with all steps in one launch: by blocks alone, in clusters, and in a grid."""

from __future__ import annotations

import pytest
import rig
from kernel_checks import SHORT
from recurrent_checks import CELLS, check, check_bad_masked_steps, check_bad_sequence

from gpulayers.cuda import recurrent as kernels
from gpulayers.cuda import recurrent_scan

EVERY = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture(params=["block", "cluster", "grid"])
def shared(request, monkeypatch):
    """By how many blocks the weights are shared, whatever their number is."""
    monkeypatch.setattr(recurrent_scan, "MOST", {request.param: {2: 1024, 4: 1024}})
    chosen = []

    def way(run, choose=kernels.way):
        found = choose(run)
        chosen.append((found, run.plan.kind))
        return found

    monkeypatch.setattr(kernels, "way", way)
    yield request.param
    assert set(chosen) <= {("scan", request.param)}


@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize("masked", [False, True])
@EVERY
def test_cells(cupy, shared, cell, masked, dtype):
    check(cupy, cell, 3, 4, 5, 6, masked=masked, dtype=dtype)


@pytest.mark.parametrize("units", [1, 31, 32, 33, 64, 65])
@pytest.mark.parametrize(
    ("cell", "dtype"),
    [
        ("lstm", "float16"),
        ("gru", "float32"),
        ("simple_rnn", "float16"),
        ("gru, reset before", "bfloat16"),
        ("gru, reset before", "float32"),
    ],
)
def test_units_around_tiles(cupy, shared, cell, dtype, units):
    if (shared, dtype, units) == ("block", "float32", 65):
        pytest.skip("the weights do not fit in a block")
    check(cupy, cell, 2, 3, 3, units, dtype=dtype)


@pytest.mark.parametrize(
    ("cell", "dtype"), [("lstm", "float32"), ("gru", "bfloat16"), ("gru, reset before", "float16")]
)
@pytest.mark.parametrize("count", [1, 16, 33])
def test_batches_around_tiles(cupy, shared, cell, dtype, count):
    check(cupy, cell, count, 2, 3, 9, masked=True, dtype=dtype)


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru, reset before"])
def test_several_tiles_of_sequences_in_a_group(cupy, order, monkeypatch, cell):
    """More sequences than the blocks that run at once can have tiles of."""
    monkeypatch.setattr(recurrent_scan, "MOST", {"grid": {2: 1024, 4: 1024}})
    monkeypatch.setattr(recurrent_scan, "multiprocessors", lambda: 2)
    plan = recurrent_scan.plans("grid", 4, 70, 70, 1, 2, 2, 227 * 1024)
    assert plan.slices * plan.groups <= 2
    assert plan.row_tiles > 2
    check(cupy, cell, 70, 2, 3, 70, dtype="float16", masked=True)


@EVERY
def test_any_order_of_threads(cupy, order, shared, cell):
    check(cupy, cell, 2, 3, 4, 62, dtype="float16")
    check(cupy, cell, 2, 3, 4, 40, dtype="float32")


@pytest.mark.parametrize(("cell", "dtype"), [("lstm", "float16"), ("gru, reset before", "float32")])
def test_no_races(cupy, shared, cell, dtype):
    with rig.schedule("random", sanitize="thread"):
        check(cupy, cell, 2, 2, 3, 50, masked=True, dtype=dtype)


@EVERY
def test_a_bad_sequence_harms_no_other(cupy, shared, cell):
    check_bad_sequence(cupy, cell)


@EVERY
def test_what_is_bad_at_masked_steps_is_in_no_gradient(cupy, shared, cell):
    check_bad_masked_steps(cupy, cell)


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru, reset before"])
def test_the_same_bits_each_time(cupy, shared, cell):
    first, second = (check(cupy, cell, 5, 4, 3, 60, dtype="float16") for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.get().tobytes() == b.get().tobytes()


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("shared_by", list(recurrent_scan.MOST))
def test_plans(shared_by, slots, itemsize):
    """All units have a block, and what a block has is as large as the kernels assume."""
    most = recurrent_scan.MOST[shared_by][itemsize]
    for units in (1, 7, 16, 33, 64, 100, 128, 200, 256, 320, 512, 700, 768, 1024):
        if units > most:
            continue
        for count in (1, 16, 17, 128):
            plan = recurrent_scan.plans(
                shared_by, slots, units, count, 1, itemsize, 132, 227 * 1024
            )
            assert plan is not None
            chunk, wide = 128 // itemsize, plan.own * slots
            assert plan.slices * plan.own == plan.padded >= units
            assert plan.padded % chunk == wide % chunk == 0
            assert 16 * plan.groups * plan.row_tiles >= count
            assert max(plan.shared, plan.shared_back) <= 227 * 1024
            assert plan.groups * plan.slices <= 132 or shared_by != "grid"


@pytest.mark.parametrize(
    ("by", "slices", "cell", "dtype", "units"),
    [
        ("cluster", 8, "lstm", "float16", 300),
        ("cluster", 4, "gru", "float32", 150),
        ("grid", 4, "gru", "float32", 150),
        ("cluster", 4, "gru, reset before", "float16", 200),
        ("grid", 4, "gru, reset before", "float32", 150),
        ("grid", 4, "lstm", "bfloat16", 250),
    ],
)
def test_many_blocks_share_the_weights(cupy, monkeypatch, by, slices, cell, dtype, units):
    monkeypatch.setattr(recurrent_scan, "MOST", {by: {2: 1024, 4: 1024}})
    plan = recurrent_scan.plans(by, 4, units, 3, 1, 4 if dtype == "float32" else 2, 4, 227 * 1024)
    assert plan.slices == slices
    check(cupy, cell, 3, 2, 5, units, dtype=dtype, masked=True)
