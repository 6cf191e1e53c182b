"""Where arrays live: which library holds them, and on which device.

Nothing here imports CuPy or touches a driver before a GPU is asked for.
"""

from __future__ import annotations

import contextlib
import contextvars
import re
import sys
import warnings
from typing import NamedTuple

import numpy as np

from .gaps import filled
from .namespace import NUMPY, RANK, library, plain_namespace


class Home(NamedTuple):
    """A place for arrays: a library's namespace and one of its devices."""

    xp: object
    device: object


CPU = Home(NUMPY, "cpu")
_home = contextvars.ContextVar("home", default=None)
_found_gpu: list[bool] = []  # Empty until somebody asked.


def home_of(x) -> Home:
    """Where a plain array lives."""
    if type(x) is np.ndarray:
        return CPU
    xp = plain_namespace(x)
    if xp is NUMPY:
        return CPU
    from array_api_compat import device

    return Home(xp, device(x))


def put(value, home: Home):
    """`value` (NumPy, or already of that library) as an array that lives at `home`."""
    if home.xp is NUMPY:
        return to_numpy(value)
    if library(home.xp) == "cupy":
        with home.device:
            return home.xp.asarray(value)
    xp = plain_namespace(value)
    if xp is None or xp is home.xp:
        return home.xp.asarray(value, device=home.device)
    return _from_numpy(to_numpy(value), home)


def _from_numpy(value: np.ndarray, home: Home):
    if value.dtype.name == "bfloat16":  # Known to NumPy by ml_dtypes only.
        wide = home.xp.asarray(value.astype(np.float32), device=home.device)
        return home.xp.astype(wide, home.xp.bfloat16)
    if not value.flags.writeable and library(home.xp) == "torch":
        value = value.copy()
    return home.xp.asarray(value, device=home.device)


def to_numpy(x) -> np.ndarray:
    """A plain array of any library, or anything NumPy takes, as a NumPy array."""
    if type(x) is np.ndarray:
        return x
    if hasattr(x, "get") and type(x).__module__.partition(".")[0] == "cupy":
        return x.get()
    if type(x).__module__.partition(".")[0] == "torch":
        x = x.detach().cpu()
        if str(x.dtype) == "torch.bfloat16":
            import ml_dtypes

            return x.float().numpy().astype(ml_dtypes.bfloat16)
        return x.numpy()
    if type(x).__module__.partition(".")[0] == "array_api_strict":
        return np.asarray(x.to_device(type(x.device)("CPU_DEVICE"))._array)
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return np.from_dlpack(x)
    return np.asarray(x)


_STAY = contextlib.nullcontext()


def on(home: Home):
    """The context in which a library's new arrays appear at `home`, and its work is done there."""
    if home.xp is NUMPY:
        return _STAY
    found = library(home.xp)
    if found == "cupy":
        import cupy

        return _STAY if home.device.id == cupy.cuda.runtime.getDevice() else home.device
    if found == "torch" and home.device.type != "cpu":
        return home.device
    return _STAY  # What JAX makes on its default device follows the arrays that it meets.


def beside(x):
    """The same for where the plain array `x` lives; nothing changes for what is no array."""
    if type(x) is np.ndarray or type(x) in RANK or plain_namespace(x) is None:
        return _STAY
    return on(home_of(x))


def device_of(x):
    """What creation functions take as `device=`, to make arrays beside the array `x`."""
    while RANK.get(type(x), 0) in range(1, 100):  # Recorded.
        x = x.value
    if RANK.get(type(x)) is not None:
        return x.device
    return home_of(x).device


@contextlib.contextmanager
def scope(home: Home):
    """Within it, new weights live at `home`."""
    token = _home.set(home)
    try:
        yield
    finally:
        _home.reset(token)


def device(device_name: str):
    """Within it, new weights and arrays of no other origin live on that device: "cpu", "gpu:1".

    Raises ValueError for another name, RuntimeError if there is no such device.
    """
    return scope(parse(device_name))


def current() -> Home:
    """Where new weights live: the scope's home, else the default device."""
    return _home.get() or default()


def in_scope() -> bool:
    """Whether arrays, rather than the default device, decide where new weights live."""
    return _home.get() is not None


def default() -> Home:
    """The home that `config.set_device` or GPULAYERS_DEVICE chose, else a usable GPU, else CPU."""
    from .. import config

    chosen = config._settings["device"]
    if chosen is None:
        return parse("gpu") if gpu_is_usable() else CPU
    return parse(chosen)


def parse(name: str) -> Home:
    """The home named "cpu", "gpu" or "gpu:1" ("cuda" reads as "gpu").

    Raises ValueError for another name, RuntimeError if there is no such device.
    """
    match = re.fullmatch(r"(cpu|gpu|cuda)(?::(\d+))?", str(name).lower())
    if not match:
        raise ValueError(f'device: expected "cpu", "gpu" or "gpu:1", got {name!r}.')
    if match[1] == "cpu":
        return CPU
    reason = None if _found_gpu == [True] else why_no_gpu()
    if reason:
        raise RuntimeError(f"device {name!r}: {reason}")
    import cupy
    from array_api_compat import cupy as xp

    index, count = int(match[2] or 0), cupy.cuda.runtime.getDeviceCount()
    if index >= count:
        raise RuntimeError(f"device {name!r}: this machine has {count} GPU(s), numbered from 0.")
    return Home(filled(xp), cupy.cuda.Device(index))


def name(home: Home) -> str:
    """The name of a home, as `parse` reads it: "cpu", "gpu:0"; other libraries' devices as text."""
    if home.xp is NUMPY:
        return "cpu"
    if library(home.xp) == "cupy":
        return f"gpu:{home.device.id}"
    return f"{library(home.xp)}:{home.device}"


def why_no_gpu() -> str | None:
    """Why CuPy cannot be used here, with what to do about it; None if it can."""
    from importlib.util import find_spec

    if find_spec("cupy") is None:
        return (
            "CuPy is not installed. For an NVIDIA GPU: pip install 'gpulayers[cuda13x]' "
            "(or cuda12x for a driver of CUDA 12)."
        )
    try:
        import cupy
    except Exception as error:  # A broken installation raises whatever it likes.
        return f"CuPy cannot be imported ({error!r}); reinstall it."
    if not cupy.cuda.is_available():
        try:
            cupy.cuda.runtime.getDeviceCount()
        except RuntimeError as error:
            return f"CuPy finds no usable GPU ({error}); check the driver with nvidia-smi."
        return "CuPy finds no GPU; check the driver with nvidia-smi, and CUDA_VISIBLE_DEVICES."
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        return f"CUDA's compiler NVRTC is missing ({error!r}): pip install 'cupy-cuda13x[ctk]'."
    capability = int(cupy.cuda.Device().compute_capability)
    if capability < 75:
        return f"the GPU has compute capability {capability / 10}; 7.5 or newer is needed."
    return None


def gpu_is_usable() -> bool:
    """Whether CuPy and a GPU are there.  CuPy without a usable GPU is warned about once."""
    if not _found_gpu:
        from importlib.util import find_spec

        reason = "absent" if find_spec("cupy") is None else why_no_gpu()
        _found_gpu.append(reason is None)
        if reason not in (None, "absent"):
            warnings.warn(f"gpulayers runs on the CPU: {reason}", stacklevel=3)
    return _found_gpu[0]


def is_cupy(x) -> bool:
    """Whether `x` is a CuPy array, without importing CuPy."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)
