"""Products of arrays, and the functions of `xp.linalg`."""

from __future__ import annotations

from .. import shapes
from .table import TABLE, Function, define, without_gradient


def _matmul(xp, out, x, y):
    if x.ndim == y.ndim == 1:
        return lambda g: g * y, lambda g: g * x

    def as_matrix(g):
        g = xp.expand_dims(g, axis=-1) if y.ndim == 1 else g
        return xp.expand_dims(g, axis=-2) if x.ndim == 1 else g

    def dx(g):
        right = xp.expand_dims(y, axis=-1) if y.ndim == 1 else y
        grad = xp.matmul(as_matrix(g), xp.matrix_transpose(right))
        return grad[..., 0, :] if x.ndim == 1 else grad

    def dy(g):
        if x.ndim > 2 and y.ndim == 2:  # One product; summing a batch of them wastes memory.
            rows = xp.reshape(x, (-1, x.shape[-1]))
            return xp.matmul(xp.matrix_transpose(rows), xp.reshape(g, (-1, g.shape[-1])))
        left = xp.expand_dims(x, axis=-1) if x.ndim == 1 else xp.matrix_transpose(x)
        grad = xp.matmul(left, as_matrix(g))
        return grad[..., 0] if y.ndim == 1 else grad

    return dx, dy


def _vecdot(xp, out, x, y, /, *, axis=-1):
    return (
        lambda g: xp.expand_dims(g, axis=axis) * y,
        lambda g: xp.expand_dims(g, axis=axis) * x,
    )


def _tensordot(xp, out, x, y, /, *, axes=2):
    if isinstance(axes, int):
        axes = (range(x.ndim - axes, x.ndim), range(axes))
    left, right = ([a % n for a in part] for part, n in zip(axes, (x.ndim, y.ndim), strict=True))
    free_x = [i for i in range(x.ndim) if i not in left]
    free_y = [i for i in range(y.ndim) if i not in right]

    def back(grad, order):
        return xp.permute_dims(grad, tuple(sorted(range(len(order)), key=order.__getitem__)))

    def dx(g):
        contracted = tuple(range(len(free_x), g.ndim))
        grad = xp.tensordot(g, y, axes=(contracted, tuple(free_y)))
        by_right = [left[i] for i in sorted(range(len(right)), key=right.__getitem__)]
        return back(grad, [*free_x, *by_right])

    def dy(g):
        grad = xp.tensordot(x, g, axes=(tuple(free_x), tuple(range(len(free_x)))))
        by_left = [right[i] for i in sorted(range(len(left)), key=left.__getitem__)]
        return back(grad, [*by_left, *free_y])

    return dx, dy


define(shapes.matmul, matmul=_matmul, linalg__matmul=_matmul)
define(shapes.vecdot, vecdot=_vecdot, linalg__vecdot=_vecdot)
define(shapes.tensordot, tensordot=_tensordot, linalg__tensordot=_tensordot)
define(
    shapes.outer,
    linalg__outer=lambda xp, out, x, y: (lambda g: g @ y, lambda g: x @ g),
)
define(
    shapes.view,
    linalg__matrix_transpose=lambda xp, out, x: (lambda g: xp.matrix_transpose(g),),
)


def _inv(xp, out, x):
    def dx(g):
        t = xp.matrix_transpose(out)
        return -xp.matmul(xp.matmul(t, g), t)

    return (dx,)


def _det(xp, out, x):
    def dx(g):
        cofactors = xp.matrix_transpose(xp.linalg.inv(x))
        return (g * out)[..., None, None] * cofactors

    return (dx,)


def _slogdet(xp, outs, x):
    return lambda gs: (gs[1][..., None, None] * xp.matrix_transpose(xp.linalg.inv(x)),)


def _solve(xp, out, a, b):
    def columns(v):
        return v[..., None] if b.ndim == 1 else v

    def db(g):
        return xp.linalg.solve(xp.matrix_transpose(a), g)

    def da(g):
        return -xp.matmul(columns(db(g)), xp.matrix_transpose(columns(out)))

    return da, db


def _symmetric(xp, a):
    return (a + xp.matrix_transpose(a)) / 2


def _cholesky(xp, out, x, *, upper=False):
    def dx(g):
        lower = xp.matrix_transpose(out) if upper else out
        g = xp.tril(xp.matrix_transpose(g) if upper else g)
        phi = xp.tril(xp.matmul(xp.matrix_transpose(lower), g))
        n = phi.shape[-1]
        phi = phi * (1 - xp.eye(n, dtype=phi.dtype) / 2)
        inverse = xp.linalg.inv(lower)
        full = xp.matmul(xp.matmul(xp.matrix_transpose(inverse), phi), inverse)
        return _symmetric(xp, full)

    return (dx,)


def _eigh(xp, outs, x):
    values, vectors = outs

    def pullback(gs):
        g_values, g_vectors = gs
        n = values.shape[-1]
        eye = xp.eye(n, dtype=values.dtype)
        gaps = values[..., None, :] - values[..., :, None] + eye
        transposed = xp.matrix_transpose(vectors)
        inner = xp.matmul(transposed, g_vectors) * ((1 - eye) / gaps) + g_values[..., None] * eye
        return (_symmetric(xp, xp.matmul(xp.matmul(vectors, inner), transposed)),)

    return pullback


def _trace(xp, out, x, /, *, offset=0, dtype=None):
    def dx(g):
        eye = xp.eye(*x.shape[-2:], k=offset, dtype=x.dtype)
        return g[..., None, None] * eye

    return (dx,)


def _diagonal(xp, out, x, /, *, offset=0):
    rows, columns = x.shape[-2:]

    def dx(g):
        n = g.shape[-1]
        first = xp.eye(n, rows, k=max(0, -offset), dtype=x.dtype)
        second = xp.eye(n, columns, k=max(0, offset), dtype=x.dtype)
        return xp.matmul(xp.matrix_transpose(first) * g[..., None, :], second)

    return (dx,)


def _vector_norm(xp, out, x, /, *, axis=None, keepdims=False, ord=2):
    if ord not in (1, 2):
        raise NotImplementedError(f"vector_norm: only ord=1 and 2 have a gradient rule, got {ord}.")

    def dx(g):
        ones = shapes.reduced_shape(x.shape, axis, keepdims=True)
        g, norm = xp.reshape(g, ones), xp.reshape(out, ones)
        return g * xp.sign(x) if ord == 1 else g * x / norm

    return (dx,)


def _matrix_norm(xp, out, x, /, *, keepdims=False, ord="fro"):
    if ord != "fro":
        raise NotImplementedError(f"matrix_norm: only ord='fro' has a gradient rule, got {ord!r}.")

    def dx(g):
        g, norm = (a if keepdims else a[..., None, None] for a in (g, out))
        return g * x / norm

    return (dx,)


def _cross(xp, out, x, y, /, *, axis=-1):
    return (
        lambda g: xp.linalg.cross(y, g, axis=axis),
        lambda g: xp.linalg.cross(g, x, axis=axis),
    )


define(
    shapes.matrix,
    linalg__inv=_inv, linalg__det=_det, linalg__cholesky=_cholesky, linalg__trace=_trace,
)  # fmt: skip
define(shapes.view, linalg__diagonal=_diagonal)
define(shapes.solve, linalg__solve=_solve)
define(shapes.broadcast, linalg__cross=_cross)
define(shapes.norm, linalg__vector_norm=_vector_norm)
define(shapes.matrix_norm, linalg__matrix_norm=_matrix_norm)
without_gradient(
    shapes.matrix,
    "linalg__pinv linalg__matrix_power linalg__matrix_rank linalg__svdvals linalg__eigvalsh",
)
TABLE["linalg.slogdet"] = Function(shapes.matrix, _slogdet, many=True)
TABLE["linalg.eigh"] = Function(shapes.matrix, _eigh, many=True)
TABLE["linalg.qr"] = Function(shapes.matrix, many=True)
TABLE["linalg.svd"] = Function(shapes.matrix, many=True)
