"""LSTM and GRU of NumPy arrays against their references."""

import tracemalloc

import numpy as np
import pytest

from gpulayers.arrays import Tape, namespace, plain
from gpulayers.cpu import recurrent, recurrent_loops, steps, threads
from gpulayers.cpu.lstm import Lstm
from gpulayers.ops.recurrent import gru, lstm, lstm_step

pytestmark = pytest.mark.usefixtures("loops")

RANDOM = np.random.default_rng(1)
OPS = pytest.mark.parametrize(("op", "states", "gates"), [(lstm, 2, 4), (gru, 1, 3)])


def arrays_for(op, states, gates, dtype, n=3, steps=50, inputs=5, units=4, scale=0.5):
    shapes = [(n, steps, inputs), *[(n, units)] * states, (inputs, gates * units)]
    shapes += [(units, gates * units), (2, 3 * units) if op is gru else (4 * units,)]
    return [(RANDOM.normal(size=shape) * scale).astype(dtype) for shape in shapes]


def results_and_gradients(op, arrays, mask, weights):
    """The results, and the gradients of their sums with these weights."""
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in arrays]
        out = op(*watched, mask)
    many = list(out) if isinstance(out, tuple) else out
    found = tape.gradient(many, watched, weights if isinstance(out, tuple) else weights[0])
    return [*map(plain, many if isinstance(out, tuple) else [out]), *found]


def check_against_reference(op, arrays, mask=None, exact=True):
    dtype = arrays[0].dtype
    for a in arrays:
        a.flags.writeable = False
    out = op.reference(*arrays, mask)
    many = out if isinstance(out, tuple) else (out,)
    weights = [RANDOM.normal(size=w.shape).astype(dtype) for w in many]
    found = results_and_gradients(op, arrays, mask, weights)
    pullback = op._vjp(namespace(arrays[0]), out, *arrays, mask)
    expected = pullback(weights if isinstance(out, tuple) else weights[0])
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for a, b in zip(found, [*many, *expected[:-1]], strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())
    alone = op(*arrays, mask)
    for a, b in zip(alone if isinstance(out, tuple) else [alone], found, strict=False):
        np.testing.assert_allclose(a, b, rtol=0 if exact else tolerance, atol=0)


@OPS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_results_and_gradients_are_the_references(op, states, gates, dtype, masked, n):
    arrays = arrays_for(op, states, gates, dtype, n)
    check_against_reference(op, arrays, RANDOM.random((n, 50)) < 0.7 if masked else None)


@OPS
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("small", [False, True])
def test_two_threads(op, states, gates, masked, split, small, monkeypatch):
    """One may project inputs while the other takes the steps, or each has some sequences."""
    monkeypatch.setattr(threads, "ENOUGH", 1)
    monkeypatch.setattr(threads, "_available_at_all", lambda: 2)
    monkeypatch.setattr(steps, "SPLIT", 1 if split else 1 << 40)
    monkeypatch.setattr(steps, "AT_ONCE", 2000)
    monkeypatch.setattr(recurrent, "ENOUGH", 9000)
    monkeypatch.setattr(steps, "without_copies", lambda: small)
    arrays = arrays_for(op, states, gates, "float32", n=9, steps=20, units=96, scale=0.2)
    check_against_reference(op, arrays, RANDOM.random((9, 20)) < 0.7 if masked else None)


@OPS
@pytest.mark.parametrize("by_exp", [False, True])
def test_both_ways_to_sigmoids(op, states, gates, by_exp, monkeypatch):
    monkeypatch.setattr(steps, "by_exp", lambda: by_exp)
    check_against_reference(op, arrays_for(op, states, gates, "float32"))


@OPS
@pytest.mark.parametrize("by_exp", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_large_numbers_saturate_quietly(op, states, gates, by_exp, n, monkeypatch):
    monkeypatch.setattr(steps, "by_exp", lambda: by_exp)
    arrays = arrays_for(op, states, gates, "float32", n, scale=300.0)
    found, wanted = op(*arrays), op.reference(*[a.astype("float64") for a in arrays])
    found, wanted = (found[0], wanted[0]) if op is lstm else (found, wanted)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, :2], wanted[:, :2], rtol=1e-4, atol=1e-3)


@OPS
@pytest.mark.parametrize("n", [1, 2])
def test_only_what_is_needed(op, states, gates, n):
    arrays = arrays_for(op, states, gates, "float32", n, steps=2)
    every = results_and_gradients(op, arrays, None, [np.ones((n, 2, 4), "float32")] * states)
    for i, expected in enumerate(every[states:]):
        with Tape([]) as tape:
            given = list(arrays)
            given[i] = watched = tape.watch(arrays[i])
            out = op(*given, None)
        found = tape.gradient(list(out) if op is lstm else out, watched)
        np.testing.assert_array_equal(found, expected)


@OPS
@pytest.mark.parametrize("n", [1, 2])
def test_a_pullback_can_be_used_twice(op, states, gates, n):
    arrays = arrays_for(op, states, gates, "float32", n, steps=3)
    out, pullback = op.version("numpy")(*arrays, needs=(True,) * len(arrays))
    ones = np.ones_like(out[0] if op is lstm else out)
    one, two = (pullback([ones, ones] if op is lstm else ones) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert (a is None and b is None) or np.array_equal(a, b)


@pytest.fixture
def seven_steps_kept(monkeypatch):
    monkeypatch.setattr(recurrent, "KEPT", 0)
    monkeypatch.setattr(recurrent, "LEAST_STEPS", 7)


@OPS
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("count", [7, 8, 50])
def test_gates_that_are_computed_again(op, states, gates, masked, n, count, seven_steps_kept):
    arrays = arrays_for(op, states, gates, "float32", n, steps=count)
    mask = RANDOM.random((n, count)) < 0.7 if masked else None
    check_against_reference(op, arrays, mask, exact=False)


@OPS
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n", [1, 4])
def test_memory_is_that_of_states(op, states, gates, masked, n, seven_steps_kept):
    """What stays between the way there and back, and comes on top on the way back, in bytes."""
    count, units = 4000, 32
    arrays = arrays_for(op, states, gates, "float32", n, count, 2, units, scale=0.1)
    mask = RANDOM.random((n, count)) < 0.7 if masked else None
    needs = (True,) * len(arrays)
    stored, room = states * n * count * units * 4, 400_000  # The thread's memory for some steps.
    tracemalloc.start()
    try:
        _out, pullback = op.version("numpy")(*arrays, mask, needs=needs)
        kept, most = tracemalloc.get_traced_memory()
        assert stored <= kept <= most <= stored + room
        g = np.ones((n, count, units), "float32")
        found = pullback((g, g) if states > 1 else g)
        kept, most = tracemalloc.get_traced_memory()
        assert most <= stored + g.nbytes + sum(a.nbytes for a in found[:-1]) + room
    finally:
        tracemalloc.stop()


def test_how_many_gates_are_kept():
    def pieces(n, count, units):
        return Lstm(np.zeros((n, units), "float32"), None, None, None, None).pieces(count)

    assert pieces(32, 100, 512) == [slice(0, 100)]
    assert {p.stop - p.start for p in pieces(32, 10_000, 512)[:-1]} == {256}
    assert pieces(4096, 20, 1024) == [slice(0, 16), slice(16, 20)]


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("by_exp", [False, True])
def test_one_step(axis, by_exp, monkeypatch):
    monkeypatch.setattr(steps, "by_exp", lambda: by_exp)
    shape, of_z = ((2, 3, 5), (2, 3, 20)) if axis == -1 else ((2, 3, 5), (2, 12, 5))
    arrays = [RANDOM.normal(size=s).astype("float32") for s in (of_z, of_z, shape)]
    out, pullback = lstm_step.version("numpy")(*arrays, axis=axis, needs=(True,) * 3)
    wanted = lstm_step.reference(*arrays, axis=axis)
    grads = [RANDOM.normal(size=shape).astype("float32") for _ in "hc"]
    expected = lstm_step._vjp(np, wanted, *arrays, axis=axis)(grads)
    for a, b in zip([*out, *pullback(grads)], [*wanted, *expected], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@OPS
def test_an_error_in_a_thread_is_raised(op, states, gates, monkeypatch):
    def fail(*arguments):
        raise MemoryError("no room")

    monkeypatch.setattr(threads, "ENOUGH", 1)
    monkeypatch.setattr(threads, "_available_at_all", lambda: 2)
    monkeypatch.setattr(steps.StepProduct, "all_steps", fail)
    monkeypatch.setattr(recurrent_loops, "temporary", fail)
    with pytest.raises(MemoryError, match="no room"):
        op(*arrays_for(op, states, gates, "float32"))
