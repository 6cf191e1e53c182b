"""Compiles CUDA sources with g++, for the CPU; what has been compiled is kept between runs.

The cache is a folder outside of the sources: $GPULAYERS_RIG_CACHE, or gpulayers-rig in
$XDG_CACHE_HOME or ~/.cache.  Each result's name is made of all that it depends on.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMPILER = os.environ.get("CXX", "g++")
KEPT_DAYS = 30
FLAGS = (
    "-std=gnu++17 -O1 -w -march=native -ffp-contract=off -fno-strict-aliasing -fPIC -pipe "
    "-fvisibility=hidden -fno-tree-loop-distribute-patterns"
).split()
SANITIZER_FLAGS = {
    None: [],
    "address": "-fsanitize=address,undefined -fno-sanitize-recover=undefined "
    "-fsanitize-sections=gl_shared -g1 -fno-omit-frame-pointer",
    "thread": "-fsanitize=thread -g1 -fno-omit-frame-pointer",
}
RUNTIME_FLAGS = {None: [], "address": ["-DRIG_ASAN"], "thread": ["-DRIG_TSAN"]}
_BOUNDS = r"(?:__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*)?"
_CLUSTER = r"(?:__cluster_dims__\s*\(([^(),]*),\s*1\s*,\s*1\s*\)\s*)?"
KERNEL = re.compile(rf"__global__\s+{_BOUNDS}void\s+{_CLUSTER}{_BOUNDS}(\w+)\s*\(")


class CompileError(Exception):
    """g++ refused a source; the message is its own."""


def why_not() -> str | None:
    """Why the rig cannot run on this machine, with what to install; None if it can."""
    if os.name != "posix" or platform.machine() not in ("x86_64", "aarch64"):
        return f"the rig runs on Linux with x86-64 or aarch64, not on {platform.machine()}"
    if shutil.which(COMPILER) is None:
        return f"the rig needs a C++17 compiler, {COMPILER} is missing: apt-get install g++"
    return None


@functools.cache
def cache() -> Path:
    """The folder of what has been compiled."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("GPULAYERS_RIG_CACHE") or Path(home) / "gpulayers-rig")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"gpulayers-rig-{os.getuid()}"
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def _machine() -> str:
    """What results depend on besides their sources: the compiler, the processor, the rig."""
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True).stdout
    cpu = Path("/proc/cpuinfo")
    flags = (
        re.findall(r"^(?:flags|Features)\s*:.*", cpu.read_text(), re.M)[:1] if cpu.exists() else []
    )
    sources = [p.read_text() for p in sorted(HERE.iterdir()) if p.suffix in (".h", ".cc")]
    return repr((version, flags, sources, FLAGS, SANITIZER_FLAGS, RUNTIME_FLAGS))


def _kept(name: str, key: object, make: Callable[[Path], None]) -> Path:
    """The path of a result, made by `make(path)` unless it is there."""
    digest = hashlib.sha256(repr((name, key, _machine())).encode()).hexdigest()[:24]
    path = cache() / f"{digest}-{name}"
    if path.exists():
        if time.time() - path.stat().st_mtime > 86400:
            os.utime(path)
        return path
    with tempfile.TemporaryDirectory(dir=cache()) as folder:  # Others see all or nothing.
        made = Path(folder) / name
        make(made)
        try:
            os.replace(made, path)
        except OSError:  # Another process was faster with a folder.
            if not path.exists():
                raise
    return path


def _run(*arguments: object) -> str:
    done = subprocess.run([COMPILER, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise CompileError(done.stderr[-8000:])
    return done.stdout


@functools.cache
def runtime(sanitizer: str | None) -> Path:
    """What runs the threads: a shared library, or an object file for a sanitizer's programs."""

    def make(path):
        flags = [*(flag for flag in FLAGS if flag != "-O1"), "-O2", *RUNTIME_FLAGS[sanitizer]]
        _run(*flags, "-c" if sanitizer else "-shared", HERE / "runtime.cc", "-o", path)

    return _kept("runtime.o" if sanitizer else "runtime.so", sanitizer, make)


@functools.cache
def _header() -> Path:
    """The folder of the precompiled rig.h: reading it anew takes three times as long."""

    def make(path):
        _forget_old()
        path.mkdir()
        for name in ("rig.h", "intrinsics.h"):
            shutil.copy(HERE / name, path)
        _run(*FLAGS, "-x", "c++-header", path / "rig.h", "-o", path / "rig.h.gch")

    return _kept("headers", None, make)


def _forget_old() -> None:
    for path in cache().iterdir():
        if time.time() - path.stat().st_mtime > KEPT_DAYS * 86400:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _defines(options) -> str:
    """The -D options of NVRTC as lines: they must not reach rig.h."""
    pairs = [o[2:].partition("=") for o in options if o.startswith("-D")]
    return "".join(f"#define {name} {value if given else 1}\n" for name, given, value in pairs)


def _kernels(text: str, folder: Path) -> dict[str, str]:
    """The kernels that a source has after preprocessing: for each how wide its clusters are."""
    (folder / "names.cc").write_text("#define GL_RIG 1\n" + text)
    found = KERNEL.findall(_run("-E", "-P", "-w", "-std=gnu++17", folder / "names.cc"))
    if not found:
        raise CompileError("no kernel found: `__global__ void name(` is looked for")
    return {name: cluster or "1" for cluster, name in found}


def build(code: str, options: tuple[str, ...], sanitizer: str | None) -> Path:
    """Compile a source of kernels into a shared library, or a program if `sanitizer` is given.

    Raises CompileError with what g++ says.
    """

    def make(path):
        text = f'{_defines(options)}namespace {{\n#line 1 "kernel.cu"\n{code}\n}}\n'
        names = _kernels(text, path.parent)
        text += "".join(f"RIG_EXPORT({name}, {wide})\n" for name, wide in names.items())
        if sanitizer:
            rows = ", ".join(f'{{"{name}", rig_launch_{name}}}' for name in names)
            text += f'#define RIG_TABLE {rows}\n#include "{HERE / "program.h"}"\n'
        source = path.parent / "kernel.cc"
        headers = HERE if sanitizer else _header()
        flags = [*FLAGS, *(SANITIZER_FLAGS[sanitizer].split() if sanitizer else [])]
        source.write_text(text)
        _run(
            *flags, "-include", headers / "rig.h", source,
            *(["-pie", "-x", "none", runtime(sanitizer)] if sanitizer else ["-shared"]), "-o", path,
        )  # fmt: skip

    name = "program" if sanitizer else "kernels.so"
    return _kept(name, (code, tuple(o for o in options if o.startswith("-D")), sanitizer), make)
