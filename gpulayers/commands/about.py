"""`gpulayers about`: what the library runs on here, and what would make it faster."""

from __future__ import annotations

import os
import platform
import sys
import textwrap
import warnings
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("numpy", "array-api-compat", "h5py", "ml-dtypes")
CUPY = ("cupy", "cupy-cuda13x", "cupy-cuda12x")
LIBRARIES = {"numpy": "On the CPU", "cupy": "On a GPU"}


def about() -> None:
    """Print versions, devices, fast operations, kernels, and what to install for a GPU."""
    from .. import __version__, config
    from ..arrays import devices

    print(f"gpulayers {__version__}, Python {platform.python_version()} ({sys.executable})")
    _say("Packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    cupy = next((f"{name} {found}" for name in CUPY if (found := _version(name)) != "-"), None)
    _say("CuPy", cupy or "not installed")
    reason = devices.why_no_gpu()
    for line in [f"none: {reason}"] if reason else _gpus():
        _say("GPU", line)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That there is no GPU has just been said.
        device = config.device()
    _say("Default", f"{device} (GPULAYERS_DEVICE or config.set_device changes it)")
    for library, names in _fast_operations().items():
        count = f"{len(names)} operations have faster versions: " if names else ""
        _say(LIBRARIES[library], count + (", ".join(names) or "plain array functions so far"))
    _say("Kernels", ", ".join(_kernels()) + f" (CUDA, compiled when first needed; in {_cache()})")


def _say(what: str, text: str) -> None:
    """A line with its title, wrapped under itself."""
    lines = textwrap.wrap(text, 86, break_long_words=False, break_on_hyphens=False)
    print(f"{what + ':':<12}" + ("\n" + " " * 12).join(lines))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


def _gpus():
    import cupy

    for i in range(cupy.cuda.runtime.getDeviceCount()):
        found = cupy.cuda.runtime.getDeviceProperties(i)
        memory = found["totalGlobalMem"] / 2**30
        name = found["name"].decode()
        yield f"gpu:{i} {name}, {memory:.0f} GiB, compute {found['major']}.{found['minor']}"


def _fast_operations() -> dict[str, list[str]]:
    """The names of the operations with faster versions, by library."""
    from .. import ops  # noqa: F401  (its modules define the primitives)
    from ..arrays.primitive import load_versions, primitive

    for library in LIBRARIES:
        load_versions(library)
    return {
        library: sorted({op.__name__ for op in primitive.all if library in op.versions})
        for library in LIBRARIES
    }


def _kernels() -> list[str]:
    """The CUDA sources."""
    from ..cuda.module import available

    return available()


def _cache() -> str:
    """Where CuPy keeps what it has compiled."""
    return os.environ.get("CUPY_CACHE_DIR", "~/.cupy/kernel_cache")
