"""Other shapes, other orders of axes, repetitions: elements move, none changes."""

from __future__ import annotations

from math import prod

from ..arrays import as_array, namespace
from ..arrays.shapes import all_counted, counted
from .calling import array_function

__all__ = [
    "broadcast_to",
    "diag",
    "diagflat",
    "diagonal",
    "expand_dims",
    "flip",
    "fliplr",
    "flipud",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "rot90",
    "squeeze",
    "swapaxes",
    "tile",
    "trace",
    "transpose",
    "tril",
    "triu",
]

moves = array_function(computes=False)


def _integers(value):
    """An integer or several, also from an array, as a tuple of Python integers."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


@moves
def reshape(x, newshape):
    """The elements of `x`, in their order, in another shape.

    newshape: sizes, of which one may be -1 (what is left), or a single size. Raises ValueError if
        the numbers of elements differ, and for other negative sizes.
    """
    sizes = _integers(newshape)
    if any(n < -1 for n in sizes):
        raise ValueError(f"reshape: sizes must be -1 or more, got {sizes}.")
    return namespace(x).reshape(x, sizes)


@moves
def ravel(x):
    """All elements in a row."""
    return namespace(x).reshape(x, (-1,))


@moves
def expand_dims(x, axis):
    """New axes of size 1, at the places `axis` (an integer or several) of the result."""
    xp = namespace(x)
    if isinstance(axis, int):
        return xp.expand_dims(x, axis=axis)
    axes, rank = _integers(axis), x.ndim + len(_integers(axis))
    for a in sorted(all_counted(axes, rank, "expand_dims")):
        x = xp.expand_dims(x, axis=a)
    return x


@moves
def squeeze(x, axis=None):
    """Without the axes of size 1 that `axis` names; without all of them by default.

    Raises ValueError for an axis of another size.
    """
    if axis is None:
        axis = tuple(i for i, n in enumerate(x.shape) if n == 1)
    return namespace(x).squeeze(x, axis=_integers(axis)) if axis != () else x


@moves
def transpose(x, axes=None):
    """The axes in another order: axis i of the result is axes[i] of `x`; reversed by default."""
    axes = range(x.ndim)[::-1] if axes is None else all_counted(axes, x.ndim, "transpose")
    return namespace(x).permute_dims(x, tuple(axes))


permute_dims = transpose


@moves
def matrix_transpose(x):
    """The last two axes exchanged."""
    return namespace(x).matrix_transpose(x)


@moves
def moveaxis(x, source, destination):
    """The axes `source` (an integer or several) moved to the places `destination`."""
    return namespace(x).moveaxis(x, _integers(source), _integers(destination))


@moves
def swapaxes(x, axis1: int, axis2: int):
    """Two axes exchanged."""
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return namespace(x).permute_dims(x, tuple(order))


@moves
def flip(x, axis=None):
    """The elements in reverse order along axes: an integer, several, or None for all."""
    return namespace(x).flip(x, axis=axis if axis is None else _integers(axis))


@moves
def fliplr(x):
    """The elements in reverse order along the second axis."""
    return namespace(x).flip(x, axis=1)


@moves
def flipud(x):
    """The elements in reverse order along the first axis."""
    return namespace(x).flip(x, axis=0)


@moves
def rot90(array, k: int = 1, axes=(0, 1)):
    """A quarter turn, `k` times, from the first towards the second of two axes.

    Raises ValueError unless `axes` are two different axes of the array.
    """
    if array.ndim < 2 or len(axes) != 2:
        raise ValueError(f"rot90: needs two axes, got {axes} for the shape {tuple(array.shape)}.")
    first, second = (counted(a, array.ndim, "rot90") for a in axes)
    if first == second:
        raise ValueError(f"rot90: axes must be two different axes, got {tuple(axes)}.")
    xp, k = namespace(array), k % 4
    if k == 2:
        return xp.flip(array, axis=(first, second))
    if k == 3:
        return swapaxes(xp.flip(array, axis=first), first, second)
    return xp.flip(swapaxes(array, first, second), axis=first) if k else array


@moves
def roll(x, shift, axis=None):
    """The elements moved `shift` places along axes, round and round; in a row for None."""
    shift, axis = (tuple(v) if isinstance(v, list) else v for v in (shift, axis))
    return namespace(x).roll(x, shift, axis=axis)


@moves
def broadcast_to(x, shape):
    """`x` repeated along new axes, and along axes of size 1, up to a shape."""
    return namespace(x).broadcast_to(x, _integers(shape))


@moves
def repeat(x, repeats, axis: int | None = None):
    """Each element repeated along an axis; of the flat array for None.

    repeats: how often: an integer, or one for each element of the axis.
    """
    xp = namespace(x)
    counts = _integers(repeats)
    if len(counts) == 1:
        return xp.repeat(x, counts[0], axis=axis)
    if axis is None:
        x, axis = xp.reshape(x, (-1,)), 0
    places = [i for i, count in enumerate(counts) for _ in range(count)]
    return xp.take(x, as_array(places, like=x), axis=axis)


@moves
def tile(x, repeats):
    """The whole array repeated along each axis: `repeats` times, an integer or one for each."""
    return namespace(x).tile(x, _integers(repeats))


@moves
def tril(x, k: int = 0):
    """Matrices with 0 above the diagonal `k` (0 the main one, 1 the one above it)."""
    return namespace(x).tril(x, k=k)


@moves
def triu(x, k: int = 0):
    """Matrices with 0 below the diagonal `k` (0 the main one, 1 the one above it)."""
    return namespace(x).triu(x, k=k)


@moves
def diagonal(x, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """The diagonals of the matrices in two axes, as the last axis of the result.

    Raises ValueError for an array of fewer than two axes.
    """
    if x.ndim < 2:
        raise ValueError(f"diagonal: needs two axes, got the shape {tuple(x.shape)}.")
    xp = namespace(x)
    return xp.linalg.diagonal(xp.moveaxis(x, (axis1, axis2), (-2, -1)), offset=offset)


@array_function()
def trace(x, offset: int = 0, axis1: int = 0, axis2: int = 1):
    """The sums of the diagonals of the matrices in two axes."""
    from .reductions import sum

    return sum(diagonal(x, offset, axis1, axis2), axis=-1)


@moves
def diag(x, k: int = 0):
    """The diagonal `k` of a matrix; of a vector, the matrix that has it there and 0 elsewhere.

    Raises ValueError for other ranks.
    """
    if x.ndim == 2:
        return namespace(x).linalg.diagonal(x, offset=k)
    if x.ndim == 1:
        return diagflat(x, k)
    raise ValueError(f"diag: needs a vector or a matrix, got the shape {tuple(x.shape)}.")


@moves
def diagflat(x, k: int = 0):
    """The matrix with all elements of `x` on its diagonal `k`, and 0 elsewhere."""
    xp, count = namespace(x), prod(x.shape)
    size = count + abs(k)
    rows = xp.reshape(x, (-1, 1))
    beside = xp.zeros((count, size), dtype=x.dtype)
    square = xp.concat([rows, beside], axis=1)  # Each row starts one place further on...
    square = xp.reshape(square, (-1,))[: count * size]  # ... when they are cut one place shorter.
    square = xp.reshape(square, (count, size))
    if k == 0:
        return square
    square = xp.roll(square, k, axis=1) if k > 0 else square
    missing = xp.zeros((size - count, size), dtype=x.dtype)
    return xp.concat([square, missing] if k > 0 else [missing, square], axis=0)
