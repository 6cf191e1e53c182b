"""Shapes and dtypes of results, from those of the arguments.

Every rule sees whole sizes, never None (see `abstract.infer`), and asks NumPy wherever NumPy can
answer without touching data: it views one element, or works on no elements at all.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.array_utils import normalize_axis_index as counted
from numpy.lib.array_utils import normalize_axis_tuple as all_counted

from . import dtypes


class Spec:
    """A shape and a dtype: what rules give."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape, dtype):
        self.shape, self.dtype = tuple(shape), dtypes.numpy_dtype(dtype)


def is_array(x) -> bool:
    return hasattr(x, "shape")


def _empty(x):
    """An array without elements that promotes as `x` does."""
    return np.empty((0,), x.dtype) if is_array(x) else x


def ghost(x):
    """An array of x's shape that holds a single element, at every place."""
    return np.broadcast_to(np.ones((), x.dtype), x.shape) if is_array(x) else x


def _small(x):
    return np.ones((1,) * len(x.shape), x.dtype)


def elementwise(fun, *args, **kwargs):
    shape = np.broadcast_shapes(*(a.shape for a in (*args, *kwargs.values()) if is_array(a)))
    kwargs = {key: _empty(value) for key, value in kwargs.items()}
    return Spec(shape, fun(*map(_empty, args), **kwargs).dtype)


def broadcast(fun, x, y, **kwargs):
    return Spec(np.broadcast_shapes(x.shape, y.shape), np.result_type(x.dtype, y.dtype))


def same(fun, x, *args, **kwargs):
    return Spec(x.shape, fun(_small(x), *args, **kwargs).dtype)


def like(fun, x, *args, dtype=None, device=None):
    return Spec(x.shape, x.dtype if dtype is None else dtype)


def astype(fun, x, dtype, **kwargs):
    return Spec(x.shape, dtype)


def view(fun, x, *args, **kwargs):
    out = fun(ghost(x), *args, **kwargs)
    return Spec(out.shape, out.dtype)


def views(fun, *arrays):
    return [Spec(out.shape, out.dtype) for out in fun(*map(ghost, arrays))]


def reduced_shape(shape, axis, keepdims):
    axes = range(len(shape)) if axis is None else (axis,) if not isinstance(axis, tuple) else axis
    axes = {counted(a, len(shape)) for a in axes}
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def reduction(fun, x, *, axis=None, keepdims=False, **kwargs):
    kwargs.pop("correction", None)
    dtype = fun(_small(x), axis=axis, **kwargs).dtype
    return Spec(reduced_shape(x.shape, axis, keepdims), dtype)


def position(fun, x, *, axis=None, keepdims=False):
    if axis is None:
        return Spec((1,) * len(x.shape) if keepdims else (), np.int64)
    return Spec(reduced_shape(x.shape, axis, keepdims), np.int64)


def cumulative(fun, x, *, axis=None, include_initial=False, **kwargs):
    axis = 0 if axis is None else counted(axis, len(x.shape))
    shape = tuple(n + (include_initial and i == axis) for i, n in enumerate(x.shape))
    return Spec(shape, fun(_small(x), axis=axis, **kwargs).dtype)


def diff(fun, x, *, axis=-1, n=1, prepend=None, append=None):
    axis = counted(axis, len(x.shape))
    extra = sum(a.shape[axis] for a in (prepend, append) if a is not None)
    shape = tuple(max(0, m + extra - n) if i == axis else m for i, m in enumerate(x.shape))
    return Spec(shape, x.dtype)


def concat(fun, *arrays, axis=0):
    dtype = np.result_type(*(a.dtype for a in arrays))
    if axis is None:
        return Spec((sum(int(np.prod(a.shape)) for a in arrays),), dtype)
    axis = counted(axis, len(arrays[0].shape))
    rest = {a.shape[:axis] + a.shape[axis + 1 :] for a in arrays}
    if len(rest) > 1:
        raise ValueError(
            f"concat: shapes differ outside axis {axis}: {', '.join(str(a.shape) for a in arrays)}."
        )
    shape = list(arrays[0].shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    return Spec(shape, dtype)


def stack(fun, *arrays, axis=0):
    if len({a.shape for a in arrays}) > 1:
        raise ValueError(f"stack: shapes differ: {', '.join(str(a.shape) for a in arrays)}.")
    shape = list(arrays[0].shape)
    axis = counted(axis, len(shape) + 1)
    shape.insert(axis, len(arrays))
    return Spec(shape, np.result_type(*(a.dtype for a in arrays)))


def unstack(fun, x, *, axis=0):
    axis = counted(axis, len(x.shape))
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return tuple(Spec(shape, x.dtype) for _ in range(x.shape[axis]))


def repeat(fun, x, repeats, *, axis=None):
    if is_array(repeats):
        raise TypeError("repeat: the size of the result depends on the values of `repeats`.")
    if axis is None:
        return Spec((int(np.prod(x.shape)) * repeats,), x.dtype)
    axis = counted(axis, len(x.shape))
    return Spec((n * repeats if i == axis else n for i, n in enumerate(x.shape)), x.dtype)


def tile(fun, x, repetitions):
    rank = max(len(x.shape), len(repetitions))
    shape = (1,) * (rank - len(x.shape)) + tuple(x.shape)
    times = (1,) * (rank - len(repetitions)) + tuple(repetitions)
    return Spec((n * k for n, k in zip(shape, times, strict=True)), x.dtype)


def matmul(fun, x, y):
    if not x.shape or not y.shape:
        raise ValueError(f"matmul: needs arrays with axes, got shapes {x.shape} and {y.shape}.")
    a = (1, *x.shape) if len(x.shape) == 1 else x.shape
    b = (*y.shape, 1) if len(y.shape) == 1 else y.shape
    if a[-1] != b[-2]:
        raise ValueError(
            f"matmul: sizes do not match: {x.shape} @ {y.shape} ({a[-1]} against {b[-2]})."
        )
    shape = np.broadcast_shapes(a[:-2], b[:-2])
    shape += (a[-2],) * (len(x.shape) > 1) + (b[-1],) * (len(y.shape) > 1)
    return Spec(shape, np.result_type(x.dtype, y.dtype))


def vecdot(fun, x, y, *, axis=-1):
    shape = np.broadcast_shapes(x.shape, y.shape)
    axis = counted(axis, len(shape))
    return Spec(shape[:axis] + shape[axis + 1 :], np.result_type(x.dtype, y.dtype))


def tensordot(fun, x, y, *, axes=2):
    if isinstance(axes, int):
        axes = (tuple(range(len(x.shape) - axes, len(x.shape))), tuple(range(axes)))
    left = all_counted(axes[0], len(x.shape))
    right = all_counted(axes[1], len(y.shape))
    pairs = zip(axes[0], axes[1], strict=True)
    if any(x.shape[i] != y.shape[j] for i, j in pairs):
        raise ValueError(f"tensordot: sizes do not match: {x.shape}, {y.shape} over {axes}.")
    shape = [n for i, n in enumerate(x.shape) if i not in left]
    shape += [n for i, n in enumerate(y.shape) if i not in right]
    return Spec(shape, np.result_type(x.dtype, y.dtype))


def outer(fun, x, y):
    return Spec((*x.shape, *y.shape), np.result_type(x.dtype, y.dtype))


def take(fun, x, indices, *, axis=None):
    if axis is None and len(x.shape) != 1:
        raise ValueError(f"take: an axis is needed for an array of shape {x.shape}.")
    axis = 0 if axis is None else counted(axis, len(x.shape))
    return Spec(x.shape[:axis] + tuple(indices.shape) + x.shape[axis + 1 :], x.dtype)


def take_along_axis(fun, x, indices, *, axis=-1):
    axis = counted(axis, len(x.shape))
    shape = [
        indices.shape[i] if i == axis else np.broadcast_shapes((n,), (indices.shape[i],))[0]
        for i, n in enumerate(x.shape)
    ]
    return Spec(shape, x.dtype)


def searchsorted(fun, x1, x2, **kwargs):
    return Spec(x2.shape, np.int64)


def on_values(fun, *args, **kwargs):
    raise TypeError(
        f"{getattr(fun, '__name__', 'this function')}: the shape of its result depends on the "
        "values of its argument, which are not known while shapes are being inferred."
    )


def matrix(fun, x, *args, **kwargs):
    """Functions of one (batch of) matrices: NumPy answers on the smallest batch."""
    lead = x.shape[:-2]
    small = np.broadcast_to(np.eye(*x.shape[-2:], dtype=x.dtype), (1,) * len(lead) + x.shape[-2:])
    out = fun(small, *args, **kwargs)

    def spec(part):
        return Spec(lead + part.shape[len(lead) :], part.dtype)

    return tuple(spec(part) for part in out) if isinstance(out, tuple) else spec(out)


def solve(fun, x1, x2):
    b = x2.shape if len(x2.shape) > 1 else (*x2.shape, 1)
    shape = np.broadcast_shapes(x1.shape[:-2], b[:-2] if len(x2.shape) > 1 else ()) + b[-2:]
    return Spec(shape if len(x2.shape) > 1 else shape[:-1], np.result_type(x1.dtype, x2.dtype))


def norm(fun, x, *, axis=None, keepdims=False, ord=None):
    dtype = np.empty(0, x.dtype).real.dtype if x.dtype.kind == "c" else x.dtype
    return Spec(reduced_shape(x.shape, axis, keepdims), dtype)


def matrix_norm(fun, x, *, keepdims=False, ord="fro"):
    return norm(fun, x, axis=(-2, -1), keepdims=keepdims)
