"""Numbers of 4 bits, two in a byte: the first in its low half, the next in its high half."""

from __future__ import annotations

from ..arrays import as_array, dtypes, namespace

_BYTES = ("int8", "uint8")


def pack_int4(arr, axis: int = 0, dtype: str = "int8"):
    """Neighbours along an axis, in pairs, as one byte each.

    Args:
        arr: an array of `dtype` with numbers from -8 to 7 (uint8: 0 to 15).
        axis: the axis that is halved; a 0 is added to an odd one.
        dtype: "int8" or "uint8", of `arr` and of the result.

    Returns the bytes, their shape, and the length of the axis before.
    Raises ValueError for another dtype, TypeError if `arr` has another one than `dtype`.
    """
    x = as_array(arr)
    xp = namespace(x)
    _check_dtype("pack_int4", dtype)
    if dtypes.name(x.dtype) != dtype:
        raise TypeError(f"pack_int4: expected an array of {dtype}, got {dtypes.name(x.dtype)}.")
    axis, length = axis % x.ndim, x.shape[axis]
    if length % 2:
        shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        x = xp.concat([x, xp.zeros(shape, dtype=x.dtype)], axis=axis)
    before = (slice(None),) * axis
    low, high = x[(*before, slice(None, None, 2), ...)], x[(*before, slice(1, None, 2), ...)]
    packed = (low & 15) | (high << 4)
    return packed, tuple(packed.shape), length


def unpack_int4(packed, orig_len: int, axis: int = 0, dtype: str = "int8"):
    """What `pack_int4` was given.

    Args:
        packed: bytes, int8 or uint8.
        orig_len: the length of the axis before packing.
        axis: the axis that was halved.
        dtype: "int8" for numbers from -8 to 7, "uint8" for 0 to 15.

    Raises ValueError for another dtype, TypeError if `packed` holds no bytes.
    """
    x = as_array(packed)
    xp = namespace(x)
    _check_dtype("unpack_int4", dtype)
    if dtypes.name(x.dtype) not in _BYTES:
        raise TypeError(
            f"unpack_int4: expected an array of int8 or uint8, got {dtypes.name(x.dtype)}."
        )
    axis = axis % x.ndim
    x = xp.astype(x, dtypes.of(xp, "int16"))  # Holds the bytes of either kind.
    low, high = x & 15, (x >> 4) & 15
    if dtype == "int8":
        low, high = (low ^ 8) - 8, (high ^ 8) - 8
    shape = (*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    numbers = xp.reshape(xp.stack([low, high], axis=axis + 1), shape)
    numbers = numbers[(*(slice(None),) * axis, slice(0, orig_len), ...)]
    return xp.astype(numbers, dtypes.of(xp, dtype))


def _check_dtype(who, dtype):
    if dtype not in _BYTES:
        raise ValueError(f"{who}: dtype must be 'int8' or 'uint8', got {dtype!r}.")
