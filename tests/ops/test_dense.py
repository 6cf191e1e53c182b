"""The affine map of Dense layers."""

from functools import partial

import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers.arrays import Tape, Variable
from gpulayers.ops.activation import gelu, mish
from gpulayers.ops.dense import FUSED, activated, dense, product

pytestmark = pytest.mark.usefixtures("loops")

RANDOM = np.random.default_rng(0)
KERNEL, BIAS = RANDOM.normal(size=(4, 5)), RANDOM.normal(size=5)


@pytest.mark.parametrize("activation", [None, *FUSED])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (13, 4), (2, 3, 4), (2, 1, 3, 4)])
def test_values_and_gradients(shape, activation, xp):
    x = RANDOM.normal(size=shape)
    y = x @ KERNEL + BIAS
    expected = {
        None: y,
        "relu": np.maximum(y, 0),
        "sigmoid": 1 / (1 + np.exp(-y)),
        "tanh": np.tanh(y),
    }[activation]
    out = dense(*map(xp.asarray, (x, KERNEL, BIAS)), activation=activation)
    np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=1e-12, atol=1e-12)
    check_gradient(lambda *a: dense(*a, activation=activation), x, KERNEL, BIAS, xp=xp)
    check_primitive(dense, x, KERNEL, BIAS, activation=activation)


@pytest.mark.parametrize("activation", [mish, partial(gelu, approximate=False)])
def test_any_activation_of_each_element(activation, xp):
    x = RANDOM.normal(size=(2, 3, 4))
    expected = activation(x @ KERNEL + BIAS)
    out = product(dense, *map(xp.asarray, (x, KERNEL, BIAS)), activation)
    np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=1e-12, atol=1e-12)
    check_gradient(lambda *a: product(dense, *a, activation), x, KERNEL, BIAS, xp=xp)
    check_primitive(activated, x, KERNEL, None, operation=dense, activation=activation)


def test_without_bias():
    x = RANDOM.normal(size=(3, 4))
    np.testing.assert_allclose(dense(x, KERNEL), x @ KERNEL)
    check_primitive(dense, x, KERNEL, None)


def test_empty_and_strided_arrays():
    assert dense(np.ones((0, 4)), KERNEL, BIAS).shape == (0, 5)
    x = RANDOM.normal(size=(4, 6, 2)).T
    np.testing.assert_allclose(dense(x, KERNEL, BIAS), x @ KERNEL + BIAS, rtol=1e-12)
    check_primitive(dense, x, KERNEL, BIAS)


def test_integers_take_the_dtype_of_the_kernel():
    x = np.array([[1, 2, 3, 4]])
    out = dense(x, KERNEL.astype("float32"), BIAS.astype("float32"))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, x @ KERNEL + BIAS, rtol=1e-6)


def test_variables_and_the_gradients_that_are_wanted():
    x = RANDOM.normal(size=(3, 4)).astype("float32")
    kernel, bias = Variable(KERNEL, dtype="float32"), Variable(BIAS, dtype="float32")
    with Tape([bias]) as tape:
        out = dense(x, kernel, bias)
    by_kernel, by_bias = tape.gradient(out, [kernel, bias])
    assert by_kernel is None
    np.testing.assert_array_equal(by_bias, np.full(5, 3, np.float32))


def test_inputs_are_left_alone():
    x, g = RANDOM.normal(size=(3, 4)), np.ones((3, 5))
    arrays = [x, KERNEL.copy(), BIAS.copy(), g]
    for array in arrays:
        array.flags.writeable = False
    with Tape([], persistent=True) as tape:
        watched = [tape.watch(a) for a in arrays[:3]]
        out = dense(*watched, activation="sigmoid")
    first = tape.gradient(out, watched, g)
    for a, b in zip(first, tape.gradient(out, watched, g), strict=True):
        np.testing.assert_array_equal(a, b)


def test_sizes_that_do_not_match(xp):
    message = r"dense: the last axis of x must have the 4 elements.*x of shape \(3, 2\)"
    with pytest.raises(ValueError, match=message):
        dense(xp.asarray(np.ones((3, 2))), xp.asarray(KERNEL))
