"""`cupy.RawModule` and its kernels, on the CPU: the same arguments, the same pitfalls.

As on a GPU arrays are passed by address (strides are ignored), Python ints as 8 bytes, floats as
doubles, NumPy scalars by their bytes.  Unlike on a GPU a wrong number of arguments, or one of a
wrong size, is refused.
"""

from __future__ import annotations

import contextlib
import ctypes as C
import functools
import threading
from types import SimpleNamespace

import numpy as np

from . import compiler, memory

ORDERS = {"forward": 0, "reverse": 1, "random": 2}
MULTIPROCESSORS = 4
SHARED_MEMORY, SHARED_MEMORY_OPTIN = 48 * 1024, 227 * 1024  # Bytes per block; on demand.
GRID_LIMITS, BLOCK_LIMITS, BLOCK_THREADS = (2**31 - 1, 65535, 65535), (1024, 1024, 64), 1024
SECONDS = 100  # Processor time after which a launch is taken for an endless loop.


class RigError(RuntimeError):
    """A kernel did what no kernel may: a deadlock, a fault, a race, uninitialised copies, ..."""


class CUDADriverError(RuntimeError):
    """`cupy.cuda.driver.CUDADriverError`: what the driver would refuse."""


class _Launch(C.Structure):
    _fields_ = [
        ("grid", C.c_uint32 * 3), ("block", C.c_uint32 * 3), ("shared", C.c_uint64),
        ("args", C.POINTER(C.c_void_p)), ("order", C.c_int32), ("block_order", C.c_int32),
        ("seed", C.c_uint32), ("resident", C.c_uint32), ("seconds", C.c_int32),
        ("err_size", C.c_int32), ("err", C.c_char_p), ("switches", C.c_uint64),
        ("barriers", C.c_uint64), ("collectives", C.c_uint64), ("statics", C.c_void_p),
        ("statics_size", C.c_uint64), ("cluster", C.c_uint64),
    ]  # fmt: skip


class Schedule:
    """In which order threads and blocks run, and what watches them."""

    def __init__(self, order="forward", seed=1, sanitize=None):
        if order not in ORDERS or sanitize not in compiler.RUNTIME_FLAGS:
            raise ValueError(f"no such schedule: order {order!r}, sanitize {sanitize!r}")
        self.order, self.seed, self.sanitize = order, seed, sanitize


_current = [Schedule()]
RECORDERS: list = []  # Streams that capture: see tests/stand_in_capture.py.
_one_at_a_time = threading.RLock()  # A library's runtime holds one launch.


@contextlib.contextmanager
def schedule(order: str = "forward", seed: int = 1, sanitize: str | None = None):
    """Within it, kernels run their threads "forward", in "reverse", or in "random" order.

    `sanitize` ("address" or "thread") runs each launch in a process of its own, with g++'s
    sanitizer: slow, but it finds races and what lies beside shared memory.
    """
    before, _current[0] = _current[0], Schedule(order, seed, sanitize)
    try:
        yield
    finally:
        _current[0] = before


@functools.cache
def _load_runtime():
    """The library that all sources' kernels call."""
    return C.CDLL(str(compiler.runtime(None)), mode=C.RTLD_GLOBAL)


class RawModule:
    """`cupy.RawModule`, as far as gpulayers uses it; `options` other than -D are NVRTC's own."""

    def __init__(
        self, code=None, *, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
        enable_cooperative_groups=False, name_expressions=None, jitify=False,
    ):  # fmt: skip
        if (code is None) == (path is None):
            raise TypeError("Exactly one of `code` and `path` keyword arguments must be given.")
        if backend != "nvrtc" or name_expressions or jitify or not isinstance(options, tuple):
            raise TypeError("the rig takes a tuple of options, backend nvrtc, no name_expressions")
        if path is not None:
            with open(path, encoding="utf-8") as file:
                code = file.read()
        self.code, self.options = code, options
        self.enable_cooperative_groups = enable_cooperative_groups

    @functools.cached_property
    def _library(self):
        _load_runtime()
        return C.CDLL(str(self.binary(None)))

    def binary(self, sanitize):
        """The path of what g++ made of the source."""
        return compiler.build(self.code, self.options, sanitize)

    def compile(self, log_stream=None):
        """Compile now instead of at the first `get_function`."""
        assert self._library

    def get_function(self, name: str) -> RawKernel:
        """A kernel of the module.  Raises CUDADriverError if there is none of that name."""
        try:
            return RawKernel(self, name)
        except AttributeError:
            message = f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}"
            raise CUDADriverError(message) from None


def blocks_at_once(kernel, threads: int, shared_mem: int) -> int:
    """`cupy.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor`; `kernel` is its address."""
    if shared_mem > kernel.max_dynamic_shared_size_bytes:
        return 0
    return min(32, 2048 // (-(-threads // 32) * 32), SHARED_MEMORY_OPTIN // (shared_mem + 1024))


class RawKernel:
    """`cupy.RawKernel`, called with (grid, block, args); `stats` says what the last launch did."""

    num_regs, local_size_bytes, const_size_bytes, shared_size_bytes = 32, 0, 0, 0
    max_threads_per_block, binary_version, ptx_version = 1024, 90, 90

    def __init__(self, module: RawModule, name: str):
        self.module, self.name, self.stats = module, name, {}
        self.enable_cooperative_groups = module.enable_cooperative_groups
        self.kernel = SimpleNamespace(ptr=self)  # `cupy.cuda.function.Function`.
        self._run = getattr(module._library, f"rig_launch_{name}")
        self._run.argtypes = [C.POINTER(_Launch)]
        sizes = (C.c_int * 256)()
        count = getattr(module._library, f"rig_signature_{name}")(sizes)
        self.sizes = list(sizes[:count])  # In bytes; negative for pointers.
        self._shared_limit = SHARED_MEMORY

    @property
    def attributes(self) -> dict[str, int]:
        names = "num_regs local_size_bytes const_size_bytes shared_size_bytes max_threads_per_block"
        return {name: getattr(self, name) for name in names.split()}

    @property
    def max_dynamic_shared_size_bytes(self) -> int:
        return self._shared_limit

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size: int):
        if not 0 <= size <= SHARED_MEMORY_OPTIN:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self._shared_limit = size

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        grid = tuple(max(1, int(n)) for n in (*grid, 1, 1)[:3])  # As CuPy does.
        block = tuple(max(1, int(n)) for n in (*block, 1, 1)[:3])
        resident = self._resident(grid, block, shared_mem)
        for recorder in RECORDERS:
            if recorder.is_here():
                for i, a in enumerate(self._counted(args)):
                    self._argument(i, a)
                recorder.launch(self, grid, block, args, shared_mem)
                return
        now = _current[0]
        arguments = [self._argument(i, a) for i, a in enumerate(self._counted(args))]
        with _one_at_a_time:
            launch = _Launch(
                grid=grid, block=block, shared=shared_mem, order=ORDERS[now.order], seed=now.seed,
                block_order=ORDERS[now.order], resident=resident, seconds=SECONDS,
            )  # fmt: skip
            if now.sanitize is not None:
                from .sanitized import run

                run(self, now.sanitize, launch, arguments)
            else:
                self._launch(launch, arguments)

    def _resident(self, grid, block, shared_mem) -> int:
        """How many blocks fit on the device at once; refuses what a device refuses."""
        threads = block[0] * block[1] * block[2]
        too_large = [n > most for n, most in zip(grid + block, GRID_LIMITS + BLOCK_LIMITS)]
        if any(too_large) or threads > BLOCK_THREADS or shared_mem > self._shared_limit:
            raise CUDADriverError(
                f"CUDA_ERROR_INVALID_VALUE: invalid argument: {self.name}, grid {grid}, block "
                f"{block}, {shared_mem} bytes of shared memory (limit set: {self._shared_limit})"
            )
        resident = MULTIPROCESSORS * max(1, blocks_at_once(self, threads, shared_mem))
        if self.enable_cooperative_groups and grid[0] * grid[1] * grid[2] > resident:
            raise CUDADriverError(
                "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE: too many blocks in cooperative launch: "
                f"{self.name}, grid {grid}, {resident} blocks fit"
            )
        return resident

    def _counted(self, args):
        if len(args) != len(self.sizes):
            raise RigError(f"{self.name} has {len(self.sizes)} parameters, got {len(args)}")
        return args

    def _argument(self, i, a):
        """An argument as (bytes, array or None): what the kernel reads for it."""
        host = getattr(a, "_host", None)
        pointer = host is not None or a is None
        if pointer:
            value = np.array(0 if a is None else host.ctypes.data, np.uint64)
        elif isinstance(a, (bool, np.bool_)):
            value = np.array(a, np.bool_)
        elif isinstance(a, int):
            value = np.array(a, np.int64)
        elif isinstance(a, float):
            value = np.array(a, np.float64)
        elif isinstance(a, (np.generic, np.ndarray)) and a.size == 1:
            value = np.array(a).reshape(())
        else:
            raise TypeError(f"Unsupported type {type(a)}")
        size = self.sizes[i]
        if size != (-8 if pointer else value.nbytes):
            kind = "a pointer" if size < 0 else f"{size} bytes"
            given = "an array" if pointer else f"{value.nbytes} bytes ({a!r})"
            raise RigError(f"{self.name}: parameter {i} is {kind}, got {given}")
        return value, host

    def _launch(self, launch, arguments):
        error = C.create_string_buffer(4096)
        addresses = [value.ctypes.data for value, _ in arguments]
        launch.args = (C.c_void_p * max(1, len(addresses)))(*addresses)
        launch.err, launch.err_size = C.cast(error, C.c_char_p), 4096
        failed = self._run(C.byref(launch))
        self.stats = {n: getattr(launch, n) for n in ("switches", "barriers", "collectives")}
        if failed:
            raise RigError(f"{self.name}: {error.value.decode(errors='replace')}")
        for i, (_, host) in enumerate(arguments):
            place = None if host is None else memory.owner(host)
            where = None if place is None else place.touched()
            if where:
                raise RigError(f"{self.name}: something was written {where} argument {i}")
