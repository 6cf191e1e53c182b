"""Linear algebra: `keras.ops.linalg`.

Matrices stand in the last two axes; axes before them are a batch. Integers become floatx.
"""

from __future__ import annotations

import math

from .. import tree
from ..arrays import Tape, as_array, namespace
from ..arrays.shapes import all_counted, reduced_shape
from .calling import array_function, as_floats, together
from .decompositions import eig, eigh, lu_factor, pinv, precision, qr, singular_values, svd

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "det",
    "eig",
    "eigh",
    "inv",
    "jvp",
    "logdet",
    "lstsq",
    "lu_factor",
    "matrix_rank",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
]


def _square(x, who):
    """The namespace and a float array of square matrices.  Raises ValueError for others."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{who}: needs square matrices, got the shape {tuple(x.shape)}.")
    return as_floats(x)


@array_function()
def inv(x):
    """The inverse of square matrices."""
    xp, x = _square(x, "inv")
    return xp.linalg.inv(x)


@array_function()
def det(x):
    """The determinant of square matrices."""
    xp, x = _square(x, "det")
    return xp.linalg.det(x)


@array_function()
def slogdet(x):
    """The sign of the determinant, and the logarithm of its size, as a pair."""
    xp, x = _square(x, "slogdet")
    return tuple(xp.linalg.slogdet(x))


def logdet(x):
    """The logarithm of the determinant of positive definite matrices."""
    return slogdet(x)[1]


@array_function()
def cholesky(x, upper: bool = False):
    """The triangular L with L L^T = x, for symmetric positive definite x.

    upper: give U with U^T U = x instead.
    """
    xp, x = _square(x, "cholesky")
    lower = xp.linalg.cholesky(x)
    return xp.matrix_transpose(lower) if upper else lower


@array_function()
def cholesky_inverse(x, upper: bool = False):
    """The inverse of the matrix whose Cholesky factor is `x`."""
    xp, x = _square(x, "cholesky_inverse")
    inverse = xp.linalg.inv(xp.triu(x) if upper else xp.tril(x))
    other = xp.matrix_transpose(inverse)
    return xp.matmul(inverse, other) if upper else xp.matmul(other, inverse)


@array_function("a", "b")
def solve(a, b):
    """The x with a x = b.

    Args:
        a: (..., M, M).
        b: (..., M) or (..., M, K).
    """
    _, a = _square(a, "solve")
    xp, (a, b) = together((a, as_floats(b)[1]))
    if b.ndim == a.ndim - 1:
        return xp.linalg.solve(a, xp.expand_dims(b, axis=-1))[..., 0]
    return xp.linalg.solve(a, b)


@array_function("a", "b")
def solve_triangular(a, b, lower: bool = False):
    """The x with t x = b, where t is the upper triangle of `a` (or the lower)."""
    xp = namespace(a, b)
    return solve(xp.tril(a) if lower else xp.triu(a), b)


@array_function("a", "b")
def lstsq(a, b, rcond: float | None = None):
    """The shortest x among those that bring a x closest to b.

    Args:
        a: (M, N).
        b: (M,) or (M, K).
        rcond: singular values up to rcond times the largest count as 0; by default the precision
            of the dtype times max(M, N).
    """
    xp, (a, b) = together((as_floats(a)[1], as_floats(b)[1]))
    return xp.matmul(pinv(a, rcond), b)


@array_function()
def matrix_rank(x, tol: float | None = None):
    """How many singular values exceed `tol`, as int32.

    tol: by default the largest one times the precision of the dtype times max(M, N).
    """
    xp, x = as_floats(x)
    values = singular_values(x)
    if tol is None:
        tol = xp.max(values, axis=-1, keepdims=True) * precision(x)
    return xp.sum(xp.astype(values > tol, xp.int32), axis=-1, dtype=xp.int32)


# Norms.


@array_function()
def norm(x, ord=None, axis=None, keepdims: bool = False):
    """The norm of vectors along one axis, or of matrices in two.

    Args:
        ord: of vectors: p for sum(|x|^p)^(1/p), inf or -inf for the largest or smallest |x|, 0 for
            the number of elements that are not 0; 2 by default. Of matrices: "fro" (the default)
            for sqrt(sum(x^2)), "nuc" for the sum of the singular values, 2 or -2 for the largest or
            smallest one, 1 or -1 for the largest or smallest sum of a column of |x|, inf or -inf
            of a row.
        axis: an integer for vectors, two for matrices; None for the array's own axes, if it has one
            or two, or with the default `ord` for the 2-norm of all elements.
        keepdims: keep the axes with size 1.

    Raises ValueError for another `ord` or number of axes.
    """
    xp, x = as_floats(x)
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = all_counted(tuple(axis) if isinstance(axis, list) else axis, x.ndim, "norm")
    if ord is None:
        return _length(xp, x, None if axis is None else axes, keepdims)
    if len(axes) == 1:
        return _vector_norm(xp, x, ord, axes[0], keepdims)
    if len(axes) == 2:
        if ord == "fro":
            return _length(xp, x, axes, keepdims)
        out = _matrix_norm(xp, xp.moveaxis(x, axes, (-2, -1)), ord)
        return xp.reshape(out, reduced_shape(x.shape, axes, keepdims))
    raise ValueError(f"norm: ord={ord!r} needs one or two axes, got {len(axes)}.")


def _length(xp, x, axes, keepdims):
    return xp.linalg.vector_norm(x, axis=axes, keepdims=keepdims)


def _vector_norm(xp, x, ord, axis, keepdims):
    options = {"axis": axis, "keepdims": keepdims}
    if isinstance(ord, str):
        raise ValueError(f"norm: ord={ord!r} is for matrices, but axis={axis} names vectors.")
    if ord == 2:
        return _length(xp, x, (axis,), keepdims)
    size = xp.abs(x)
    if ord in (math.inf, -math.inf):
        return (xp.max if ord > 0 else xp.min)(size, **options)
    if ord == 0:
        return xp.sum(xp.astype(x != 0, x.dtype), **options)
    if ord == 1:
        return xp.sum(size, **options)
    return xp.sum(size**ord, **options) ** (1 / ord)


def _matrix_norm(xp, x, ord):
    if ord == "nuc":
        return xp.sum(singular_values(x), axis=-1)
    if ord in (2, -2):
        return (xp.max if ord > 0 else xp.min)(singular_values(x), axis=-1)
    if ord in (1, -1, math.inf, -math.inf):
        sums = xp.sum(xp.abs(x), axis=-2 if abs(ord) == 1 else -1)
        return (xp.max if ord > 0 else xp.min)(sums, axis=-1)
    raise ValueError(f"norm: ord must be 'fro', 'nuc', 1, 2, inf or their negatives, got {ord!r}.")


# Derivatives along a direction.


def jvp(fun, primals, tangents, has_aux: bool = False):
    """The value of a function, and its derivative along a direction.

    Args:
        fun: a function of the arrays `primals`, which gives arrays in any structure.
        primals: arrays, a list or tuple.
        tangents: the direction: an array of the same shape for each of them.
        has_aux: whether `fun` gives a pair, whose second part is only passed on.

    Gives (value, derivative), with `has_aux` (value, derivative, second part).
    """
    primals = [as_array(x) for x in primals]
    tangents = [as_array(t, like=x) for x, t in zip(primals, tangents, strict=True)]
    out = fun(*primals)
    out, aux = out if has_aux else (out, None)
    leaves = tree.flatten(out)
    # What reverse mode gives is linear in the weights of the results; its derivative by them is
    # the derivative along the direction.
    with Tape([]) as outer:
        weights = [outer.watch(namespace(y).zeros_like(y)) for y in leaves]
        with Tape([]) as inner:
            watched = [inner.watch(x) for x in primals]
            again = fun(*watched)
            again = tree.flatten(again[0] if has_aux else again)
            total = _sum_of_products(again, weights)
        grads = inner.gradient(total, watched)
        pairs = [(g, t) for g, t in zip(grads, tangents, strict=True) if g is not None]
        along = _sum_of_products(*zip(*pairs, strict=True)) if pairs else None
    found = outer.gradient(along, weights) if pairs else [None] * len(weights)
    found = [
        namespace(y).zeros_like(y) if d is None else d for d, y in zip(found, leaves, strict=True)
    ]
    derivative = tree.pack_sequence_as(out, found)
    return (out, derivative, aux) if has_aux else (out, derivative)


def _sum_of_products(xs, ys):
    total = None
    for x, y in zip(xs, ys, strict=True):
        part = namespace(x, y).sum(x * y)
        total = part if total is None else total + part
    return total
