"""Linear algebra against NumPy's."""

import math

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor
from gpulayers.ops import linalg

rng = np.random.default_rng(3)
square, tall, wide = rng.normal(size=(2, 3, 3)), rng.normal(size=(4, 3)), rng.normal(size=(2, 3, 4))
positive = square @ square.swapaxes(-1, -2) + 2 * np.eye(3)


def check(function, arrays, expected, gradient=True):
    check_function(function, arrays, expected, gradient=gradient, strict=False, rtol=1e-9)


def test_inverses_and_determinants():
    check(ops.inv, [square], np.linalg.inv(square))
    check(ops.det, [square], np.linalg.det(square))
    check(ops.slogdet, [square], tuple(np.linalg.slogdet(square)))
    check(ops.logdet, [positive], np.linalg.slogdet(positive)[1])
    with pytest.raises(ValueError, match="square"):
        ops.inv(tall)
    assert ops.det(np.eye(3, dtype=np.int32)).dtype == np.float32


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(upper):
    factor = np.linalg.cholesky(positive, upper=upper)
    check(lambda a: ops.cholesky(a, upper=upper), [positive], factor, gradient=False)
    check_gradient(lambda a: ops.cholesky((a + a.mT) / 2, upper=upper), positive)
    inverse = np.linalg.inv(positive)
    check(lambda a: ops.cholesky_inverse(a, upper=upper), [factor], inverse)


def test_equations():
    b, columns = rng.normal(size=(2, 3)), rng.normal(size=(2, 3, 4))
    check(ops.solve, [square, columns], np.linalg.solve(square, columns))
    check(ops.solve, [square, b], np.linalg.solve(square, b[..., None])[..., 0])
    for lower, triangle in ((True, np.tril(square)), (False, np.triu(square))):
        call = lambda a, b, lower=lower: ops.solve_triangular(a, b, lower)
        check(call, [square, columns], np.linalg.solve(triangle, columns))
        check(call, [square, b], np.linalg.solve(triangle, b[..., None])[..., 0])


def test_least_squares():
    for a in (tall, tall.T):
        b = rng.normal(size=(a.shape[0], 2))
        check(ops.lstsq, [a, b], np.linalg.lstsq(a, b)[0])
        check(ops.lstsq, [a, b[:, 0]], np.linalg.lstsq(a, b[:, 0])[0])
    deficient = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]])
    b = np.array([1.0, 2.0])
    same(ops.lstsq(deficient, b, 1e-6), np.linalg.lstsq(deficient, b, 1e-6)[0])


def test_pseudo_inverses():
    for a in (tall, wide, square):
        check(ops.pinv, [a], np.linalg.pinv(a))
    same(ops.pinv(np.diag([1.0, 1e-3]), 0.01), np.diag([1.0, 0]))


def test_ranks():
    assert ops.matrix_rank(np.outer(tall[:, 0], tall[:, 1])) == 1
    check(ops.matrix_rank, [square], np.linalg.matrix_rank(square).astype("i4"), False)
    assert ops.matrix_rank(np.diag([1.0, 0.1, 0.001]), tol=0.01) == 2


def test_eigenvalues():
    same(ops.eigh(positive), tuple(np.linalg.eigh(positive)), 1e-9)
    check_gradient(lambda a: ops.eigh(a + a.mT)[0], square)
    values, vectors = ops.eig(square)
    np.testing.assert_allclose(square @ vectors, vectors * values[:, None, :], atol=1e-12)
    assert [t.dtype for t in ops.eig(KerasTensor((2, 3, 3)))] == ["complex64"] * 2
    with pytest.raises(NotImplementedError, match="eigh has one"):
        check_gradient(lambda a: ops.abs(ops.eig(a)[0]), square)


@pytest.mark.parametrize("a", [tall, wide, square], ids=["tall", "wide", "square"])
def test_singular_values(a):
    u, s, vt = ops.svd(a)
    assert u.shape[-2:] == (a.shape[-2],) * 2
    assert vt.shape[-2:] == (a.shape[-1],) * 2
    k = s.shape[-1]
    np.testing.assert_allclose((u[..., :k] * s[..., None, :]) @ vt[..., :k, :], a, atol=1e-12)
    check(lambda a: ops.svd(a, full_matrices=False), [a], tuple(np.linalg.svd(a, False)))
    check(lambda a: ops.svd(a, compute_uv=False), [a], np.linalg.svdvals(a))
    if a is not square:
        with pytest.raises(NotImplementedError, match="full_matrices=False"):
            check_gradient(ops.svd, a)


def test_orthogonal_factors():
    check(ops.qr, [tall], tuple(np.linalg.qr(tall)))
    check(ops.qr, [square], tuple(np.linalg.qr(square)))
    check(ops.qr, [wide], tuple(np.linalg.qr(wide)))
    check(lambda a: ops.qr(a, "complete"), [wide], tuple(np.linalg.qr(wide, "complete")))
    check(lambda a: ops.qr(a, "complete"), [tall], tuple(np.linalg.qr(tall, "complete")), False)
    with pytest.raises(ValueError, match="mode"):
        ops.qr(tall, "raw")
    with pytest.raises(NotImplementedError, match="not unique"):
        check_gradient(lambda a: ops.qr(a, "complete"), tall)


@pytest.mark.parametrize("a", [tall, wide, square], ids=["tall", "wide", "square"])
def test_triangular_factors(a):
    packed, pivots = ops.lu_factor(a)
    assert pivots.dtype == np.int32
    rows, columns = a.shape[-2:]
    k = min(rows, columns)
    lower = np.tril(packed[..., :k], -1) + np.eye(rows, k)
    upper = np.triu(packed[..., :k, :])
    permuted = a.reshape(-1, rows, columns).copy()
    for matrix, own in zip(permuted, pivots.reshape(-1, k), strict=True):
        for i, j in enumerate(own):
            matrix[[i, j]] = matrix[[j, i]]
    np.testing.assert_allclose((lower @ upper).reshape(permuted.shape), permuted, atol=1e-12)
    assert np.abs(lower).max() <= 1
    check_gradient(lambda a: ops.lu_factor(a)[0], a)
    shapes = [t.shape for t in ops.lu_factor(KerasTensor(a.shape))]
    assert shapes == [packed.shape, pivots.shape]


VECTOR = [None, 0, 1, 2, 3, -1, -2, math.inf, -math.inf]
MATRIX = [None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf]


@pytest.mark.parametrize("ord", VECTOR)
@pytest.mark.parametrize("axis", [-1, 0])
def test_norms_of_vectors(ord, axis):
    call = lambda a: ops.norm(a, ord, axis)
    check_function(call, [wide], np.linalg.norm(wide, ord, axis), strict=False, rtol=1e-9)
    same(ops.norm(wide, ord, axis, True), np.linalg.norm(wide, ord, axis, True), 1e-9)
    same(ops.norm(wide[0, 0], ord), np.linalg.norm(wide[0, 0], ord), 1e-9)


@pytest.mark.parametrize("ord", MATRIX)
@pytest.mark.parametrize("axis", [(1, 2), (-1, 0)])
def test_norms_of_matrices(ord, axis):
    call = lambda a: ops.norm(a, ord, axis)
    check_function(call, [wide], np.linalg.norm(wide, ord, axis), strict=False, rtol=1e-9)
    same(ops.norm(wide, ord, axis, True), np.linalg.norm(wide, ord, axis, True), 1e-9)
    same(ops.norm(tall, ord), np.linalg.norm(tall, ord), 1e-9)


def test_norms():
    same(ops.norm(wide), np.sqrt((wide**2).sum()), 1e-12)
    assert ops.norm([3, 4]) == 5
    for wrong, axis in (("fro", 1), (5, (0, 1)), (1, (0, 1, 2))):
        with pytest.raises(ValueError, match="norm: ord"):
            ops.norm(wide, wrong, axis)


def test_directional_derivatives():
    def function(a, b):
        return {"p": ops.matmul(a, b), "s": ops.sin(a)}

    a, b, da, db = (rng.normal(size=s) for s in ((2, 3), (3, 2), (2, 3), (3, 2)))
    value, along = linalg.jvp(function, (a, b), (da, db))
    same(value["p"], a @ b, 1e-12)
    same(along["p"], da @ b + a @ db, 1e-12)
    same(along["s"], np.cos(a) * da, 1e-12)
    _, along, more = ops.jvp(lambda a: (a**2, "more"), [a], [da], has_aux=True)
    same(along, 2 * a * da, 1e-12)
    assert more == "more"
    _, along = ops.jvp(lambda a: ops.stop_gradient(a), [a], [da])
    same(along, np.zeros_like(a))


def test_square_factors_give_the_matrix_back():
    """The vectors of `svd` are only given up to signs, and those beyond the values' at will."""
    x = rng.normal(size=(4, 6, 4)).astype("float32")
    u, s, vt = ops.svd(x)
    np.testing.assert_allclose((u[..., :4] * s[:, None]) @ vt, x, atol=1e-5)
    for q in (u, vt):
        eye = np.broadcast_to(np.eye(q.shape[-1]), q.shape)
        np.testing.assert_allclose(q @ q.mT, eye, atol=1e-5)
