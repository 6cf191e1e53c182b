"""Loops over the steps of LSTM, GRU and SimpleRNN against the references in float64."""

import numpy as np
import pytest

from gpulayers.arrays import Tape, namespace
from gpulayers.cpu import recurrent, threads
from gpulayers.ops.recurrent import gru, lstm, simple_rnn

pytest.importorskip("numba")

CELLS = {
    "lstm": (lstm, 2, 4, {}),
    "gru": (gru, 1, 3, {}),
    "gru, reset before": (gru, 1, 3, {"reset_after": False}),
    "simple": (simple_rnn, 1, 1, {}),
}
pytestmark = pytest.mark.usefixtures("compiled")
OF_EACH = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture(params=[1, 2])
def in_threads(request, monkeypatch):
    monkeypatch.setattr(threads, "ENOUGH", 1)
    monkeypatch.setattr(threads, "_available_at_all", lambda: request.param)


def arrays_for(cell, n, steps, inputs, units, bias=True):
    _op, states, gates, _options = CELLS[cell]
    rng = np.random.default_rng(n * steps + units)
    shapes = [(n, steps, inputs), *[(n, units)] * states, (inputs, gates * units)]
    shapes.append((units, gates * units))
    shapes.append((2, 3 * units) if cell == "gru" else (gates * units,))
    found = [(rng.normal(size=s) * 0.7 / s[0] ** 0.25).astype("float32") for s in shapes]
    for a in found:
        a.flags.writeable = False
    return found if bias else [*found[:-1], None]


def listed(out):
    return list(out) if isinstance(out, tuple) else [out]


def check(cell, arrays, mask=None):
    """Results and gradients; those without a tape are the same to the last bit."""
    op, _, _, options = CELLS[cell]
    exact = [None if a is None else a.astype("float64") for a in arrays]
    out = op.reference(*exact, mask, **options)
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=w.shape) for w in listed(out)]
    given = weights if isinstance(out, tuple) else weights[0]
    wanted = op._vjp(namespace(exact[0]), out, *exact, mask, **options)(given)[:-1]
    needs = [a is not None for a in arrays]
    found, pullback = op.version("numpy")(*arrays, mask, needs=needs, **options)
    weights = [w.astype("float32") for w in weights]
    results = [*listed(found), *pullback(weights if isinstance(out, tuple) else weights[0])[:-1]]
    for a, b in zip(results, [*listed(out), *wanted], strict=True):
        if b is not None:
            assert a.dtype == "float32"
            assert np.abs(a - b).max() <= 1e-5 * max(np.abs(b).max(), 1)
    alone = op.version("numpy")(*arrays, mask, **options)
    for a, b in zip(listed(alone), listed(found), strict=True):
        np.testing.assert_array_equal(a, b)


@OF_EACH
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("n", "steps", "inputs", "units"),
    [(1, 3, 1, 1), (1, 130, 3, 17), (2, 5, 20, 16), (3, 50, 5, 33), (5, 2, 400, 65), (9, 1, 7, 64)],
)
def test_sizes_around_tiles_and_blocks(cell, masked, n, steps, inputs, units, in_threads):
    mask = np.random.default_rng(3).random((n, steps)) < 0.7 if masked else None
    check(cell, arrays_for(cell, n, steps, inputs, units), mask)


@OF_EACH
def test_many_sequences(cell, in_threads):
    check(cell, arrays_for(cell, 133, 4, 3, 20))


@OF_EACH
def test_many_units(cell):
    """The products of steps are added up in several parts."""
    check(cell, arrays_for(cell, 4, 3, 5, 400))


@OF_EACH
@pytest.mark.parametrize("masked", [False, True])
def test_some_steps_at_a_time(cell, masked, monkeypatch):
    monkeypatch.setattr(recurrent, "KEPT", 0)
    monkeypatch.setattr(recurrent, "LEAST_STEPS", 7)
    mask = np.random.default_rng(3).random((3, 20)) < 0.7 if masked else None
    check(cell, arrays_for(cell, 3, 20, 5, 6), mask)


@OF_EACH
def test_without_a_bias(cell):
    check(cell, arrays_for(cell, 2, 6, 3, 5, bias=False))


@OF_EACH
def test_what_masked_steps_see_has_no_effect(cell):
    arrays = arrays_for(cell, 3, 6, 4, 5)
    mask = np.ones((3, 6), bool)
    mask[1, 2:4] = mask[2, 0] = False
    arrays[0] = np.where(mask[:, :, None], arrays[0], np.float32(np.nan))
    op, _, _, options = CELLS[cell]
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in arrays]
        out = listed(op(*watched, mask, **options))
    weights = [np.ones(o.shape, "float32") for o in out]
    found = tape.gradient(out, watched, weights)
    assert all(np.isfinite(a).all() for a in found)


@OF_EACH
def test_what_is_no_number_stays(cell):
    """In one sequence, from its step on."""
    arrays = arrays_for(cell, 5, 6, 4, 5)
    arrays[0] = arrays[0].copy()
    arrays[0][1, 2, 0] = np.nan
    op, _, _, options = CELLS[cell]
    for out in listed(op(*arrays, **options)):
        assert np.isnan(out[1, 2:]).all()
        assert np.isfinite(np.delete(out, 1, axis=0)).all()
        assert np.isfinite(out[1, :2]).all()


@OF_EACH
def test_only_what_is_needed(cell):
    op, _, _, options = CELLS[cell]
    arrays = arrays_for(cell, 3, 4, 5, 6)
    out, pullback = op.version("numpy")(*arrays, needs=[True] * len(arrays), **options)
    g = tuple(np.ones_like(o) for o in listed(out)) if op is lstm else np.ones_like(out)
    every = pullback(g)
    for i in range(len(arrays)):
        needs = [k == i for k in range(len(arrays))]
        found = op.version("numpy")(*arrays, needs=needs, **options)[1](g)
        np.testing.assert_array_equal(found[i], every[i])
