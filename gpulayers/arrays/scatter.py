"""The gradients of indexing: values added where they were taken from."""

from __future__ import annotations

from math import prod

from . import devices
from .namespace import library, namespace
from .primitive import primitive

HAVE_ADD_AT = frozenset({"numpy", "cupy"})  # It is not in the standard.


@primitive
def put(x, *, key, shape):
    """Zeros of `shape` with `x` at the basic index `key`: the gradient of `a[key]`."""
    xp = namespace(x)
    out = xp.zeros(shape, dtype=x.dtype, device=devices.device_of(x))
    if library(xp) == "jax":
        return out.at[key].set(x)
    parts = key if type(key) is tuple else (key,)
    if any(part is None for part in parts):  # The standard knows no assignment to new axes.
        key = tuple(part for part in parts if part is not None)
        x = xp.reshape(x, out[key].shape)
    out[key] = x  # Our own fresh array.  A basic key never names an element twice.
    return out


@put.vjp
def _(xp, out, x, *, key, shape):
    return (lambda g: g[key],)


@primitive
def scatter_add(x, indices, *, axis, size):
    """Zeros with slices of `x` added at `indices` along `axis`: the gradient of `take`.

    The axes of `indices` stand in `x` in the place of `axis`, which gets `size` elements.
    """
    xp = namespace(x)
    rank = indices.ndim
    lead, tail = x.shape[:axis], x.shape[axis + rank :]
    shape = (*lead, size, *tail)
    if library(xp) in HAVE_ADD_AT:
        out = xp.zeros(shape, dtype=x.dtype, device=devices.device_of(x))
        xp.add.at(out, (slice(None),) * axis + (indices,), x)
        return out
    flat = xp.reshape(indices, (-1,))
    places = xp.arange(size, dtype=flat.dtype, device=devices.device_of(x))
    hot = xp.astype(xp.expand_dims(places, axis=1) == flat, x.dtype)
    rows = xp.reshape(xp.moveaxis(x, tuple(range(axis)), tuple(range(-axis, 0))) if axis else x,
                      (flat.shape[0], prod(lead + tail)))  # fmt: skip
    out = xp.reshape(xp.matmul(hot, rows), (size, *tail, *lead))
    return xp.moveaxis(out, tuple(range(-axis, 0)), tuple(range(axis))) if axis else out


@scatter_add.vjp
def _(xp, out, x, indices, *, axis, size):
    def dx(g):
        if indices.ndim == 1:
            return xp.take(g, indices, axis=axis)
        flat = xp.take(g, xp.reshape(indices, (-1,)), axis=axis)
        return xp.reshape(flat, x.shape)

    return dx, None


@primitive
def scatter_add_along_axis(x, indices, *, axis, size):
    """Zeros with elements of `x` added at `indices` along `axis`: of `take_along_axis`."""
    xp = namespace(x)
    if library(xp) in HAVE_ADD_AT:
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        out = xp.zeros(shape, dtype=x.dtype, device=devices.device_of(x))
        grid = []
        for i, n in enumerate(x.shape):
            ones = [1] * x.ndim
            ones[i] = n
            grid.append(indices if i == axis else xp.reshape(xp.arange(n), tuple(ones)))
        xp.add.at(out, tuple(grid), x)
        return out
    at = xp.expand_dims(xp.moveaxis(indices, axis, -1), axis=-1)
    places = xp.arange(size, dtype=indices.dtype, device=devices.device_of(x))
    hot = xp.astype(at == places, x.dtype)
    rows = xp.expand_dims(xp.moveaxis(x, axis, -1), axis=-2)
    return xp.moveaxis(xp.matmul(rows, hot)[..., 0, :], -1, axis)


@scatter_add_along_axis.vjp
def _(xp, out, x, indices, *, axis, size):
    return lambda g: xp.take_along_axis(g, indices, axis=axis), None
