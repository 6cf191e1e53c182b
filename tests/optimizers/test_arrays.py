"""Weights and slots as arrays: whose they are, their dtypes, large and small ones."""

import numpy as np
import pytest
from optimizers.samples import KINDS, make

from gpulayers import optimizers
from gpulayers.arrays import Variable, dtypes
from gpulayers.cpu import optimizer as pieces
from gpulayers.ops import optimizer as rules

pytestmark = pytest.mark.usefixtures("loops")


@pytest.mark.parametrize("kind", KINDS)
def test_steps_leave_arrays_that_were_taken_as_they_were(kind):
    variables, grads = make((40, 30), (200, 700), (3,), ())
    optimizer = getattr(optimizers, kind)(0.1)
    optimizer.build(variables)
    for _ in range(2):
        taken = [v.value for v in variables]
        copies = [x.copy() for x in taken]
        optimizer.apply(grads)
        for x, copy, v in zip(taken, copies, variables, strict=True):
            np.testing.assert_array_equal(x, copy)
            assert type(v.value) is np.ndarray
            assert v.value.dtype == np.float32
            assert np.isfinite(v.value).all()
            assert not np.shares_memory(x, v.value)
    for v in optimizer.variables:
        assert type(v.value) is np.ndarray


@pytest.mark.parametrize("kind", KINDS)
def test_together_as_alone(kind):
    """Small weights go through a rule as one array, large ones in pieces: nothing shows of it."""
    shapes = [(300, 500), (7, 5), (5,), (), (130, 130)]
    variables, grads = make(*shapes)
    together = getattr(optimizers, kind)(0.01, weight_decay=0.01, use_ema=True)
    alone = [Variable(v) for v in variables]
    singles = [getattr(optimizers, kind)(0.01, weight_decay=0.01, use_ema=True) for _ in shapes]
    assert variables[0].size >= 4 * pieces.PIECE > variables[4].size
    for step in range(3):
        together.apply([g * (step - 1.5) for g in grads], variables)
        for optimizer, g, v in zip(singles, grads, alone, strict=True):
            optimizer.apply([g * (step - 1.5)], [v])
    for a, b in zip(variables, alone, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-6, atol=2e-7)


def rounding(loops):
    """Passes are the rule itself; loops round a product and a sum at once."""
    return {"rtol": 1e-6, "atol": 2.5e-7} if loops else {"rtol": 0}


@pytest.mark.parametrize("size", [4 * pieces.PIECE + d for d in (-1, 0, 1)])
def test_pieces_are_the_rule(size, loops):
    rng = np.random.default_rng(0)
    w, g, m, v = (rng.random(size, dtype=np.float32) for _ in range(4))
    numbers = {"learning_rate": 0.1, "step": 3, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
    expected = rules.adam.reference(w, g, m.copy(), v.copy(), None, **numbers)
    got = rules.adam(w, g, m, v, None, **numbers)
    for a, b in zip(got[:3], expected[:3], strict=True):
        np.testing.assert_allclose(a, b, **rounding(loops))
    assert got[3] is None
    assert got[1] is m
    assert got[2] is v


@pytest.mark.parametrize("size", [4 * pieces.PIECE + d for d in (-1, 0, 1)])
def test_other_rules_only_in_pieces(size, loops):
    rng = np.random.default_rng(0)
    w, g, m = (rng.random(size, dtype=np.float32) for _ in range(3))
    numbers = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}
    expected = rules.momentum.reference(w, g, m, **numbers)
    got = rules.momentum(w, g, m, **numbers)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, **rounding(loops))
    assert (got[1] is m) == (loops or size >= 4 * pieces.PIECE)


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"Muon", "ScheduleFreeAdamW"}))
@pytest.mark.parametrize("setting", ["clipvalue", "global_clipnorm"])
def test_what_is_around_a_rule_in_the_same_pass(kind, setting):
    """A step with decay and clipping is one of clipped gradients and shrunk weights."""
    shapes = [(4 * pieces.PIECE + 1,), (33, 70), (7,), (3,)]
    variables, grads = make(*shapes)
    expected = [Variable(v) for v in variables]
    optimizer = getattr(optimizers, kind)(0.01, weight_decay=0.1, **{setting: 0.5})
    optimizer.exclude_from_weight_decay(var_list=[variables[1], variables[3]])
    alone = getattr(optimizers, kind)(0.01, weight_decay=0.0)
    for step in range(2):
        pulls = [g * (step + 1) for g in grads]
        optimizer.apply(pulls, variables)
        if setting == "clipvalue":
            clipped = [np.clip(g, -0.5, 0.5) for g in pulls]
        else:
            norm = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in pulls))
            clipped = [g * np.float32(0.5 / norm) for g in pulls]
        for i in (0, 2):
            expected[i].assign(expected[i].value * np.float32(1 - 0.001))
        alone.apply(clipped, expected)
    for a, b in zip(variables, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-6)


def test_views_and_read_only_arrays():
    rng = np.random.default_rng(0)
    start, g = rng.random((500, 300), dtype=np.float32).T, rng.random((300, 500), dtype=np.float32)
    start.flags.writeable = False
    w, v = Variable(start), Variable(np.ascontiguousarray(start))
    for variable, gradient in ((w, np.asfortranarray(g)), (v, g)):
        optimizers.Adam(0.1).apply([gradient], [variable])
    np.testing.assert_array_equal(w.numpy(), v.numpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_dtypes(kind, dtype):
    """16-bit weights are computed in float32 and stored in their dtype; float64 stays exact."""
    variables, grads = make((6, 4), (4,), dtype=dtype)
    wide = [Variable(v.numpy().astype("float64")) for v in variables]
    a, b = (getattr(optimizers, kind)(0.01) for _ in range(2))
    a.apply(grads, variables)
    b.apply([g.astype("float64") for g in grads], wide)
    for x, y in zip(variables, wide, strict=True):
        assert dtypes.name(x.dtype) == dtype
        tolerance = {"float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-14}[dtype]
        np.testing.assert_allclose(x.numpy().astype("float64"), y.numpy(), atol=tolerance)


def test_float64_is_not_rounded_to_float32():
    w = Variable(np.array([1.0]))
    optimizers.Adam(0.001).apply([np.array([0.5])], [w])
    rate = float(np.float32(0.001))  # The learning rate is a Variable of floatx.
    assert w.numpy()[0] == pytest.approx(1 - rate / (1 + 1e-7 / 0.5 / 0.001**0.5), abs=1e-12)


def test_empty_weights():
    variables, grads = make((0, 3), (2,))
    optimizers.Adam().apply(grads, variables)
    assert variables[0].shape == (0, 3)
