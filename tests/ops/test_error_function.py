"""erf, erfc and erfinv against the C library's."""

import math

import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers.arrays import Tape, plain
from gpulayers.ops.error_function import erf, erfc, erfinv

POINTS = np.concatenate([np.linspace(-7, 7, 2001), np.logspace(-300, 1, 200), [0.46875, 4.0, 26.0]])


def relative(got, expected):
    return np.max(np.abs(got - expected) / np.maximum(np.abs(expected), 1e-320))


def test_erf_to_the_last_digits(xp):
    expected = np.array([math.erf(v) for v in POINTS])
    assert relative(xp.to_numpy(erf(xp.asarray(POINTS))), expected) < 1e-15


def test_erfc_keeps_its_digits_in_the_tail(xp):
    expected = np.array([math.erfc(v) for v in POINTS])
    assert relative(xp.to_numpy(erfc(xp.asarray(POINTS))), expected) < 2e-15


def test_erfinv_undoes_erf(xp):
    x = np.linspace(-4, 4, 801)
    y = np.array([math.erf(v) for v in x])
    got = xp.to_numpy(erfinv(xp.asarray(y)))
    # How much a rounding of y moves x.
    allowed = 4e-16 * (np.abs(x) + np.abs(y) * math.sqrt(math.pi) / 2 * np.exp(x * x))
    assert (np.abs(got - x) <= allowed + 1e-300).all()
    small = xp.to_numpy(erfinv(xp.asarray(np.array([1e-300, -1e-10]))))
    np.testing.assert_allclose(small, np.array([1e-300, -1e-10]) * math.sqrt(math.pi) / 2)
    np.testing.assert_allclose(erfinv(np.array([1 - 2.0**-53])), [5.863584748755168], rtol=1e-14)


@pytest.mark.parametrize("shape", [(20001,), (), (3, 7)])
def test_float32_within_two_units_in_the_last_place(shape):
    x = np.linspace(-6, 6, math.prod(shape)).astype("float32").reshape(shape)
    expected = np.array([math.erf(v) for v in x.ravel().astype(float)]).reshape(shape)
    for arranged, right in ((x, expected), (x.T, expected.T), (x[..., None][::2], None)):
        out = erf(arranged)
        assert out.dtype == np.float32
        if right is not None:
            assert np.max(np.abs(out - right)) < 2e-7


def test_float32_keeps_small_values():
    x = np.logspace(-30, -1, 50).astype("float32")
    np.testing.assert_allclose(erf(x), [math.erf(v) for v in x.astype(float)], rtol=3e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values(xp, dtype):
    x = xp.asarray(np.array([np.inf, -np.inf, np.nan, 0.0, 1e4, -1e4], dtype))
    np.testing.assert_array_equal(xp.to_numpy(erf(x)), [1, -1, np.nan, 0, 1, -1])
    np.testing.assert_array_equal(xp.to_numpy(erfc(x)), [0, 2, np.nan, 1, 0, 2])
    y = xp.asarray(np.array([1, -1, 2, np.nan, 0], dtype))
    np.testing.assert_array_equal(xp.to_numpy(erfinv(y)), [np.inf, -np.inf, np.nan, np.nan, 0])


@pytest.mark.parametrize("op", [erf, erfc, erfinv])
def test_gradients(op, xp):
    x = np.linspace(-0.9, 0.9, 10).reshape(2, 5) * (1 if op is erfinv else 3)
    check_primitive(op, x)
    check_gradient(op, x, xp=xp)


def test_gradient_of_large_arguments_is_zero():
    with Tape([]) as tape:
        x = tape.watch(np.array([-1e4, 1e4], np.float32))
        out = erf(x)
    np.testing.assert_array_equal(plain(tape.gradient(out, [x])[0]), [0, 0])
