"""Cells over time: values by the formulas, gradients by differences, masks, shapes."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers.arrays import Tape, namespace, plain
from gpulayers.ops.recurrent import gru, lstm, lstm_step, simple_rnn

pytestmark = pytest.mark.usefixtures("loops")

RANDOM = np.random.default_rng(0)
N, STEPS, D, U = 2, 4, 3, 2
MASK = np.array([[True, True, False, True], [False, True, True, False]])
OPS = [
    (simple_rnn, 1, 1, {}),
    (simple_rnn, 1, 1, {"activation": "sigmoid"}),
    (simple_rnn, 1, 1, {"activation": None}),
    (lstm, 2, 4, {}),
    (lstm, 2, 4, {"activation": "sigmoid", "recurrent_activation": "tanh"}),
    (lstm, 2, 4, {"activation": None}),
    (gru, 1, 3, {}),
    (gru, 1, 3, {"reset_after": False}),
    (gru, 1, 3, {"activation": None, "recurrent_activation": "tanh"}),
]
EVERY = pytest.mark.parametrize(
    ("op", "states", "gates", "options"),
    OPS,
    ids=[f"{o[0].__name__}-{i}" for i, o in enumerate(OPS)],
)


def arrays_for(op, states, gates, options, bias=True, steps=STEPS):
    def normal(*shape):
        return RANDOM.normal(size=shape) * 0.5

    two = op is gru and options.get("reset_after", True)
    shape = (2, gates * U) if two else (gates * U,)
    return (
        normal(N, steps, D), *(normal(N, U) for _ in range(states)),
        normal(D, gates * U), normal(U, gates * U), normal(*shape) if bias else None,
    )  # fmt: skip


@EVERY
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_every_way(op, states, gates, options, mask, xp):
    arrays = arrays_for(op, states, gates, options)
    check_primitive(op, *arrays, mask, **options)

    def function(*xs):
        given = None if mask is None else namespace(plain(xs[0])).asarray(mask)
        return op(*xs, given, **options)

    check_gradient(function, *arrays, xp=xp)


@EVERY
def test_without_bias(op, states, gates, options):
    check_primitive(op, *arrays_for(op, states, gates, options, bias=False), **options)


@EVERY
def test_gradients_of_gradients(op, states, gates, options):
    x, *rest = arrays_for(op, states, gates, options)

    def slope(x):
        with Tape([]) as tape:
            watched = tape.watch(x)
            out = op(watched, *rest, MASK, **options)
            out = out[0] if isinstance(out, tuple) else out
        return tape.gradient(out, watched, out.value * 0 + 1)

    check_gradient(lambda x: slope(x) ** 2, x, rtol=1e-4, atol=1e-6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_by_its_formula():
    x, h, c, w, u, b = arrays_for(lstm, 2, 4, {})
    hs, cs = lstm(x, h, c, w, u, b)
    for t in range(STEPS):
        i, f, n, o = np.split(x[:, t] @ w + h @ u + b, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(n)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(hs[:, t], h, rtol=1e-12)
        np.testing.assert_allclose(cs[:, t], c, rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_by_its_formula(reset_after):
    x, h, w, u, b = arrays_for(gru, 1, 3, {"reset_after": reset_after})
    hs = gru(x, h, w, u, b, reset_after=reset_after)
    for t in range(STEPS):
        y_z, y_r, y_n = np.split(x[:, t] @ w + (b[0] if reset_after else b), 3, axis=1)
        v_z, v_r, v_n = np.split(h @ u + (b[1] if reset_after else 0), 3, axis=1)
        z, r = sigmoid(y_z + v_z), sigmoid(y_r + v_r)
        v_n = r * v_n if reset_after else (r * h) @ u[:, 2 * U :]
        h = z * h + (1 - z) * np.tanh(y_n + v_n)
        np.testing.assert_allclose(hs[:, t], h, rtol=1e-12)


@EVERY
def test_masked_steps_keep_states_and_see_nothing(op, states, gates, options):
    arrays = arrays_for(op, states, gates, options)
    x = np.where(MASK[:, :, None], arrays[0], np.nan)
    found = op(x, *arrays[1:], MASK, **options)
    wanted = op(*arrays, MASK, **options)
    first = arrays[1 : 1 + states]
    for f, w, s in zip(*((a,) if states == 1 else a for a in (found, wanted)), first, strict=True):
        np.testing.assert_array_equal(f, w)
        np.testing.assert_array_equal(f[0, 2], f[0, 1])
        np.testing.assert_array_equal(f[1, 0], s[1])


def gradients_of(op, arrays, mask, options):
    """The outputs, and the gradients of their sum for all arrays."""
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in arrays]
        out = op(*watched, mask, **options)
    many = list(out) if isinstance(out, tuple) else [out]
    return list(map(plain, many)), tape.gradient(many, watched)


@EVERY
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_a_bad_sequence_harms_no_other(op, states, gates, options, mask):
    arrays = arrays_for(op, states, gates, options)
    x = arrays[0].copy()
    x[0, 1] = np.nan
    bad, good = (gradients_of(op, (a, *arrays[1:]), mask, options) for a in (x, arrays[0]))
    for f, w in zip(bad[0], good[0], strict=True):
        np.testing.assert_array_equal(f[1], w[1])
        assert np.isnan(f[0, 1:]).all()
    for f, w in zip(bad[1][: 1 + states], good[1], strict=False):  # Of inputs and states.
        np.testing.assert_array_equal(f[1], w[1])


@EVERY
def test_what_is_bad_at_masked_steps_is_in_no_gradient(op, states, gates, options):
    arrays = arrays_for(op, states, gates, options)
    x = np.where(MASK[:, :, None], arrays[0], np.nan)
    bad, good = (gradients_of(op, (a, *arrays[1:]), MASK, options) for a in (x, arrays[0]))
    for f, w in zip(bad[1], good[1], strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-12, atol=1e-14)
    assert not bad[1][0][~MASK].any()


def test_ten_thousand_steps():
    arrays = arrays_for(lstm, 2, 4, {}, steps=10_000)
    with Tape([]) as tape:
        x = tape.watch(arrays[0])
        hs, _ = lstm(x, *arrays[1:])
    grad = tape.gradient(hs, x)
    assert np.isfinite(plain(hs)).all()
    assert np.isfinite(grad).all()


# One step of an LSTM, for convolutional ones.
@pytest.mark.parametrize("options", [{}, {"activation": "relu"}, {"recurrent_activation": None}])
@pytest.mark.parametrize("axis", [-1, 1])
def test_one_step(axis, options, xp):
    shape = (2, 3, 8) if axis == -1 else (2, 8, 3)
    seen, weighed = (RANDOM.normal(size=shape) for _ in range(2))
    carry = RANDOM.normal(size=(2, 3, 2) if axis == -1 else (2, 2, 3))
    check_primitive(lstm_step, seen, weighed, carry, axis=axis, **options)
    check_gradient(lambda *xs: lstm_step(*xs, axis=axis, **options), seen, weighed, carry, xp=xp)


def test_one_step_is_that_of_all_steps():
    x, h, c, w, u, b = arrays_for(lstm, 2, 4, {}, steps=1)
    states, carries = lstm(x, h, c, w, u, b)
    state, carry = lstm_step(x[:, 0] @ w + b, h @ u, c)
    np.testing.assert_allclose(state, states[:, 0], rtol=1e-12)
    np.testing.assert_allclose(carry, carries[:, 0], rtol=1e-12)
