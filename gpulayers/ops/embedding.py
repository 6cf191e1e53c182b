"""Rows of a table by number, and numbers as rows of zeros and ones."""

from __future__ import annotations

from .. import config
from ..arrays import as_array, devices, dtypes, namespace, operation, primitive
from ..arrays.scatter import scatter_add

__all__ = ["gather", "multi_hot", "one_hot"]


@primitive
def gather(table, indices):
    """The rows of `table` (N, ...) that `indices` (...) name, from 0 to N - 1.

    Negative indices count from the end.  On the CPU, an index beyond the table raises IndexError;
    elsewhere nobody looks.
    """
    xp = namespace(table, indices)
    rows = _row_numbers(xp, indices, table.shape[0])
    return xp.reshape(xp.take(table, rows, axis=0), (*indices.shape, *table.shape[1:]))


def _row_numbers(xp, indices, size):
    """Indices in a row, counted from the front."""
    rows = xp.reshape(indices, (-1,))
    if dtypes.name(rows.dtype) not in ("int32", "int64"):  # Others could not hold `size`.
        rows = xp.astype(rows, xp.int64)
    return xp.where(rows < 0, rows + size, rows)


@gather.vjp
def _(xp, out, table, indices):
    size = table.shape[0]

    def dtable(g):
        rows = _row_numbers(xp, indices, size)
        g = xp.reshape(g, (rows.shape[0], *table.shape[1:]))
        return scatter_add(g, rows, axis=0, size=size)

    return dtable, None


@operation
def one_hot(x, num_classes: int, axis: int = -1, dtype: str | None = None, sparse: bool = False):
    """1 at the place that each number names, 0 elsewhere; all 0 for numbers outside.

    Args:
        x: integers of any shape.
        num_classes: how many places.
        axis: where the new axis is to stand in the result: -1 or 0 ... ndim.
        dtype: of the result; floatx by default.
        sparse: must be False.

    Raises ValueError for an axis that the result lacks, for `sparse`, TypeError if `num_classes`
    is no integer.
    """
    x = as_array(x)
    _require_dense("one_hot", sparse)
    x, axis = _places("one_hot", x, num_classes, axis)
    return hot(x, size=int(num_classes), axis=axis, dtype=dtype or config.floatx())


@primitive
def hot(x, *, size, axis, dtype):
    """`one_hot` of integers, with a new `axis` of `size` places counted from the front."""
    xp = namespace(x)
    places = xp.astype(xp.arange(size, device=devices.device_of(x)), x.dtype)
    places = xp.reshape(places, (-1,) + (1,) * (x.ndim - axis))
    return xp.astype(xp.expand_dims(x, axis=axis) == places, dtypes.of(xp, dtype))


@hot.vjp
def _(xp, out, x, *, size, axis, dtype):
    return (None,)


@operation
def multi_hot(
    inputs,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: str | None = None,
    sparse: bool = False,
    num_tokens: int | None = None,
):
    """1 at all places that the numbers of a sample name, 0 elsewhere.

    Args:
        inputs: integers, (samples, numbers, ...), or (numbers,) of one sample.
        num_classes: how many places; `num_tokens` is its older name.
        axis, dtype, sparse: as those of `one_hot`, whose maximum over the numbers this is.

    Raises ValueError without `num_classes`, and as `one_hot` does.
    """
    num_classes = num_tokens if num_classes is None else num_classes
    if num_classes is None:
        raise ValueError("multi_hot: num_classes must be given.")
    inputs = as_array(inputs)
    _require_dense("multi_hot", sparse)
    inputs, axis = _places("multi_hot", inputs, num_classes, axis)
    over = int(inputs.ndim > 1)
    dtype = dtype or config.floatx()
    return several_hot(inputs, size=int(num_classes), axis=axis, over=over, dtype=dtype)


@primitive
def several_hot(x, *, size, axis, over, dtype):
    """`hot`, and then the maximum over the axis `over` of the result."""
    ones = hot(x, size=size, axis=axis, dtype="bool")
    xp = namespace(ones)
    return xp.astype(xp.any(ones, axis=over), dtypes.of(xp, dtype))


@several_hot.vjp
def _(xp, out, x, *, size, axis, over, dtype):
    return (None,)


def _places(who, x, num_classes, axis):
    """Integers, and the new axis counted from the front; raises for arguments that are wrong."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise ValueError(f"{who}: axis must be -1 or in 0..{x.ndim}, got {axis}.")
    if not hasattr(num_classes, "__index__"):
        raise TypeError(f"{who}: num_classes must be an integer, got {num_classes!r}.")
    if not dtypes.is_integer(x):
        x = namespace(x).astype(x, dtypes.of(namespace(x), "int32"))
    return x, axis % (x.ndim + 1)


def _require_dense(who, sparse):
    if sparse:
        raise ValueError(f"{who}: sparse arrays are not supported, got sparse={sparse}.")
