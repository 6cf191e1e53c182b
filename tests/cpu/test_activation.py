"""Activations of float32, by passes and by loops, against float64."""

import numpy as np
import pytest

from gpulayers.arrays import Tape, plain
from gpulayers.ops import activation as ops
from gpulayers.ops.softmax import log_softmax, softmax

pytestmark = pytest.mark.usefixtures("loops")

FUNCTIONS = (ops.sigmoid, ops.silu, ops.gelu, ops.elu, ops.selu)
ENDS = np.array([-1e4, -103.5, -88, -20, -1e-6, -0.0, 0, 1e-6, 20, 88, 89, 1e4], "f4")


def values(*shape):
    return np.random.default_rng(len(shape)).normal(0, 3, size=shape).astype("f4")


def both(op, x, g, **options):
    """Results and gradients in float32, and in float64, for which there are no loops."""
    found = []
    for dtype in ("f4", "f8"):
        with Tape([]) as tape:
            given = tape.watch(x.astype(dtype))
            y = op(given, **options)
        found.append((plain(y), tape.gradient(y, given, g.astype(dtype))))
    return found


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
def test_values_and_gradients(op):
    x = np.concatenate([values(1000), ENDS, np.linspace(-1e-2, 1e-2, 100, dtype="f4")])
    (y, dx), (expected, by_x) = both(op, x, np.cos(x))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dx, by_x, rtol=1e-5, atol=1e-6)
    assert y.dtype == dx.dtype == np.float32


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
def test_what_is_not_finite(op):
    x = np.array([np.nan, np.inf, 1], "f4")
    with np.errstate(all="ignore"):
        y = op(x)
        expected = op.reference(x.astype("f8"))
    np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
def test_views(op):
    x = np.asfortranarray(values(7, 5))
    x.flags.writeable = False
    np.testing.assert_array_equal(op(x), op(x.copy()))
    np.testing.assert_array_equal(op(x[::2, 1:]), op(x)[::2, 1:])


@pytest.mark.parametrize("op", [softmax, log_softmax], ids=str)
@pytest.mark.parametrize("width", [1, 15, 16, 17, 63, 64, 65, 1000])
def test_rows(op, width):
    x = values(3, 2, width)
    x[0, 0] *= 100
    (y, dx), (expected, by_x) = both(op, x, np.cos(x))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dx, by_x, rtol=1e-5, atol=2e-6 * np.abs(by_x).max())


@pytest.mark.parametrize("op", [softmax, log_softmax], ids=str)
def test_rows_that_are_not_finite(op):
    x = values(6, 20)
    x[0, 3], x[1, :7], x[2, 19], x[3], x[4, 0] = np.nan, -np.inf, np.inf, -np.inf, -np.nan
    with np.errstate(all="ignore"):
        found = op(x)
        expected = op.reference(x.astype("f8"))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
