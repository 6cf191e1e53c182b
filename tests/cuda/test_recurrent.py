"""Recurrent layers' sequences on the GPU, by each of the ways to get from step to step."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, check_version, kind
from recurrent_checks import (
    CELLS,
    arrays_for,
    check,
    check_bad_masked_steps,
    check_bad_sequence,
)

from gpulayers.arrays import Tape
from gpulayers.cuda import gemm, products, recurrent_scan
from gpulayers.cuda import recurrent as kernels
from gpulayers.ops.recurrent import lstm_step, simple_rnn

EVERY = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture(params=["products", "steps"])
def way(request, monkeypatch):
    """Each way for all there is, whatever there is to compute."""
    monkeypatch.setattr(kernels, "way", lambda run: request.param)
    return request.param


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("masked", [False, True])
@EVERY
def test_cells(cupy, way, cell, masked, dtype):
    check(cupy, cell, 3, 4, 5, 6, masked=masked, dtype=dtype)


@EVERY
def test_without_bias(cupy, way, cell):
    check(cupy, cell, 2, 3, 4, 5, bias=False)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
@EVERY
def test_activations(cupy, way, cell, activation):
    more = {} if cell == "simple_rnn" else {"recurrent_activation": "tanh"}
    check(cupy, cell, 2, 3, 4, 5, options={"activation": activation, **more})


@EVERY
def test_views(cupy, way, cell):
    check(cupy, cell, 3, 2, 4, 6, order="view")


@EVERY
def test_no_sequences(cupy, way, cell):
    check(cupy, cell, 0, 2, 4, 6)


@EVERY
def test_a_bad_sequence_harms_no_other(cupy, way, cell):
    check_bad_sequence(cupy, cell)


@EVERY
def test_what_is_bad_at_masked_steps_is_in_no_gradient(cupy, way, cell):
    check_bad_masked_steps(cupy, cell)


@EVERY
def test_only_what_is_needed(cupy, cell):
    """Each gradient by itself is what it is among all."""
    op, _, _, options = CELLS[cell]
    arrays = [cupy.asarray(a.astype("f4")) for a in arrays_for(cell, 2, 3, 4, 5)[:-1]]

    def gradients(places):
        with Tape() as tape:
            given = [tape.watch(a) if i in places else a for i, a in enumerate(arrays)]
            out = op(*given, **options)
            out = out[0] if isinstance(out, tuple) else out
        return tape.gradient(out, [arrays[i] for i in places], out.value * 0 + 1)

    every = gradients(range(len(arrays)))
    for i, wanted in enumerate(every):
        np.testing.assert_array_equal(gradients([i])[0].get(), wanted.get())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_same_bits_each_time(cupy, way, cell):
    first, second = (check(cupy, cell, 5, 4, 3, 40, dtype="float16") for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.get().tobytes() == b.get().tobytes()


def test_what_is_left_to_the_reference(cupy):
    x = cupy.asarray(np.zeros((2, 0, 3), "f4"))
    h, w, u = (cupy.asarray(np.zeros(s, "f4")) for s in ((2, 4), (3, 4), (4, 4)))
    assert simple_rnn.version("cupy")(x, h, w, u) is NotImplemented
    assert simple_rnn.version("cupy")(x, h, w.astype("f8"), u) is NotImplemented


def test_which_way(cupy, monkeypatch):
    class Run:
        steps, directions, dtype, cell = 512, 1, kind("float16"), kernels.LSTM

        def __init__(self, count, units, **given):
            self.count, self.units = count, units
            vars(self).update(given)

    def way(*args, **given):
        run = Run(*args, **given)
        found = kernels.way(run)
        return found if run.plan is None else run.plan.kind

    for module in (recurrent_scan, gemm, products):
        if hasattr(module, "multiprocessors"):
            monkeypatch.setattr(module, "multiprocessors", lambda: 132)
    assert way(1, 64) == way(128, 128) == "block"
    assert way(128, 256) == way(16, 512) == "cluster"
    assert way(16, 1024) == way(64, 768) == way(128, 1024) == "grid"
    assert way(200, 1030) == way(2, 2048) == "steps"  # Weights that blocks cannot hold.
    assert way(128, 2048) == "products"  # Much work a step: it is cuBLAS's.
    assert way(128, 64, cell=kernels.GRU_BEFORE) == "block"
    assert way(2, 64, dtype=kind("float64")) == "steps"
    assert way(128, 128, dtype=kind("float32")) == "cluster"
    monkeypatch.setattr(recurrent_scan, "capability", lambda: 80)
    assert way(16, 256) == way(16, 512) == "grid"
    monkeypatch.setattr(recurrent_scan, "capability", lambda: 75)
    assert way(16, 256) == "steps"
    monkeypatch.setattr(gemm, "capturing", lambda: True)
    assert way(128, 2048) == "steps"  # As cuBLAS cannot be captured.


# ------------------------------------------------------------------------------ one step for others
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("filters", [1, 8, 11])
@pytest.mark.parametrize("axis", [-1, 1])
def test_a_step_of_an_lstm(cupy, axis, filters, dtype):
    def shape(channels):
        return (2, 3, 5, channels) if axis == -1 else (2, channels, 3, 5)

    random = np.random.default_rng(0)
    seen, weighed, carry = (random.normal(size=shape(n * filters)) for n in (4, 4, 1))
    for activation in ("tanh", "relu"):
        check_version(
            cupy, lstm_step, seen, weighed, carry, dtype=dtype, axis=axis, activation=activation
        )


def test_a_step_of_an_lstm_reads_one_step_of_many(cupy):
    random = np.random.default_rng(0)
    every, weighed, carry = (random.normal(size=(2, *s)) for s in ((3, 4, 8), (4, 8), (4, 2)))
    given = [cupy.asarray(every)[:, 1], *map(cupy.asarray, (weighed, carry))]
    wanted = lstm_step.reference(every[:, 1], weighed, carry)
    for a, b in zip(lstm_step(*given), wanted, strict=True):
        np.testing.assert_allclose(a.get(), b, rtol=1e-12)


def test_a_step_of_an_lstm_of_no_images(cupy):
    shapes = (0, 3, 8), (0, 3, 8), (0, 3, 2)
    check_version(cupy, lstm_step, *(np.zeros(shape) for shape in shapes))
