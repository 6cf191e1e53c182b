"""Variables: values, assignment, dtypes, places."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest

from gpulayers.arrays import Variable, devices


def test_from_a_value_and_from_a_function():
    assert Variable([1.0, 2.0]).dtype == np.float32
    assert Variable(np.ones(2)).dtype == np.float64
    made = Variable(lambda shape, dtype: np.full(shape, 2, dtype), shape=(2, 3), dtype="float16")
    assert made.shape == (2, 3)
    assert made.dtype == np.float16
    with pytest.raises(ValueError, match="a shape is needed"):
        Variable(lambda shape, dtype: np.zeros(shape))
    with pytest.raises(ValueError, match=r"expected a value of shape \(3,\)"):
        Variable([1.0, 2.0], shape=(3,))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (3, "int32"),
        ([1, 2], "int32"),
        ([[np.int64(1)]], "int32"),
        ([2**40], "int64"),
        (True, "bool"),
        ((1, 2.5), "float32"),
        (np.float64(2), "float32"),
        (1j, "complex64"),
        (np.array([1, 2]), "int64"),
        (np.array([1], "uint8"), "uint8"),
        (np.array([1.0]), "float64"),
    ],
)
def test_dtypes_of_values(value, dtype):
    assert Variable(value).dtype == np.dtype(dtype)
    assert Variable(value, dtype="complex64").dtype == np.complex64


def test_assign_keeps_shape_and_dtype_and_copies():
    v = Variable(np.zeros(2, np.float32), path="layer/kernel")
    before, given = v.value, np.array([1.0, 2.0], np.float32)
    v.assign(given)
    given[0] = 9
    np.testing.assert_array_equal(v.numpy(), [1, 2])
    np.testing.assert_array_equal(before, [0, 0])
    v.assign([3, 4])
    assert v.dtype == np.float32
    with pytest.raises(ValueError, match=r"layer/kernel: .* shape \(3,\) .* shape \(2,\)"):
        v.assign(np.zeros(3))


def test_variables_do_not_share_arrays(xp):
    one = Variable(xp.asarray([1.0, 2.0]))
    other = Variable(xp.asarray([0.0, 0.0]))
    other.assign(one)
    assert other.value is not one.value
    np.testing.assert_array_equal(other.numpy(), one.numpy())


def test_assign_add_and_sub():
    v = Variable(np.array([1.0, 2.0]))
    v.assign_add([1.0, 1.0])
    v.assign_sub(0.5)
    np.testing.assert_array_equal(v.numpy(), [1.5, 2.5])


def test_numpy_gives_a_copy():
    v = Variable(np.zeros(2))
    v.numpy()[0] = 1
    assert v.numpy()[0] == 0


def test_operators():
    v, x = Variable(np.array([1.0, 2.0])), np.array([3.0, 5.0])
    np.testing.assert_array_equal(v + x, [4, 7])
    np.testing.assert_array_equal(x - v, [2, 3])
    np.testing.assert_array_equal(-v * 2, [-2, -4])
    np.testing.assert_array_equal(v > 1.5, [False, True])
    np.testing.assert_array_equal(v[1:], [2])
    assert v @ x == 13
    assert float(v[0]) == 1.0
    assert len(v) == 2


def test_follow_and_move():
    v = Variable(np.ones(2))
    v.follow(array_api_strict.zeros(1))
    assert type(v.value) is type(array_api_strict.zeros(1))
    v.follow(np.zeros(1))
    assert type(v.value) is np.ndarray
    home = devices.Home(array_api_strict, array_api_strict.Device("device1"))
    v.move(home)
    assert v.home == home
    v.assign(np.array([2.0, 3.0]))
    assert v.home == home
    np.testing.assert_array_equal(v.numpy(), [2, 3])


def test_bfloat16():
    v = Variable(np.ones(2), dtype="bfloat16")
    assert v.dtype.name == "bfloat16"
    v.assign([1.5, 2.0])
    np.testing.assert_array_equal(v.numpy().astype(float), [1.5, 2.0])
