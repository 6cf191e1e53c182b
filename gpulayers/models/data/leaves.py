"""Arrays of any library, data frames and sparse matrices as the arrays that batches hold."""

from __future__ import annotations

import functools

import numpy as np

from ... import config
from ...arrays import devices, dtypes
from . import frames


def is_array(x) -> bool:
    """Whether `x` is an array, a data frame or a sparse matrix, of whatever library."""
    if isinstance(x, np.ndarray) or hasattr(x, "__dlpack__"):
        return True
    return hasattr(x, "shape") and (hasattr(x, "__array__") or hasattr(x, "tocsr"))


def is_sparse(x) -> bool:
    """Whether `x` is a sparse matrix of SciPy or CuPy."""
    return hasattr(x, "tocsr")


def as_array(x, where: str, device: str | None = None):
    """`x` as a NumPy array, or a CuPy array where that needs no way over the host.

    Args:
        x: an array of any library, a pandas frame or series, or a sparse matrix (made dense).
        where: what the message calls it.
        device: None leaves an array where it is; "cpu" fetches it from a GPU; with "gpu:0" a GPU
            array of another library is taken over without a copy, through DLPack.

    Raises TypeError for anything else, and ValueError for an array without axes.
    """
    if type(x) is not np.ndarray:
        x = _converted(x, where, device)
    if not x.shape:
        raise ValueError(f"{where}: expected an array with an axis of samples, got shape ().")
    return x


def _converted(x, where, device):
    if not is_array(x):
        raise TypeError(
            f"{where}: expected an array, got {type(x).__name__}. Lists of numbers become arrays "
            f"with numpy.asarray; a list holds several arrays."
        )
    if isinstance(x, np.ndarray):  # A memory map or another subclass: its memory is kept.
        return np.asarray(x)
    if devices.is_cupy(x):
        return x if device is None else devices.put(x, devices.parse(device))
    if is_sparse(x):
        return _converted(x.toarray(), where, device)
    if frames.is_frame(x):
        return frames.to_numpy(x)
    if device != "cpu" and _is_on_cuda(x):
        import cupy

        return cupy.from_dlpack(x.detach() if hasattr(x, "detach") else x)
    return devices.to_numpy(x)


def _is_on_cuda(x) -> bool:
    if not hasattr(x, "__dlpack_device__") or not devices.gpu_is_usable():
        return False
    return int(x.__dlpack_device__()[0]) in (2, 13)  # kDLCUDA, kDLCUDAManaged.


def float_to_cast(dtype) -> np.dtype | None:
    """The dtype that arrays of `dtype` are cast to: floatx for other floats, None for the rest."""
    return _cast(dtype, config.floatx())


@functools.cache
def _cast(dtype, floatx):
    if dtype.kind in "USTO" or dtype.name == floatx or not dtypes.is_floating(dtype):
        return None
    return dtypes.numpy_dtype(floatx)


def standardized(x, where: str, device: str | None = None):
    """`as_array`, with floats of another width cast to floatx, as Keras does with all data."""
    x = as_array(x, where, device)
    dtype = float_to_cast(x.dtype)
    return x if dtype is None else x.astype(dtype)
