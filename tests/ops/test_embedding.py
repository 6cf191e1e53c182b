"""gather, one_hot and multi_hot."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive, check_shape

from gpulayers import config
from gpulayers.arrays import KerasTensor, Tape, namespace, plain
from gpulayers.ops import multi_hot, one_hot
from gpulayers.ops.embedding import gather, hot

TABLE = np.random.default_rng(0).normal(size=(6, 3))
INDICES = np.array([[0, 1, 5], [5, -1, 2]])


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8"])
def test_gather(dtype, xp):
    out = gather(xp.asarray(TABLE), xp.asarray(INDICES.astype(dtype)))
    np.testing.assert_array_equal(xp.to_numpy(out), TABLE[INDICES])
    check_gradient(lambda t: gather(t, namespace(plain(t)).asarray(INDICES)), TABLE, xp=xp)
    check_primitive(gather, TABLE, INDICES, differentiable=[0])


@pytest.mark.parametrize("shape", [(6,), (6, 2, 3)])
def test_tables_of_other_ranks(shape):
    table = np.arange(np.prod(shape), dtype=float).reshape(shape)
    np.testing.assert_array_equal(gather(table, np.array(3)), table[3])
    check_primitive(gather, table, INDICES, differentiable=[0])


def test_rows_that_are_named_twice_get_both_gradients():
    with Tape([]) as tape:
        table = tape.watch(TABLE.astype("float32"))
        out = gather(table, INDICES)
    (grad,) = tape.gradient(out, [table])
    np.testing.assert_array_equal(grad, np.outer([1, 1, 1, 0, 0, 3], [1, 1, 1]))


def test_an_index_beyond_the_table():
    with pytest.raises(IndexError, match=r"indices must be in 0\.\.5 .* got 0\.\.6"):
        gather(TABLE, np.array([0, 6]))


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
def test_one_hot(axis, xp):
    numbers = np.array([[0, 2, 3], [-1, 4, 1]], np.int32)
    out = one_hot(xp.asarray(numbers), 4, axis=axis)
    expected = np.zeros((2, 3, 4), np.float32)
    for at in np.ndindex(2, 3):
        if 0 <= numbers[at] < 4:
            expected[(*at, numbers[at])] = 1
    expected = np.moveaxis(expected, -1, axis)
    assert str(xp.to_numpy(out).dtype) == "float32"
    np.testing.assert_array_equal(xp.to_numpy(out), expected)
    check_shape(lambda x: one_hot(x, 4, axis=axis), numbers)
    reference = hot.reference(numbers, size=4, axis=axis % 3, dtype="float32")
    np.testing.assert_array_equal(reference, expected)


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint8", "float64", None])
def test_one_hot_dtypes(dtype):
    assert one_hot([1, 0], 3, dtype=dtype).dtype == (dtype or config.floatx())


@pytest.mark.parametrize("numbers", [np.array([1.0, 0.0]), np.array([True, False]), [1, 0]])
def test_one_hot_of_other_numbers(numbers):
    np.testing.assert_array_equal(one_hot(numbers, 2), [[0, 1], [1, 0]])


def test_one_hot_errors():
    with pytest.raises(ValueError, match=r"axis must be -1 or in 0\.\.1, got 2"):
        one_hot([1], 3, axis=2)
    with pytest.raises(TypeError, match=r"num_classes must be an integer, got 2\.5"):
        one_hot([1], 2.5)
    with pytest.raises(ValueError, match="sparse arrays are not supported"):
        one_hot([1], 3, sparse=True)


def test_multi_hot(xp):
    numbers = np.array([[0, 2], [1, 1]])
    out = multi_hot(xp.asarray(numbers), 4)
    np.testing.assert_array_equal(xp.to_numpy(out), [[1, 0, 1, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(multi_hot([0, 2], num_classes=3), [1, 0, 1])
    np.testing.assert_array_equal(multi_hot([0, 2], num_tokens=3), [1, 0, 1])
    assert multi_hot([0, 2], 3, dtype="bool").tolist() == [True, False, True]
    assert multi_hot(np.zeros((2, 3, 5), int), 4).shape == (2, 5, 4)


def test_multi_hot_errors():
    with pytest.raises(ValueError, match="num_classes must be given"):
        multi_hot([0])
    with pytest.raises(ValueError, match="multi_hot: sparse arrays are not supported"):
        multi_hot([0], 2, sparse=True)


def test_symbolic_arrays():
    numbers = KerasTensor((None, 5), "int32")
    assert one_hot(numbers, 4).shape == (None, 5, 4)
    assert multi_hot(numbers, 4).shape == (None, 4)
