"""softmax, log_softmax and sparsemax along one axis and several."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers.arrays import Tape, plain
from gpulayers.ops.softmax import log_softmax, softmax, sparsemax

pytestmark = pytest.mark.usefixtures("loops")

AXES = [-1, 0, 1, -3, (0, 2), [1, 2], (0, 1, 2), None]


def example(shape=(3, 4, 5)):
    return np.random.default_rng(0).normal(size=shape) * 2


def by_hand(x, axis):
    axis = tuple(axis) if isinstance(axis, list) else axis
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_values(axis, xp):
    x = example()
    out = softmax(xp.asarray(x), axis=axis)
    assert isinstance(out, xp.kind)
    np.testing.assert_allclose(xp.to_numpy(out), by_hand(x, axis), rtol=1e-12)
    out = xp.to_numpy(log_softmax(xp.asarray(x), axis))
    np.testing.assert_allclose(out, np.log(by_hand(x, axis)), rtol=1e-12)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("op", [softmax, log_softmax])
def test_versions_and_gradients(op, axis, xp):
    check_primitive(op, example((2, 3, 4)), axis=axis)
    check_gradient(lambda x: op(x, axis=axis), example((2, 3, 4)), xp=xp)


@pytest.mark.parametrize("op", [softmax, log_softmax])
def test_large_logits(op, xp):
    x = np.array([[1e4, -1e4, 9999.0]], np.float32)
    with Tape([]) as tape:
        watched = tape.watch(xp.asarray(x))
        out = op(watched)
    (grad,) = tape.gradient(out, [watched])
    assert np.isfinite(xp.to_numpy(plain(out))).all()
    assert np.isfinite(xp.to_numpy(grad)).all()
    p = by_hand(np.array([[1.0, -np.inf, 0.0]]), -1)
    expected = p if op is softmax else [[np.log(p[0, 0]), -2e4 + np.log(p[0, 0]), np.log(p[0, 2])]]
    np.testing.assert_allclose(xp.to_numpy(plain(out)), expected, rtol=1e-5)


@pytest.mark.parametrize("op", [softmax, log_softmax, sparsemax])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_and_read_only_arrays_of_rank_one(op, dtype):
    x = example((6,)).astype(dtype)
    x.flags.writeable = False
    assert op(x).dtype == x.dtype
    exact = op(x.astype("float64"))
    np.testing.assert_allclose(op(x), exact, rtol=2e-2 if dtype == "float16" else 1e-5, atol=2e-3)


@pytest.mark.parametrize("axis", [3, -4, (0, 5)])
def test_a_missing_axis_is_named(axis):
    with pytest.raises(ValueError, match=r"softmax: axis must be in -3\.\.2, got"):
        softmax(example(), axis=axis)


def test_sparsemax_with_one_winner_is_a_probability():
    x = np.array([[3.0, 1.0, 0.5], [-1.0, 0.5, -0.6]])
    np.testing.assert_allclose(sparsemax(x), [[1, 0, 0], [0, 1, 0]])


def test_sparsemax_is_that_of_keras():
    # From Keras 3.15 on JAX.  Two running totals, 0.6 and 1.1, pass: tau = 0.35.
    np.testing.assert_allclose(sparsemax(np.array([0.6, 0.5, -1.0])), [0.25, 0.15, 0], rtol=1e-12)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_sparsemax_gradient(axis, xp):
    x = example((4, 3, 5)) / 2
    check_gradient(lambda v: sparsemax(v, axis=axis), x, xp=xp)
    np.testing.assert_allclose(
        sparsemax(x, axis=axis), np.moveaxis(sparsemax(np.moveaxis(x, axis, -1)), -1, axis)
    )
