"""Arrays of NumPy and CuPy as those of PyTorch and JAX, and back, over the same memory."""

from __future__ import annotations

import numpy as np

from . import devices, dtypes


def to_torch(x):
    """A tensor over the memory of an array; a copy of one that must not be written."""
    import torch

    if type(x) is torch.Tensor:
        return x
    if devices.is_cupy(x):
        return torch.from_dlpack(x)
    x = devices.to_numpy(x)
    if not x.flags.writeable or any(step < 0 for step in x.strides):
        x = np.array(x)  # PyTorch has tensors of neither kind.
    if dtypes.name(x.dtype) == "bfloat16":
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def from_torch(tensor):
    """An array of NumPy, or of CuPy, over the memory of a tensor."""
    import torch

    tensor = tensor.detach()
    if tensor.device.type == "cuda":
        import cupy

        return cupy.from_dlpack(tensor)
    if tensor.dtype is torch.bfloat16:
        short = tensor.contiguous().view(torch.int16).numpy()
        return short.view(dtypes.numpy_dtype("bfloat16"))
    return tensor.cpu().resolve_conj().numpy()


def to_jax(x):
    """An array of JAX over the memory of an array, where JAX can."""
    import jax

    if devices.is_cupy(x):
        return jax.dlpack.from_dlpack(x)
    return jax.numpy.asarray(x)


def from_jax(x, like=None):
    """An array of NumPy over the memory of one of JAX; of CuPy if `like` is."""
    if devices.is_cupy(like):
        import cupy

        return cupy.from_dlpack(x)
    return np.asarray(x)
