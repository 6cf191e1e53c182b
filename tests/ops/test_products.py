"""Products of arrays against NumPy's."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, real, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor

v, m = real(4), real(3, 4)
x, y = real(2, 3, 4), real(2, 4, 3)


@pytest.mark.parametrize(
    ("name", "a", "b", "options"),
    [
        ("matmul", x, y, {}),
        ("matmul", x, v, {}),
        ("matmul", v, v, {}),
        ("matmul", m, y, {}),
        ("dot", x, y, {}),
        ("dot", x, v, {}),
        ("dot", m, np.array(2.5), {}),
        ("inner", x, m, {}),
        ("inner", v, v, {}),
        ("inner", m, np.array(2.5), {}),
        ("vdot", m, m + 1, {}),
        ("vecdot", x, m, {}),
        ("vecdot", m, m + 1, {"axis": 0}),
        ("outer", m, v, {}),
        ("tensordot", x, real(4, 2), {"axes": 1}),
        ("tensordot", x, m, {"axes": 2}),
        ("tensordot", x, y, {"axes": ([1, -1], [-1, 1])}),
        ("tensordot", x, m, {"axes": (1, 0)}),
        ("kron", m, real(2, 3), {}),
        ("kron", x, v, {}),
        ("cross", real(4, 3), real(4, 3), {}),
        ("cross", real(3, 2), real(3), {"axisa": 0}),
        ("cross", real(3, 4), real(3, 4), {"axis": 0}),
    ],
)
def test_against_numpy(name, a, b, options):
    function, expected = getattr(ops, name), getattr(np, name)(a, b, **options)
    check_function(lambda a, b: function(a, b, **options), [a, b], expected, rtol=1e-12)
    short = function(ops.cast(a, "bfloat16"), b.astype(np.int8), **options)
    assert ops.dtype(short) == "bfloat16"
    assert function(a.astype("f4"), b, **options).dtype == np.float64


def test_cross_products_of_short_vectors():
    a, b = np.array([[1.0, 2], [3, 4]]), np.array([[0.0, 1, 2]])
    same(ops.cross(a, a[::-1]), np.array([-2.0, 2]))
    same(ops.cross(a, b), np.cross(np.append(a, [[0], [0]], axis=1), b))
    with pytest.raises(ValueError, match="2 or 3 elements"):
        ops.cross(v, v)


def test_integers():
    a = np.array([[100, 100]], np.int8)
    assert ops.matmul(a, a.T).tolist() == [[20000]]
    assert ops.matmul(a, a.T).dtype == np.int32
    assert ops.dot(a, a.astype(np.uint8).T).dtype == np.int16


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize(("n", "k"), [(6, 3), (3, 6), (5, 4), (4, 5), (4, 4), (5, 1), (7, 2)])
def test_correlation(mode, n, k):
    a, b = real(n), real(k) + 0.3
    call = lambda a, b: ops.correlate(a, b, mode)
    check_function(call, [a, b], np.correlate(a, b, mode), rtol=1e-12)


def test_correlation_errors():
    with pytest.raises(ValueError, match="mode"):
        ops.correlate(v, v, "some")
    with pytest.raises(ValueError, match="vectors"):
        ops.correlate(m, v)


def test_distances():
    a, b = real(2, 3, 4), real(5, 4) * 0.7
    expected = np.linalg.norm(a[:, :, None] - b, axis=-1)
    check_function(ops.cdist, [a, b], expected)
    same_points = np.ones((2, 2))
    check_gradient(lambda a: ops.cdist(a, same_points * 3), same_points)
    np.testing.assert_array_equal(ops.cdist(same_points, same_points), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="cdist: expected"):
        ops.cdist(v, b)


def test_einsum_is_one_node():
    out = ops.einsum("bij,bjk->bik", KerasTensor((None, 2, 3)), KerasTensor((None, 3, 4)))
    assert out.shape == (None, 2, 4)
    assert out.node.operation is ops.einsum


def test_correlation_is_a_vector():
    """Of one element too (Keras gives a number on PyTorch)."""
    assert ops.correlate(np.ones(3), np.ones(3)).shape == (1,)
    assert ops.correlate(KerasTensor((3,)), KerasTensor((3,))).shape == (1,)
