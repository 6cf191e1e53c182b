"""Long sequences on the GPU: only states stay, the gates of a part of the steps at a time."""

from __future__ import annotations

import gc
from types import FunctionType, MethodType, ModuleType

import numpy as np
import pytest
from kernel_checks import check_version
from recurrent_checks import CELLS, TOLERANCE, arrays_for, check

from gpulayers.cuda import recurrent as kernels
from gpulayers.cuda import recurrent_scan, recurrent_sequences
from gpulayers.ops.bidirectional import both_ways

EVERY = pytest.mark.parametrize("cell", CELLS)
WAYS = ["products", "steps", "block", "grid"]


@pytest.fixture(autouse=True)
def three_steps_at_a_time(monkeypatch):
    monkeypatch.setattr(recurrent_sequences, "AT_ONCE", 0)
    monkeypatch.setattr(recurrent_sequences, "LEAST_STEPS", 3)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Each way, for whatever there is to compute."""
    name = request.param
    if name in recurrent_scan.MOST:
        monkeypatch.setattr(recurrent_scan, "MOST", {name: {2: 1024, 4: 1024}})
    else:
        monkeypatch.setattr(kernels, "way", lambda run: name)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@EVERY
def test_parts_change_nothing(cupy, way, cell, dtype, count):
    for steps in (3, 4, 8):
        check(cupy, cell, count, steps, 4, 6, dtype=dtype, masked=count > 1)


@EVERY
def test_parts_of_both_ways(cupy, way, cell):
    one, other = (arrays_for(cell, 3, 7, 4, 5, seed=seed, masked=True) for seed in (0, 1))
    atol = 2 * TOLERANCE["float32"]
    check_version(
        cupy, both_ways, *one[:-1], *other[:-1], one[-1], cell=cell.partition(",")[0],
        atol=atol, rtol=atol, **CELLS[cell][3],
    )  # fmt: skip


@EVERY
def test_without_bias(cupy, cell):
    check(cupy, cell, 2, 7, 4, 5, bias=False)


@EVERY
def test_gradients_can_be_taken_twice(cupy, cell):
    op, states, _, options = CELLS[cell]
    given = [cupy.asarray(a.astype("f4")) for a in arrays_for(cell, 2, 7, 3, 4)[:-1]]
    out, pullback = op.version("cupy")(*given, None, needs=(True,) * len(given), **options)
    g = out[0] * 0 + 1 if states > 1 else out * 0 + 1
    one, two = (pullback((g, g) if states > 1 else g) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert (a is None and b is None) or (a.get() == b.get()).all()


def kept_by(function, kind):
    """The arrays that a function keeps, by their place in memory."""
    found, waiting, seen = {}, [function], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType)):
            continue
        seen.add(id(one))
        if isinstance(one, kind):
            place = one.data.ptr
            if place not in found or found[place].size < one.size:
                found[place] = one
        elif isinstance(one, FunctionType):
            waiting += [cell.cell_contents for cell in one.__closure__ or ()]
        elif not isinstance(one, MethodType):
            waiting += gc.get_referents(one)
    return found


@EVERY
def test_only_states_stay_in_memory(cupy, cell):
    """Beside the arguments: the states of all steps, three steps' gates, packed weights."""
    op, states, _, options = CELLS[cell]
    count, steps, units = 2, 60, 8
    given = [cupy.asarray(a.astype("f4")) for a in arrays_for(cell, count, steps, 2, units)[:-1]]
    out, pullback = op.version("cupy")(*given, None, needs=(True,) * len(given), **options)
    kept = kept_by(pullback, cupy.ndarray)
    sizes = [kept[place].size for place in kept.keys() - {a.data.ptr for a in given}]
    weights = 4 * (2 + 2 * units + 1) * units
    stored = [size for size in sizes if size >= count * steps * units]
    assert stored == [count * steps * units] * states
    assert sum(sizes) - sum(stored) <= weights + (6 + 5 * 3) * count * units
    found = pullback([a * 0 + 1 for a in out] if states > 1 else out * 0 + 1)
    assert len(found) == len(given)


def test_how_many_steps_there_are_at_a_time(monkeypatch):
    class Run(recurrent_sequences.Sequences):
        def __init__(self, count, steps, units):
            self.directions, self.count, self.steps, self.units = 1, count, steps, units
            self.cell, self.dtype = recurrent_sequences.LSTM, np.dtype("float32")

    monkeypatch.undo()
    assert Run(32, 100, 512).parts() == [(0, 100)]
    parts = Run(32, 10_000, 512).parts()
    assert all(b - a == 256 for a, b in parts[:-1])
    assert parts[-1][1] == 10_000
    assert Run(4096, 40, 1024).parts() == [(0, 16), (16, 32), (32, 40)]
    assert Run(0, 5, 4).parts() == [(0, 5)]
