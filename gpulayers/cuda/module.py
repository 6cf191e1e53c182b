"""The one door to the GPU: CUDA sources, compiled at first use and launched with checked arguments.

    _source = Module("softmax")                              # softmax.cu beside this file
    kernel = _source.kernel("softmax_forward", T=x.dtype, BLOCK=256)
    kernel(blocks(rows, 8), 256, x, y, rows, width)

A GPU reads what it is told to read: an array of other strides, another dtype or another device, or
an int in the place of a double, gives wrong numbers or an end of the process, and no message.  So
each argument is compared with the kernel's declaration in the source before a launch.

Work goes to CuPy's current stream; nothing here waits for it.  CuPy keeps compiled kernels on
disk, by the whole text (common.cuh and constants are pasted into it), options and architecture.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from functools import cache
from math import prod
from pathlib import Path

import numpy as np

from .parameters import C_TYPES, Parameter, dtype_of, signatures

FOLDER = Path(__file__).parent
OPTIONS = ("--std=c++17",)
INCLUDE = '#include "common.cuh"\n'
_HEADER = re.compile(r'#include "(\w+\.cuh)"')  # What several sources share, and not all.
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = 1024  # Threads.
SHARED_BY_DEFAULT = 48 * 1024  # Bytes; a kernel that wants more must say so.
TOO_OLD = ("UNSUPPORTED_PTX_VERSION", "INVALID_IMAGE", "NO_BINARY_FOR_GPU", "INVALID_PTX")


RECORDERS: list = []  # What notes the work of its thread: see `replay`.


def recorders() -> list:
    """Those of this thread."""
    here = threading.get_ident()
    return [recorder for recorder in RECORDERS if recorder.thread == here]


def other_work() -> None:
    """To be called where a GPU gets work that is no launch of ours, and writes into an array."""
    if RECORDERS:
        for recorder in recorders():
            recorder.refuse()


class Module:
    """A CUDA source of this package, and its kernels as they are compiled.

    Args:
        stem: the file's name without `.cu`.
        options: more options for the compiler.
        cooperative: whether all blocks of a launch run at once, and may wait for each other.
    """

    def __init__(self, stem: str, *options: str, cooperative: bool = False):
        self.stem, self.options, self.cooperative = stem, OPTIONS + options, cooperative
        self._kernels: dict[tuple, Kernel] = {}
        self._compiled: dict[tuple, object] = {}
        self._lock = threading.RLock()

    def kernel(self, name: str, **constants) -> Kernel:
        """The kernel of that name for these constants, on CuPy's current device.

        Constants are dtypes (types in the source), whole numbers, booleans and names (macros).
        """
        key = (name, _current_device(), *constants.items())
        found = self._kernels.get(key)
        return self._load(key, name, constants) if found is None else found

    def text(self, constants: dict) -> str:
        """What the compiler reads: common.cuh, the constants, the source with its headers."""
        lines = [f'#line 1 "common.cuh"\n{_read("common.cuh")}']
        lines += [_define(name, value) for name, value in constants.items()]
        if "T" in constants:
            lines.append("typedef gl::Accumulator<T> A;")
        return "\n".join(lines) + f'\n#line 1 "{self.stem}.cu"\n' + self.source()

    def source(self) -> str:
        """The source itself, with other headers of this folder in the place of their lines."""
        text = _read(f"{self.stem}.cu")
        if INCLUDE not in text:
            raise ValueError(f"{self.stem}.cu must have the line {INCLUDE.strip()}.")
        lines = text.replace(INCLUDE, "\n", 1).split("\n")
        for number, line in enumerate(lines, start=1):
            if header := _HEADER.fullmatch(line):
                back = f'#line {number + 1} "{self.stem}.cu"'
                lines[number - 1] = f'#line 1 "{header[1]}"\n{_read(header[1])}\n{back}'
        return "\n".join(lines)

    def parameters(self, name: str, constants: dict) -> list[Parameter]:
        """What a kernel takes."""
        found = signatures(self.source())
        if name not in found:
            raise ValueError(f"{self.stem}.cu has no kernel {name}: only {', '.join(found)}.")
        types = {key: _dtype(value) for key, value in constants.items() if _is_type(value)}
        if "T" in types:
            types["A"] = types["T"] if types["T"].name == "float64" else np.dtype("float32")
        return [Parameter(*declared, types) for declared in found[name]]

    def _load(self, key, name, constants) -> Kernel:
        with self._lock:
            if key not in self._kernels:
                parameters = self.parameters(name, constants)
                device = key[1]
                module = self._compiled.get(key[1:])
                label = f"{self.stem}({', '.join(_label(c) for c in constants.items())})"
                with _explained(label):
                    if module is None:
                        module = _compile(
                            label, self.text(constants), self.options, self.cooperative
                        )
                        self._compiled[key[1:]] = module
                    function = module.get_function(name)
                self._kernels[key] = Kernel(name, function, parameters, device)
            return self._kernels[key]


class Kernel:
    """A compiled kernel on one device.  Calling it checks the arguments and launches it."""

    def __init__(self, name: str, function, parameters: list[Parameter], device: int):
        import cupy

        self.name, self.function, self.parameters = name, function, parameters
        self._device, self._array = device, cupy.ndarray
        self._pairs = [(p.dtype, p.make) for p in parameters]
        self._shared = SHARED_BY_DEFAULT
        self._lock = threading.Lock()

    def __repr__(self):
        return f"<kernel {self.name}({', '.join(map(str, self.parameters))})>"

    def __call__(self, grid, block, *args, shared: int = 0) -> None:
        """Launch on CuPy's current stream; an empty grid launches nothing.

        Args:
            grid, block: numbers of blocks, and of threads in each: an int, or up to three.
            args: arrays (or None) for pointers, Python numbers for the rest.
            shared: bytes of dynamic shared memory.

        Raises TypeError or ValueError if an argument is not what the source declares.
        """
        grid = (grid,) if type(grid) is int else tuple(grid)
        block = (block,) if type(block) is int else tuple(block)
        if len(args) != len(self._pairs):
            raise TypeError(f"{self!r} takes {len(self._pairs)} arguments, got {len(args)}.")
        array, device, given = self._array, self._device, []
        add = given.append
        for (dtype, make), value in zip(self._pairs, args):
            if make is not None:
                try:
                    value = make(value)
                except (TypeError, OverflowError) as error:
                    raise self._wrong_number(len(given), value, error) from None
            elif value is not None and not (
                isinstance(value, array)
                and (dtype is None or value.dtype == dtype)
                and value.flags.c_contiguous
                and value.device.id == device
            ):
                raise self._wrong_array(len(given), value)
            add(value)
        if (
            len(grid) > 1
            or not 0 < grid[0] <= MAX_GRID[0]
            or len(block) > 1
            or not 0 < block[0] <= MAX_BLOCK
        ):
            self._check_sizes(grid, block)
            if 0 in grid:
                return
        self.launch(grid, block, tuple(given), shared)

    def launch(self, grid, block, given, shared: int = 0) -> None:
        """The same for what an earlier call has found to be right."""
        if RECORDERS:
            for recorder in recorders():
                recorder.launched(self, grid, block, given, shared)
        if shared:
            if shared > self._shared:
                self._allow(shared)
            self.function(grid, block, given, shared_mem=shared)
        else:
            self.function(grid, block, given)

    def resident(self, block: int, shared: int = 0) -> int:
        """How many blocks of so many threads run at once: the most of a cooperative launch."""
        import cupy

        if shared > self._shared:
            self._allow(shared)
        each = cupy.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(
            self.function.kernel.ptr, block, shared
        )
        return each * multiprocessors()

    def _check_sizes(self, grid, block) -> None:
        if not 0 < prod(block) <= MAX_BLOCK or len(block) > 3:
            raise ValueError(f"{self.name}: expected 1 to {MAX_BLOCK} threads, got block {block}.")
        if len(grid) > 3 or any(not 0 <= n <= most for n, most in zip(grid, MAX_GRID)):
            raise ValueError(f"{self.name}: expected a grid of at most {MAX_GRID}, got {grid}.")

    def _allow(self, shared: int) -> None:
        with self._lock:
            if shared > shared_memory_limit():
                raise ValueError(
                    f"{self.name}: needs {shared} bytes of shared memory in a block, this GPU has "
                    f"{shared_memory_limit()}."
                )
            if shared > self._shared:
                self.function.max_dynamic_shared_size_bytes = shared
                self._shared = shared

    def _wrong_number(self, place, value, error) -> Exception:
        p = self.parameters[place]
        start = f"{self.name}: {p.name} ({p.c_type})"
        if isinstance(error, OverflowError):
            return ValueError(f"{start} must be {error}, got {value}.")
        kind = f"got {type(value).__name__} {value!r}"
        return TypeError(f"{start} must be a number that converts without loss, {kind}.")

    def _wrong_array(self, place, value) -> Exception:
        p = self.parameters[place]
        start = f"{self.name}: {p.name} ({p.c_type})"
        if not isinstance(value, self._array):
            return TypeError(f"{start} must be a CuPy array, got {type(value).__name__}.")
        if p.dtype is not None and value.dtype != p.dtype:
            return TypeError(f"{start} must be {p.dtype.name}, got {value.dtype.name}.")
        if value.device.id != self._device:
            return ValueError(
                f"{start} must be on the current device, GPU {self._device}, got an array on GPU "
                f"{value.device.id}. Put all arrays on one device, or enter `with array.device:`."
            )
        return ValueError(
            f"{start} must be C-contiguous, got a view of shape {tuple(value.shape)}; copy it."
        )


def available() -> list[str]:
    """The stems of all CUDA sources."""
    return sorted(path.stem for path in FOLDER.glob("*.cu"))


def is_float(*arrays) -> bool:
    """Whether all arrays (None may stand among them) have one dtype, a float of 16 to 64 bits."""
    dtypes = [a.dtype for a in arrays if a is not None]
    return c_type(dtypes[0]) in FLOATS and all(dtype == dtypes[0] for dtype in dtypes)


FLOATS = frozenset({"half", "bfloat16", "float", "double"})
_c_types: dict[np.dtype, str | None] = {}


def c_type(dtype) -> str | None:
    """The type of a dtype's elements in CUDA sources; None if there is none."""
    try:
        return _c_types[dtype]
    except KeyError:
        found = _c_types[dtype] = C_TYPES.get(np.dtype(dtype).name)
        return found


def contiguous(x):
    """`x` itself if it is C-contiguous, else a copy that is."""
    return x if x.flags.c_contiguous else x.copy()


def empty(shape, dtype):
    """An array on the current device that nothing has been written to."""
    import cupy

    try:
        x = cupy.empty(shape, dtype)
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise _out_of_memory(error, shape, np.dtype(dtype)) from None
    if RECORDERS:
        for recorder in recorders():
            recorder.made(x)
    return x


def empty_like(x):
    """An array of x's shape and dtype that nothing has been written to, C-contiguous."""
    return empty(x.shape, x.dtype)


def blocks(count: int, per_block: int) -> int:
    """How many blocks `count` things need."""
    return -(-count // per_block)


def multiprocessors() -> int:
    """How many multiprocessors the current GPU has."""
    return _attributes(_current_device())["MultiProcessorCount"]


def capability() -> int:
    """The current GPU's compute capability: 75, 80, 90, ..."""
    found = _attributes(_current_device())
    return 10 * found["ComputeCapabilityMajor"] + found["ComputeCapabilityMinor"]


def shared_memory_limit() -> int:
    """How many bytes of shared memory one block of the current GPU can have."""
    return _attributes(_current_device())["MaxSharedMemoryPerBlockOptin"]


@cache
def _attributes(device: int) -> dict[str, int]:
    import cupy

    return cupy.cuda.Device(device).attributes


def _current_device() -> int:
    return sys.modules["cupy"].cuda.runtime.getDevice()  # There are arrays, so it is there.


@cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _is_type(value) -> bool:
    """Whether a constant is a dtype: one of NumPy's, its class, or its name."""
    return isinstance(value, (np.dtype, type)) or value in C_TYPES


def _dtype(value) -> np.dtype:
    return dtype_of(value) if isinstance(value, str) else np.dtype(value)


def _define(name: str, value) -> str:
    if not _is_type(value):
        return f"#define {name} {int(value) if isinstance(value, (bool, np.bool_)) else value}"
    found = c_type(_dtype(value))
    if found is None:
        raise TypeError(f"GPU kernels have no type for {_dtype(value).name} ({name}).")
    return f"typedef {found} {name};"


def _label(constant) -> str:
    name, value = constant
    return f"{name}={_dtype(value).name if _is_type(value) else value}"


def _compile(label: str, text: str, options: tuple[str, ...], cooperative: bool):
    import cupy

    _progress.before(label)
    start = time.perf_counter()
    module = cupy.RawModule(
        code=text, options=options, backend="nvrtc", enable_cooperative_groups=cooperative
    )
    module.compile()
    _progress.after(time.perf_counter() - start)
    return module


class _Progress:
    """Says what is compiled, on stderr, once compiling has taken over a second."""

    def __init__(self):
        self.count, self.seconds, self.said = 0, 0.0, False

    def before(self, label: str) -> None:
        terminal = sys.stderr is not None and sys.stderr.isatty()
        if sys.stderr is None or self.seconds < 1 or (self.said and not terminal):
            return
        self.said = True
        start = "\r\x1b[K" if terminal else ""
        text = f"gpulayers: compiling GPU kernels, once for this machine: {label}"
        done = f" ({self.count} done, {self.seconds:.0f} s)"
        print(start + text + done, end="" if terminal else "\n", file=sys.stderr, flush=True)

    def after(self, seconds: float) -> None:
        self.count, self.seconds = self.count + 1, self.seconds + seconds
        if self.said and sys.stderr is not None and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


_progress = _Progress()


class _explained:
    """Within it, errors of compiling and loading say what to do."""

    def __init__(self, label: str):
        self.label = label

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None or not isinstance(error, Exception):
            return
        from ..arrays.devices import why_no_gpu

        if any(name in str(error) for name in TOO_OLD):
            raise RuntimeError(
                f"GPU kernel {self.label}: the NVIDIA driver is older than CUDA's compiler here "
                f"({error}). Update the driver, or install the CuPy of its CUDA version: "
                "nvidia-smi shows it; pip install 'cupy-cuda12x[ctk]' for CUDA 12."
            ) from error
        reason = why_no_gpu()
        if reason is not None:
            raise RuntimeError(f"GPU kernel {self.label} cannot be compiled: {reason}") from error


def _out_of_memory(error, shape, dtype):
    """CuPy's error, with who asked for what."""
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] == __name__:
        frame = frame.f_back
    who = frame.f_globals["__name__"].rpartition(".")[2]
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    wanted = prod(sizes) * dtype.itemsize
    error.args = (
        f"{who}: no GPU memory for {wanted:,} bytes (an array of shape {sizes}, {dtype.name}). "
        f"Use a smaller batch, or free arrays. CuPy: {error}",
    )
    return error
