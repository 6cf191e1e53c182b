"""The array libraries of the `xp` fixture."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec

import numpy as np


class Backend:
    """One array library: makes its arrays from NumPy's, and NumPy's from its own."""

    def __init__(self, name, asarray, to_numpy, kind):
        self.name, self.asarray, self.to_numpy, self.kind = name, asarray, to_numpy, kind

    def __repr__(self):
        return self.name


def _numpy():
    return Backend("numpy", np.asarray, np.asarray, np.ndarray)


def _read_only():
    def asarray(x):
        x = np.array(x)
        x.flags.writeable = False
        return x

    return Backend("numpy-read-only", asarray, np.asarray, np.ndarray)


def _strict():
    import array_api_strict

    def to_numpy(x):
        return np.asarray(x._array)

    kind = type(array_api_strict.asarray(0))
    return Backend("array_api_strict", array_api_strict.asarray, to_numpy, kind)


def _cupy():
    if find_spec("cupy") is None:
        return None
    import cupy

    if not cupy.cuda.is_available():
        return None
    return Backend("cupy", cupy.asarray, cupy.asnumpy, cupy.ndarray)


def _torch():
    import torch

    return Backend("torch", lambda x: torch.asarray(np.array(x)), np.asarray, torch.Tensor)


def _jax():
    import jax
    import jax.numpy as jnp

    return Backend("jax", jnp.asarray, np.asarray, jax.Array)


def _dask():
    import dask.array as da

    return Backend("dask", da.from_array, np.asarray, da.Array)


@cache
def _stand_in():
    """CuPy's stand-in, installed for the whole session."""
    from stand_in_cupy import installed

    cupy = _session.enter_context(installed())
    return Backend("stand-in-cupy", cupy.asarray, lambda x: x._host, cupy.ndarray)


@cache
def _rig():
    """The stand-in with gpulayers' own kernels, which the rig runs on the CPU."""
    from stand_in_cupy import installed

    cupy = _session.enter_context(installed(kernels=True))
    return Backend("rig", cupy.asarray, lambda x: x._host, cupy.ndarray)


_session = ExitStack()
BACKENDS = (_numpy, _read_only, _strict, _cupy)
OPTIONAL = {"torch": _torch, "jax": _jax, "dask": _dask, "stand-in": _stand_in, "rig": _rig}
