"""Recurrent layers in programs: by one thread, by two, and as variables are now."""

import os

import numpy as np
import pytest
from inference_plan_checks import at_once, in_full
from inference_plan_checks import functional as randomized

import gpulayers as gl
from gpulayers import config
from gpulayers import layers as L
from gpulayers.cpu import program as cpu
from gpulayers.cpu import threads
from gpulayers.jit import chains
from gpulayers.models.inference_plan import plan_of
from gpulayers.models.programs import written

pytest.importorskip("numba")
pytestmark = pytest.mark.usefixtures("compiled")

RNG = np.random.default_rng(0)
KINDS = {
    "SimpleRNN": L.SimpleRNN,
    "LSTM": L.LSTM,
    "GRU": L.GRU,
    "GRU, reset before": lambda units, **options: L.GRU(units, reset_after=False, **options),
}


def drawn(*shape):
    return RNG.normal(size=shape).astype("float32")


def functional(build, shape):
    """A model in which steps do not make rounding errors larger, as large weights would."""
    model = randomized(build, shape)
    for w in model.weights:
        if "recurrent_kernel" in w.path:
            w.assign(w.value / np.sqrt(len(w.value)))
    return model


def by_layers(model, x):
    """What the layers give, by NumPy's passes."""
    config.set_jit(False)
    try:
        return in_full(model, x)
    finally:
        config.set_jit(True)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def check(model, x):
    """Compare a program with the layers; gives the program."""
    program = written(plan_of(model, x), x.shape)
    assert program is not None, plan_of(model, x)
    close(program(x), by_layers(model, x))
    return program


@pytest.fixture
def shared(monkeypatch):
    """Programs that two threads share, however little there is to do."""
    monkeypatch.setattr(cpu, "available", lambda: 2)
    monkeypatch.setattr(cpu, "ENOUGH", 0)
    monkeypatch.setattr(threads, "ENOUGH", 0)
    monkeypatch.setattr(threads, "available", lambda: 2)


def stacked(make, units=(20, 7), steps=19, **options):
    return functional(
        lambda x: L.Dense(3)(make(units[1], **options)(make(units[0], return_sequences=True)(x))),
        (steps, 6),
    )


@pytest.mark.parametrize("units", [1, 5, 16, 31, 128])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_the_layers(kind, units):
    for options in (
        {},
        {"return_sequences": True},
        {"return_sequences": True, "go_backwards": True, "use_bias": False},
        {"go_backwards": True, "kernel_initializer": "random_normal"},
    ):
        model = functional(lambda x, o=options: KINDS[kind](units, **o)(x), (7, 6))
        for batch in (1, 2, 3, 5):
            check(model, drawn(batch, 7, 6))


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_steps(kind):
    for steps in (1, 2, 3, 40):
        model = functional(lambda x: KINDS[kind](9)(x), (steps, 4))
        check(model, drawn(1, steps, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_more_sequences_than_tiles_have_rows(kind):
    model = functional(lambda x: KINDS[kind](3)(x), (4, 5))
    for batch in (16, 17, 33, 64):
        check(model, drawn(batch, 4, 5))


def test_deep_sums():
    """More units than are added up at a time."""
    check(functional(lambda x: L.SimpleRNN(450)(x), (3, 3)), drawn(1, 3, 3))


@pytest.mark.parametrize("mode", ["concat", "sum"])
def test_both_ways(mode, shared):
    for make in (L.LSTM, L.GRU):
        for sequences in (False, True):

            def build(x, make=make, sequences=sequences):
                x = make(9, return_sequences=True)(x)
                return L.Bidirectional(make(20, return_sequences=sequences), merge_mode=mode)(x)

            for batch in (1, 3):
                program = check(functional(build, (13, 6)), drawn(batch, 13, 6))
                assert program.shared is not None
    model = functional(
        lambda x: L.LSTM(5)(L.Bidirectional(L.LSTM(4, return_sequences=True), "ave")(x)), (3, 2)
    )
    assert written(plan_of(model, drawn(1, 3, 2)), (1, 3, 2)) is None


def test_among_other_layers(shared):
    """Convolutions read states with margins; what is added waits for all states."""

    def build(x):
        x = L.Conv1D(8, 3, padding="same", activation="relu")(x)
        y = L.LSTM(8, return_sequences=True)(x)
        y = L.Add()([x, y, L.GRU(8, return_sequences=True, go_backwards=True)(y)])
        y = L.Conv1D(6, 3, padding="same")(L.LSTM(9, return_sequences=True)(y))
        return L.Dense(2)(L.SimpleRNN(4)(L.Activation("tanh")(y)))

    for batch in (1, 2, 4):
        check(functional(build, (21, 3)), drawn(batch, 21, 3))


def test_normalized_features():
    for axis in (-1, None):
        layer = L.Normalization(axis)
        layer.adapt(1000 + drawn(50, 4, 3))
        model = functional(lambda x, layer=layer: L.LSTM(5)(layer(x)), (4, 3))
        layer.adapt(1000 + drawn(50, 4, 3))
        program = check(model, 1000 + drawn(2, 4, 3))
        layer.adapt_mean.value[...] += 1
        assert program(1000 + drawn(2, 4, 3)) is None
    given = functional(lambda x: L.GRU(3)(L.Normalization(mean=[1, 2], variance=[4, 9])(x)), (4, 2))
    check(given, drawn(1, 4, 2))


def test_what_programs_leave_to_others():
    x = drawn(1, 4, 3)

    def made(build, shape=(4, 3)):
        model = functional(build, shape)
        return written(plan_of(model, drawn(1, *shape)), (1, *shape))

    assert made(lambda x: L.LSTM(5)(x)) is not None
    assert made(lambda x: L.LSTM(5, activation="relu")(x)) is None
    assert made(lambda x: L.GRU(5, recurrent_activation="hard_sigmoid")(x)) is None
    swapped = {"activation": "sigmoid", "recurrent_activation": "tanh"}
    assert made(lambda x: L.LSTM(5, **swapped)(x)) is None
    assert made(lambda x: L.GRU(5, **swapped)(x)) is None
    assert made(lambda x: L.RNN(L.LSTMCell(5))(x)) is None
    assert made(lambda x: L.LSTM(5, return_state=True)(x)[0]) is None
    many = functional(lambda x: L.LSTM(128)(x), (60, 3))
    assert written(plan_of(many, drawn(5, 60, 3)), (5, 60, 3)) is None
    masked = functional(lambda x: L.LSTM(5)(L.Masking()(x)), (4, 3))
    x[:, 2:] = 0
    plan = plan_of(masked, x)
    assert plan is None or plan.programs is None or written(plan, x.shape) is None
    close(masked.predict(x, verbose=0), by_layers(masked, x))


def test_stateful_layers_go_on():
    inputs = gl.Input(batch_shape=(1, 4, 3))
    model = gl.Model(inputs, L.LSTM(5, stateful=True)(inputs))
    x = drawn(1, 4, 3)
    found = [model.predict(x, verbose=0) for _ in range(4)]
    model.layers[1].reset_state()
    for y in found:
        close(y, by_layers(model, x))


def test_what_is_no_number_stays_in_its_sequence(shared):
    model = stacked(L.LSTM)
    x = drawn(4, 19, 6)
    whole = in_full(model, x)
    x[2, 5, 1] = np.nan
    program = written(plan_of(model, x), x.shape)
    found = program(x)
    assert np.isnan(found[2]).all()
    close(found[[0, 1, 3]], whole[[0, 1, 3]])
    x[2] = 0
    close(program(x), by_layers(model, x))  # Nothing of it is left in memory.


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_read_as_they_are_now(kind, shared):
    model, x = stacked(KINDS[kind]), drawn(2, 19, 6)
    program = check(model, x)
    for layer in model.layers[1:3]:
        for place in (0, 1, 2):
            layer.cell.weights[place].value[...] *= np.float32(0.5)
            y = program(x)
            if y is None:  # It was copied, as it does not fill vectors.
                program = written(plan_of(model, x), x.shape)
                y = program(x)
            close(y, by_layers(model, x))
    matrix = model.layers[1].cell.recurrent_kernel
    matrix.assign(drawn(*matrix.shape) / 20)
    assert not program.holds()
    for _ in range(3):
        close(model.predict(x, verbose=0), by_layers(model, x))


@pytest.mark.parametrize("kind", KINDS)
def test_two_threads_give_what_one_gives(kind, shared):
    for steps in (1, 7, 8, 9, 50):
        for options in ({}, {"go_backwards": True}, {"return_sequences": True}):
            model = stacked(KINDS[kind], steps=steps, **options)
            for batch in (1, 3):
                x = drawn(batch, steps, 6)
                program = check(model, x)
                assert program.shared is not None
                alone = np.empty(program.output.shape, np.float32)
                assert program.into(x, alone)
                for _ in range(20):
                    np.testing.assert_array_equal(program(x), alone)


def test_whoever_comes_does_what_is_left(shared, monkeypatch):
    """One thread alone, which does its work twice, or one that comes when all is done."""
    model, x = stacked(L.GRU), drawn(1, 19, 6)
    expected = check(model, x)(x)
    for first, last in ((2, 0), (0, 2), (1, 1)):

        def share(work, items, operations, first=first, last=last):
            parts = items[:first], items[first : first + last]
            return [work(part) for part in parts]

        monkeypatch.setattr(cpu, "share", share)
        program = written(plan_of(model, x), x.shape)
        np.testing.assert_array_equal(program(x), expected)
        model.layers[1].cell.kernel.value[0, 0] += 1  # 60 columns: a copy is compared.
        assert program(x) is None
        model.layers[1].cell.kernel.value[0, 0] -= 1


def test_who_waits_for_long_lets_others_run(shared):
    model, x = stacked(L.LSTM), drawn(1, 19, 6)
    program = check(model, x)
    run, waits = program.run, iter([chains.WAITING] * 3)
    program.run = lambda *given: next(waits, None) or run(*given)
    close(program(x), by_layers(model, x))
    assert next(waits, None) is None


def test_several_callers_at_once(shared):
    model = stacked(L.LSTM, units=(40, 30))
    given = [drawn(batch, 19, 6) for batch in (1, 1, 2, 1)]
    expected = [by_layers(model, x) for x in given]
    for x in given:
        model(x), model(x)
    assert model._plan_for(given[0]).programs.made[1].shared is not None
    wrong = []

    def work(x, y):
        for i in range(200):
            if np.abs(model.predict(x, verbose=0) - y).max() > 1e-5:
                wrong.append(i)

    at_once(work, zip(given, expected))
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be kept on a core")
def test_two_threads_on_one_core(shared, monkeypatch):
    """Each waits for the other while that one cannot run."""
    cores = os.sched_getaffinity(0)
    one = min(cores)
    model, x = stacked(L.LSTM, units=(40, 30)), drawn(1, 19, 6)
    expected = check(model, x)(x)
    program = written(plan_of(model, x), x.shape)
    monkeypatch.setattr(threads, "_other_cores", lambda number: [[one]] * number)
    os.sched_setaffinity(0, {one})
    try:
        for _ in range(50):
            np.testing.assert_array_equal(program(x), expected)
    finally:
        os.sched_setaffinity(0, cores)


def test_few_samples_are_shared_rather_than_steps(monkeypatch):
    """One layer of steps cannot be shared, but sequences can."""
    monkeypatch.setattr(cpu, "available", lambda: 2)
    model = functional(lambda x: L.LSTM(64)(x), (100, 8))
    x = drawn(4, 100, 8)
    parts = cpu.divided(lambda shape: written(plan_of(model, x), shape), x.shape)
    assert type(parts) is cpu.Parts
    close(parts(x), by_layers(model, x))
    one = cpu.divided(lambda shape: written(plan_of(model, x), shape), (1, 100, 8))
    assert type(one) is cpu.Program and one.shared is None
