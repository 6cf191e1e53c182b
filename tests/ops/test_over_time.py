"""Any cell over time: masks, shapes, gradients, and segments that are computed again."""

import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from checks import check_gradient

from gpulayers import Variable
from gpulayers.arrays import Abstract, Tape, infer, namespace, plain
from gpulayers.ops import over_time as scan
from gpulayers.ops.over_time import in_segments, over_time, over_time_within_memory

RANDOM = np.random.default_rng(0)
N, STEPS, D = 2, 4, 3
MASK = np.array([[True, True, False, True], [False, True, True, False]])


def running(x, states):
    """A cell: the running sum, and how many steps there were."""
    total, count = states
    total = total + x
    return total * 2, [total, count + 1]


def test_any_cell_over_time(xp):
    x = RANDOM.normal(size=(N, STEPS, D))
    states = [np.zeros((N, D)), np.zeros((N, 1))]
    last, every, (total, count) = over_time(running, xp.asarray(x), list(map(xp.asarray, states)))
    np.testing.assert_allclose(xp.to_numpy(every), 2 * np.cumsum(x, axis=1))
    np.testing.assert_allclose(xp.to_numpy(last), 2 * x.sum(axis=1))
    np.testing.assert_allclose(xp.to_numpy(total), x.sum(axis=1))
    np.testing.assert_array_equal(xp.to_numpy(count), np.full((N, 1), STEPS))

    def outputs(x, *states):
        mask = namespace(plain(x)).asarray(MASK)
        return over_time(running, x, list(states), mask)[1]

    check_gradient(outputs, x, *states, xp=xp)


@pytest.mark.parametrize("zero_masked", [False, True])
def test_masked_steps_of_any_cell(zero_masked):
    x = RANDOM.normal(size=(N, STEPS, D))
    states = [np.zeros((N, D)), np.zeros((N, 1))]
    last, every, (total, count) = over_time(
        running, x, states, MASK, zero_masked=zero_masked, first=np.ones((N, D))
    )
    sums = 2 * np.cumsum(np.where(MASK[:, :, None], x, 0), axis=1)
    if zero_masked:
        sums = np.where(MASK[:, :, None], sums, 0)
    else:
        sums[1, 0] = 1
    np.testing.assert_allclose(every, sums)
    np.testing.assert_allclose(last, sums[:, -1])
    np.testing.assert_array_equal(count[:, 0], MASK.sum(axis=1))
    np.testing.assert_allclose(total, np.where(MASK[:, :, None], x, 0).sum(axis=1))


def test_inference_takes_one_step():
    calls = []

    def counted(x, states):
        calls.append(x.shape)
        return running(x, states)

    states = [Abstract((None, D)), Abstract((None, 1))]
    last, every, _ = infer(lambda x, s: over_time(counted, x, s), Abstract((None, None, D)), states)
    assert (last.shape, every.shape) == ((None, D), (None, None, D))
    assert len(calls) == 2  # One for each guess of the unknown sizes.


def test_cells_must_give_as_many_states():
    with pytest.raises(ValueError, match="2 states gave 1"):
        over_time(lambda x, s: (x, [x]), np.ones((N, STEPS, D)), [np.ones((N, D))] * 2)


def test_masked_steps_are_not_even_seen():
    x = RANDOM.normal(size=(N, STEPS, D))
    x[~MASK] = np.nan
    with Tape([]) as tape:
        watched = tape.watch(x)
        _, every, _ = over_time(running, watched, [np.zeros((N, D)), np.zeros((N, 1))], MASK)
    gradient = tape.gradient(every, watched)
    assert np.isfinite(plain(every)).all()
    assert np.isfinite(gradient).all()
    assert not gradient[~MASK].any()


class Leaky:
    """A cell with a weight: half of the state, and half of what is new."""

    def __init__(self, units=D):
        self.kernel = Variable(RANDOM.normal(size=(D + units, units)) * 0.3)

    def step(self, x, states):
        xp = namespace(x, self.kernel)
        new = xp.tanh(xp.concat([x, states[0]], axis=-1) @ self.kernel)
        new = 0.5 * states[0] + 0.5 * new
        return new, [new, states[1] + 1]


def of_cell(cell, last_only, zero_masked=False):
    """A function for `in_segments`."""

    def run(x, states, mask, before):
        return over_time(
            cell.step, x, states, mask,
            zero_masked=zero_masked, last_only=last_only, first=before,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, "auto"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("zero_masked", [False, True])
def test_segments_change_nothing(steps, masked, last_only, zero_masked):
    cell = Leaky()
    x, h = RANDOM.normal(size=(N, 7, D)), RANDOM.normal(size=(N, D))
    count = np.zeros((N, 1), "int64")
    mask = RANDOM.random((N, 7)) < 0.6 if masked else None
    run, found = of_cell(cell, last_only, zero_masked), []
    for length in ("whole", steps):
        with Tape() as tape:
            given = [tape.watch(x), tape.watch(h)]
            last, every, states = in_segments(run, given[0], [given[1], count], mask, length)
            assert (every is None) == last_only
            outputs = [last, states[0], *([] if last_only else [every])]
            outputs = [out * out for out in outputs]
        gradients = tape.gradient(outputs, [*given, cell.kernel])
        found.append([*map(plain, outputs), plain(states[1]), *gradients])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_little_memory_changes_nothing(masked, xp, monkeypatch):
    x, states = RANDOM.normal(size=(N, 7, D)), [np.zeros((N, D)), np.zeros((N, 1))]
    mask = RANDOM.random((N, 7)) < 0.6 if masked else None
    found = []
    for most in (1 << 26, 0):
        monkeypatch.setattr(scan, "KEPT", most)
        with Tape() as tape:
            given = [tape.watch(xp.asarray(a)) for a in (x, *states)]
            there = None if mask is None else xp.asarray(mask)
            last, every, ends = over_time_within_memory(running, given[0], given[1:], there)
            outputs = [last * last, every * every, *(end * end for end in ends)]
        gradients = tape.gradient(outputs, given)
        found.append([xp.to_numpy(plain(a)) for a in (last, every, *ends, *gradients)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_segments_know_what_they_cannot_do():
    cell, other = Leaky(), Variable(np.ones((N, D)))
    x, states = RANDOM.normal(size=(N, 4, D)), [np.zeros((N, D)), np.zeros((N, 1))]

    def elsewhere(given):
        def step(x, states):
            return cell.step(x * given, states)

        return lambda x, states, mask, before: over_time(step, x, states)

    with Tape() as tape:
        recorded = tape.watch(np.ones(D)) * 2
        with pytest.raises(ValueError, match="recorded array that is not among its arguments"):
            in_segments(elsewhere(recorded), x, states, None, 2)
    asked = []

    def sometimes(x, states):
        asked.append(0)
        return cell.step(x * other if len(asked) > 5 else x, states)

    def run(x, states, mask, before):
        return over_time(sometimes, x, states)

    with Tape() as tape:
        last, _, _ = in_segments(run, x, states, None, 2)
    with pytest.raises(RuntimeError, match="the function read .*, and had not the first time"):
        tape.gradient(last, cell.kernel)


def test_segments_within_another_tape():
    """Gradients of gradients take the way without segments."""
    cell = Leaky()
    states = [np.zeros((N, D)), np.zeros((N, 1))]

    def slope(x):
        with Tape([]) as tape:
            watched = tape.watch(x)
            last, _, _ = in_segments(of_cell(cell, True), watched, states, None, 2)
        return tape.gradient(last, watched)

    check_gradient(lambda x: slope(x) ** 2, RANDOM.normal(size=(N, 4, D)), rtol=1e-4, atol=1e-6)


def kept_and_peak(total, length):
    """Bytes that are in memory for the gradient, and the most while it is computed."""
    cell, x = Leaky(), np.zeros((500, total, D))
    states = [np.zeros((500, D)), np.zeros((500, 1))]
    tracemalloc.start()
    with Tape() as tape:
        last, _, _ = in_segments(of_cell(cell, True), x, states, None, length)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    tape.gradient(last, cell.kernel)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept, peak


def test_segments_keep_the_square_root():
    """Sixteen times the steps take four times the memory, and all at once sixteen times."""
    whole = [kept_and_peak(total, "whole")[0] for total in (16, 256)]
    (kept, peak), (kept_more, peak_more) = (kept_and_peak(n, "auto") for n in (16, 256))
    assert whole[1] > 13 * whole[0]
    assert kept_more / kept < 5
    assert peak_more / peak < 6
    assert peak_more < whole[1] / 8


@pytest.mark.parametrize("length", ["whole", "auto"])
def test_time_is_linear_in_steps(length):
    """Eight times the steps take far less than 64 times as long, which is what a square takes."""

    def seconds(total):
        cell, x = Leaky(), np.zeros((2, total, D))
        states, times = [np.zeros((2, D)), np.zeros((2, 1))], []
        for _ in range(3):
            start = time.process_time()
            with Tape() as tape:
                _, every, _ = in_segments(of_cell(cell, False), x, states, None, length)
            tape.gradient(every, cell.kernel)
            times.append(time.process_time() - start)
        return min(times)

    for short, long in pairwise(map(seconds, (200, 1600))):
        assert long < 24 * short


@pytest.mark.parametrize("length", ["whole", "auto"])
def test_ten_thousand_steps_of_any_cell(length):
    cell, x = Leaky(), RANDOM.normal(size=(2, 10_000, D))
    with Tape() as tape:
        watched = tape.watch(x)
        states = [np.zeros((2, D)), np.zeros((2, 1))]
        _, every, _ = in_segments(of_cell(cell, False), watched, states, None, length)
    gradients = tape.gradient(every, [watched, cell.kernel])
    assert all(np.isfinite(g).all() for g in (plain(every), *gradients))
