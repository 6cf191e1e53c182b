"""Matrices as products of simpler ones, with gradients where there are any.

Gradients: M. Giles, "An extended collection of matrix derivative results for forward and reverse
mode algorithmic differentiation", 2008; of the pseudo-inverse: G. Golub and V. Pereyra, 1973.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Abstract, dtypes, namespace, primitive
from .calling import array_function, as_floats

__all__ = ["eig", "eigh", "lu_factor", "pinv", "qr", "svd"]


def _transposed(x):
    return namespace(x).matrix_transpose(x)


def precision(x) -> float:
    """The relative size of what counts as 0 in matrices of this shape and dtype."""
    return max(x.shape[-2:]) * float(np.finfo(dtypes.name(x.dtype)).eps)


@array_function()
def eigh(x):
    """The eigenvalues of symmetric matrices, rising, and the eigenvectors as columns."""
    xp, x = as_floats(x)
    return tuple(xp.linalg.eigh(x))


@array_function()
def eig(x):
    """The eigenvalues (..., M) of square matrices and the eigenvectors (..., M, M) as columns.

    Both are complex. There is no gradient.
    """
    return eigen(as_floats(x)[1])


@primitive
def eigen(x):
    """`eig` of floats."""
    xp = namespace(x)
    values, vectors = xp.linalg.eig(x)
    dtype = xp.complex128 if dtypes.name(x.dtype) == "float64" else xp.complex64
    return xp.astype(values, dtype), xp.astype(vectors, dtype)


@eigen.shape
def _(x):
    dtype = "complex128" if dtypes.name(x.dtype) == "float64" else "complex64"
    return Abstract(x.shape[:-1], dtype), Abstract(x.shape, dtype)


@eigen.vjp
def _(xp, outs, x):
    raise NotImplementedError("eig has no gradient. For symmetric matrices, eigh has one.")


# Singular values.


@array_function()
def svd(x, full_matrices: bool = True, compute_uv: bool = True):
    """The singular value decomposition x = U diag(s) V^T, as (U, s, V^T); s falls.

    Args:
        full_matrices: give square U and V; else only as many columns as there are values. There is
            a gradient for the latter, and for square matrices.
        compute_uv: False: give s alone.
    """
    x = as_floats(x)[1]
    if not compute_uv:
        return singular_values(x)
    return full_svd(x) if full_matrices and x.shape[-1] != x.shape[-2] else thin_svd(x)


@primitive
def singular_values(x):
    """The singular values (..., K) of matrices, falling."""
    return namespace(x).linalg.svdvals(x)


@singular_values.vjp
def _(xp, out, x):
    def dx(g):
        u, _, vt = xp.linalg.svd(x, full_matrices=False)
        return xp.matmul(u * xp.expand_dims(g, axis=-2), vt)

    return (dx,)


@primitive
def full_svd(x):
    """`svd` with square U and V of matrices that are not square."""
    return tuple(namespace(x).linalg.svd(x, full_matrices=True))


@full_svd.vjp
def _(xp, outs, x):
    raise NotImplementedError("svd: only full_matrices=False has a gradient here.")


@primitive
def thin_svd(x):
    """`svd` with as many columns as there are singular values."""
    return tuple(namespace(x).linalg.svd(x, full_matrices=False))


@thin_svd.vjp
def _(xp, outs, x):
    u, s, vt = outs

    def pullback(gs):
        du, ds, dvt = gs
        k = s.shape[-1]
        eye = xp.eye(k, dtype=s.dtype)
        columns, rows = xp.expand_dims(s, axis=-2), xp.expand_dims(s, axis=-1)
        inverse_gaps = (1 - eye) / ((columns - rows) * (columns + rows) + eye)

        def turned(a):  # How the vectors turn among each other.
            return inverse_gaps * (a - _transposed(a))

        v, dv, ut = _transposed(vt), _transposed(dvt), _transposed(u)
        inner = turned(xp.matmul(ut, du)) * columns + rows * turned(xp.matmul(vt, dv))
        dx = xp.matmul(u, xp.matmul(inner + eye * xp.expand_dims(ds, axis=-1), vt))
        outside = du - xp.matmul(u, xp.matmul(ut, du))
        dx = dx + xp.matmul(outside / columns, vt)
        outside = dvt - xp.matmul(xp.matmul(dvt, v), vt)
        return (dx + xp.matmul(u, outside / rows),)

    return pullback


@array_function()
def pinv(x, rcond: float | None = None):
    """The pseudo-inverse (Moore and Penrose) of matrices.

    rcond: singular values up to rcond times the largest count as 0; by default the precision of
        the dtype times max(M, N).
    """
    x = as_floats(x)[1]
    if rcond is None:
        rcond = precision(x)
    return pseudo_inverse(x, rcond=rcond)


@primitive
def pseudo_inverse(x, *, rcond):
    """`pinv` of floats."""
    return namespace(x).linalg.pinv(x, rtol=rcond)


@pseudo_inverse.vjp
def _(xp, out, x, *, rcond):
    def dx(g):
        t, pt = _transposed(g), _transposed(out)
        turned = _transposed(xp.matmul(xp.matmul(out, t), out))
        beside = t - xp.matmul(xp.matmul(x, out), t)  # What lies outside the range of x,
        across = t - xp.matmul(xp.matmul(t, out), x)  # and outside that of its transpose.
        return (
            xp.matmul(beside, xp.matmul(out, pt)) + xp.matmul(xp.matmul(pt, out), across) - turned
        )

    return (dx,)


# QR and LU.


@array_function()
def qr(x, mode: str = "reduced"):
    """x = Q R with orthonormal columns of Q and an upper triangle R, as the pair (Q, R).

    mode: "reduced", or "complete" for a square Q, which has no gradient where there are more rows
        than columns, as it is not unique there. Raises ValueError for another mode.
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}.")
    return triangular(as_floats(x)[1], mode=mode)


@primitive
def triangular(x, *, mode):
    """`qr` of floats."""
    return tuple(namespace(x).linalg.qr(x, mode=mode))


@triangular.vjp
def _(xp, outs, x, *, mode):
    rows, columns = x.shape[-2:]
    if mode == "complete" and rows > columns:  # Its further columns are any basis of the rest.
        raise NotImplementedError(
            "qr: the result of mode='complete' is not unique for matrices with more rows than "
            f"columns, so it has no gradient; use mode='reduced'. Got the shape {tuple(x.shape)}."
        )
    q, r = outs

    def pullback(gs):
        dq, dr = gs
        if rows >= columns:
            return (of_columns(dq, dr, r),)
        # x = [a | b], r = [u | v]: a = q u as above, and v = transposed(q) b.
        dv, b = dr[..., rows:], x[..., rows:]
        dq = dq + xp.matmul(b, _transposed(dv))
        parts = [of_columns(dq, dr[..., :rows], r[..., :rows]), xp.matmul(q, dv)]
        return (xp.concat(parts, axis=-1),)

    def of_columns(dq, dr, r):
        """The gradient of matrices with no more columns than rows."""
        m = xp.matmul(r, _transposed(dr)) - xp.matmul(_transposed(dq), q)
        below = xp.tril(m, k=-1)
        m = xp.tril(m) + _transposed(below)
        right = dq + xp.matmul(q, m)
        return _transposed(xp.linalg.solve(r, _transposed(right)))

    return pullback


@array_function()
def lu_factor(x):
    """The factors of P x = L U in one matrix, and the pivots, as a pair.

    Above and on the diagonal stands U, below it L without its diagonal of ones. pivots: int32;
    row i was exchanged with row pivots[i].
    """
    xp, x = as_floats(x)
    rows, columns = x.shape[-2:]
    places, pivots = xp.arange(rows), []
    for k in range(min(rows, columns)):
        column = xp.where(places < k, -1.0, xp.abs(x[..., k]))
        pivot = xp.argmax(column, axis=-1)
        pivots.append(pivot)
        here = xp.expand_dims(pivot, axis=-1)
        order = xp.where(places == here, k, xp.where(places == k, here, places))
        order = xp.broadcast_to(xp.expand_dims(order, axis=-1), x.shape)
        x = xp.take_along_axis(x, order, axis=-2)
        first = x[..., k : k + 1, k : k + 1]
        factors = xp.where(xp.expand_dims(places, axis=-1) > k, x[..., k : k + 1] / first, 0.0)
        right = xp.where(xp.arange(columns) > k, x[..., k : k + 1, :], 0.0)
        x = x - xp.matmul(factors, right)
        own = xp.expand_dims(xp.arange(columns) == k, axis=0)
        below = xp.expand_dims(places > k, axis=-1)
        x = xp.where(own & below, factors, x)
    return x, xp.astype(xp.stack(pivots, axis=-1), xp.int32)
