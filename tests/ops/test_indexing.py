"""Elements by their places."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, real, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor, Variable

x, v = real(3, 4), real(5)
INDICES = np.array([[0, -1, 2], [1, 1, 0]])


@pytest.mark.parametrize(
    ("indices", "axis"), [(INDICES, 0), (INDICES, -1), (INDICES, None), (np.array(1), 1)]
)
def test_take(indices, axis):
    call = lambda a, i: ops.take(a, i, axis=axis)
    check_function(call, [x, indices], np.take(x, indices, axis), gradient=False)
    check_gradient(lambda a: call(a, indices), x)
    same(call(x, indices.astype(np.int8)), np.take(x, indices, axis))
    same(call(x, indices.astype(np.float32)), np.take(x, indices, axis))


def test_take_one():
    same(ops.take(x, 1, axis=0), x[1])
    same(ops.take(x, [0, 2], axis=0), x[[0, 2]])
    with pytest.raises(IndexError):
        ops.take(x, 7, axis=0)


@pytest.mark.parametrize(
    ("indices", "axis"),
    [(np.array([[0], [-1], [2]]), 1), (np.array([[2, 0, 1, 1]]), 0), (np.array([3, -1]), None)],
)
def test_take_along_axis(indices, axis):
    expected = np.take_along_axis(x, indices, axis)
    call = lambda a, i: ops.take_along_axis(a, i, axis=axis)
    check_function(call, [x, indices], expected, gradient=False)
    check_gradient(lambda a: call(a, indices), x)
    with pytest.raises(ValueError, match="as many axes"):
        ops.take_along_axis(x, np.array([0]), axis=1)


@pytest.mark.parametrize(
    "key",
    [1, -1, slice(1, None), (slice(None), 2), (..., None, 0), [0, 2], np.array([[1], [0]])],
)
def test_get_item(key):
    same(ops.get_item(x, key), x[key])
    check_gradient(lambda a: ops.get_item(a, key), x)
    if not isinstance(key, list):
        same(ops.get_item(Variable(x), key), x[key])


def test_get_item_of_booleans():
    same(ops.get_item(x, x > 0), x[x > 0])
    assert ops.get_item(KerasTensor((None, 4)), (slice(None), 1)).shape == (None,)


def test_nonzero():
    a = np.array([[0, 2, 0], [1, 0, 3]])
    found = ops.nonzero(a)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.nonzero(a))
    assert found.shape == (2, 3)


def test_unravel_index():
    places = np.array([[0, 5, -1], [7, 2, 3]])
    expected = np.unravel_index(places % 12, (3, 4))
    check_function(lambda i: ops.unravel_index(i, (3, 4)), [places], expected)


def test_parts():
    expected = x[1:3, 0:2]
    check_function(lambda a: ops.slice(a, [1, 0], [2, 2]), [x], expected)
    same(ops.slice(x, np.array([1, 0]), np.array([2, 2])), expected)
    same(ops.slice(x, [np.array(1), 0], (2, 2)), expected)


@pytest.mark.parametrize("start", [(0, 0), (1, 2), [2, 1], np.array([0, 1])])
def test_updated_parts(start):
    new = real(1, 2)
    expected = x.copy()
    expected[start[0] : start[0] + 1, start[1] : start[1] + 2] = new
    check_function(lambda a, b: ops.slice_update(a, start, b), [x, new], expected)


# Scattering.


def test_scatter():
    places, values = np.array([[0, 1], [2, -1], [0, 1]]), real(3)
    expected = np.zeros((3, 4))
    np.add.at(expected, tuple(places.T), values)
    call = lambda a: ops.scatter(places, a, (3, 4))
    check_function(call, [values], expected, strict=False)
    rows = real(2, 4)
    expected = np.zeros((3, 4))
    np.add.at(expected, [2, 2], rows)
    check_function(lambda a: ops.scatter([[2], [2]], a, (3, 4)), [rows], expected, strict=False)


REDUCTIONS = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}


@pytest.mark.parametrize("reduction", [None, *REDUCTIONS])
@pytest.mark.parametrize(
    ("places", "shape"), [([[0, 1], [2, 3], [0, 1], [1, 0]], (4,)), ([[2], [0], [2]], (3, 4))]
)
def test_scatter_update(reduction, places, shape):
    new, places = real(*shape) * 1.3, np.array(places)
    expected = x.copy()
    if reduction is None:
        expected[tuple(places.T)] = new
    else:
        REDUCTIONS[reduction].at(expected, tuple(places.T), new)
    call = lambda a, i, b: ops.scatter_update(a, i, b, reduction)
    check_function(call, [x, places, new], expected)
    check_gradient(lambda a, b: call(a, places, b), x, new)


def test_products_with_zeros_have_gradients():
    new = np.array([2.0, 0.0, 3.0])
    check_gradient(
        lambda a, b: ops.scatter_update(a, [[0], [0], [1]], b, "mul"), np.array([1.5, 0.0]), new
    )


def test_scatter_update_errors():
    with pytest.raises(ValueError, match="reduction must be None"):
        ops.scatter_update(x, [[0]], x[:1], "mean")


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("count", [None, 4])
def test_segments(name, count):
    data, ids = real(6, 2), np.array([2, 0, 2, -1, 1, 0])
    start = {"sum": 0.0, "prod": 1.0, "max": -np.inf, "min": np.inf}[name]
    expected = np.full((count or 3, 2), start)
    for row, i in zip(data, ids, strict=True):
        if i >= 0:
            pair = np.stack([expected[i], row])
            expected[i] = getattr(np, name)(pair, axis=0)
    function = getattr(ops, f"segment_{name}")
    same(function(data, ids, count), expected, 1e-12)
    same(function(data, ids, count, sorted=False), expected, 1e-12)
    check_gradient(lambda a: function(a, ids, 3), data)
    nothing = function(data[:0], ids[:0], 3)
    same(nothing, np.full((3, 2), start), 1e-12)
    whole = function((data * 4).astype(np.int8), ids, 4)
    assert whole.dtype == np.int8
    assert function(KerasTensor((6, None)), KerasTensor((6,), "int32"), 4).shape == (4, None)


# Orders.


@pytest.mark.parametrize("axis", [-1, 0, None])
def test_sorting(axis):
    a = x.ravel() if axis is None else x
    check_function(lambda b: ops.sort(b, axis), [x], np.sort(a, axis=-1 if axis is None else axis))
    same(ops.argsort(x, axis), np.argsort(x, axis=axis).astype("i4"))
    assert ops.argsort(x).dtype == np.int32
    same(ops.sort(x > 0, axis), np.sort(a > 0, axis=-1 if axis is None else axis))


@pytest.mark.parametrize("axis", [-1, 0, None])
def test_partitions(axis):
    found = ops.argpartition(x, 2, axis)
    a = x.ravel() if axis is None else x
    taken = np.take_along_axis(a, found, -1 if axis is None else axis)
    rows = np.moveaxis(taken, 0 if axis == 0 else -1, -1)
    assert (rows[..., :2] <= rows[..., 2:3]).all()
    assert (rows[..., 3:] >= rows[..., 2:3]).all()
    with pytest.raises(ValueError, match="kth"):
        ops.argpartition(x, 99)


def test_largest_elements():
    order = np.argsort(-x, axis=-1)[:, :2]
    expected = np.take_along_axis(x, order, -1), order
    check_function(lambda a: ops.top_k(a, 2), [x], expected)
    values, indices = ops.top_k(np.array([1, 3, 3, 2]), k=3)
    assert indices.tolist() == [1, 2, 3]
    assert ops.top_k(x, 1).indices.dtype == np.int32
    assert values.tolist() == [3, 3, 2]
    with pytest.raises(ValueError, match=r"k must be in 0\.\.4"):
        ops.top_k(x, 5)


def test_in_top_k():
    predictions = np.array([[0.1, 0.9, 0.8, 0.8], [0.05, 0.95, 0, np.nan]])
    assert ops.in_top_k([2, 0], predictions, 3).tolist() == [True, True]
    assert ops.in_top_k([3, 0], predictions, 2).tolist() == [True, True]
    assert ops.in_top_k([0, 3], predictions, 1).tolist() == [False, False]


def test_searching():
    edges = np.array([0.0, 1.0, 1.0, 2.5])
    for side in ("left", "right"):
        call = lambda a, b, side=side: ops.searchsorted(a, b, side)
        check_function(call, [edges, x], np.searchsorted(edges, x, side).astype("i4"), False)
    check_function(ops.digitize, [x, edges], np.digitize(x, edges).astype("i4"), gradient=False)
    with pytest.raises(ValueError, match="vector"):
        ops.searchsorted(x, v)
    with pytest.raises(ValueError, match="side"):
        ops.searchsorted(v, x, "middle")


def test_isin():
    a, b = np.array([[1, 2], [3, 4]]), np.array([2, 3, 9])
    check_function(ops.isin, [a, b], np.isin(a, b))
    same(ops.isin(a, b, invert=True), np.isin(a, b, invert=True))
    assert ops.isin(2, [1, 2])


def test_distinct_elements():
    a = np.array([[3, 1, 3], [2, 1, 1]])
    same(ops.unique(a), np.unique(a))
    options = {"return_index": True, "return_inverse": True, "return_counts": True}
    values, index, inverse, counts = ops.unique(a, **options)
    expected = list(np.unique(a.ravel(), **options))
    expected[2] = expected[2].reshape(a.shape)
    for found, e in zip((values, index, inverse, counts), expected, strict=True):
        np.testing.assert_array_equal(found, e)
    same(ops.unique_values(a), np.unique_values(a))
    np.testing.assert_array_equal(ops.unique_counts(a).counts, [3, 1, 2])
    np.testing.assert_array_equal(ops.unique_all(a).indices, [1, 3, 0])
    assert ops.unique_inverse(a).inverse_indices.shape == a.shape


def test_distinct_slices():
    a = np.array([[1, 2, 1], [0, 5, 0], [1, 2, 1]])
    for axis in (0, 1):
        values, inverse = ops.unique(a, axis=axis, return_inverse=True)
        expected, other = np.unique(a, axis=axis, return_inverse=True)
        np.testing.assert_array_equal(values, expected)
        np.testing.assert_array_equal(inverse, other.ravel())


def test_distinct_elements_of_a_given_size():
    a = np.array([3, 1, 3])
    values, index, counts = ops.unique(
        a, size=4, fill_value=-1, return_index=True, return_counts=True
    )
    assert (values.tolist(), index.tolist(), counts.tolist()) == (
        [1, 3, -1, -1],
        [1, 0, 1, 1],
        [1, 2, 0, 0],
    )
    assert ops.unique(a, size=1).tolist() == [1]
    assert ops.unique(np.array([], np.int32)).shape == (0,)
