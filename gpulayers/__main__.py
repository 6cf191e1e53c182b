"""`python -m gpulayers`: what the library runs on here, and what would make it faster."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("numpy", "array-api-compat", "h5py", "ml-dtypes")
CUPY = ("cupy", "cupy-cuda13x", "cupy-cuda12x")


def main() -> None:
    """Print versions, devices, kernels, and what to install for a GPU."""
    from . import __version__, config
    from .arrays import devices

    print(f"gpulayers {__version__}, Python {platform.python_version()} ({sys.executable})")
    print("Packages:  " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    cupy = next((f"{name} {found}" for name in CUPY if (found := _version(name)) != "-"), None)
    print(f"CuPy:      {cupy or 'not installed'}")
    reason = devices.why_no_gpu()
    if reason is None:
        for line in _gpus():
            print(f"GPU:       {line}")
    else:
        print(f"GPU:       none: {reason}")
    print(f"Default:   {config.device()}  (GPULAYERS_DEVICE or config.set_device changes it)")
    for library, names in _kernels().items():
        print(f"{library + ':':<11}" + (", ".join(names) or "none yet: plain array functions"))


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


def _kernels() -> dict[str, list[str]]:
    """The operations with faster versions of their own, by library."""
    from . import ops  # noqa: F401  (its modules define the primitives)
    from .arrays.primitive import load_versions, primitive

    for library in ("numpy", "cupy"):
        load_versions(library)
    found: dict[str, list[str]] = {"On the CPU": [], "On a GPU": []}
    for op in primitive.all:
        for library, names in zip(("numpy", "cupy"), found.values(), strict=True):
            if library in op.versions:
                names.append(op.__name__)
    return {library: sorted(set(names)) for library, names in found.items()}


if __name__ == "__main__":
    main()
