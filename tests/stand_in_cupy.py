"""A stand-in for CuPy, on top of NumPy: what a GPU user meets, without a GPU.

It has the part of CuPy 14 that gpulayers uses, and none of what CuPy lacks.  Its arrays refuse what
CuPy's refuse (NumPy arrays as operands, conversion by `__array__`), live on one of two devices and
may only be used while that device is the current one, and note each copy to the host.  Copies on a
stream of their own happen as late as CUDA may let them happen.  What `empty` gives is NaN.

With kernels (`installed(kernels=True)`), the launchers of gpulayers.cuda are used, and `RawModule`
is the rig's, which runs their sources on the CPU: see `rig`.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import stand_in_cublas
from rig import (
    CompileError,
    CUDADriverError,
    RawKernel,
    RawModule,
    blocks_at_once,
    memory,
    tensor_map,
)
from stand_in_arrays import (
    COUNT,
    MEMORY,
    NAMESPACE,
    Device,
    MemoryPointer,
    OutOfMemoryError,
    array,
    asarray,
    ascontiguousarray,
    asnumpy,
    current_device,
    empty,
    empty_like,
    function_of,
    host_copies,
    ndarray,
)
from stand_in_capture import (
    DEFAULT_PINNED,
    CapturableStream,
    Graph,
    MemoryPool,
    current_stream,
    set_pinned_memory_allocator,
    using_allocator,
)

from gpulayers import config
from gpulayers.arrays import devices, random
from gpulayers.arrays.gaps import MADE_ON_CUPY
from gpulayers.arrays.primitive import load_versions, primitive


class Stream(CapturableStream):
    """`cupy.cuda.Stream`: copies given to it happen when something waits for them."""

    def __init__(self, non_blocking=False):
        self.pending = []

    def record(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        event.synchronize()

    def synchronize(self):
        self.check_not_capturing()
        self.record().synchronize()


NULL = Stream()  # The default stream: it has run whatever it was given.


class Event:
    """`cupy.cuda.Event`: a place among the copies of a stream, and when it came there."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.copies, self.stream, self.time = [], NULL, None

    def record(self, stream=None):
        self.stream = NULL if stream is None else stream
        self.copies, self.time = list(self.stream.pending), time.perf_counter()

    def synchronize(self):
        for copy in self.copies:
            if copy in self.stream.pending:
                self.stream.pending.remove(copy)
                copy()


# Every name that CuPy 14 has, and the array API or gpulayers may use; no vecdot, no unstack.
FUNCTIONS = """
    abs add all any arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort
    around bitwise_and bitwise_or bitwise_xor broadcast_arrays broadcast_to cbrt ceil clip
    concatenate conj copysign cos cosh count_nonzero cross cumprod cumsum diag diagonal diff divide
    dot einsum equal exp exp2 expand_dims expm1 flip floor floor_divide fmod greater greater_equal
    hypot imag invert isfinite isin isinf isnan left_shift less less_equal log log10 log1p log2
    logaddexp logical_and logical_not logical_or logical_xor matmul max maximum mean median meshgrid
    min minimum moveaxis multiply nan_to_num negative nextafter nonzero not_equal outer pad positive
    power prod ravel real reciprocal remainder repeat reshape right_shift rint roll rot90 round
    searchsorted sign signbit sin sinh sort split sqrt square squeeze stack std subtract sum
    swapaxes take take_along_axis tan tanh tensordot tile trace transpose tril triu trunc unique var
    where zeros_like ones_like full_like bincount broadcast_shapes
""".split()
CREATION = "zeros ones full arange linspace eye identity tri".split()
TYPES = """bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64
    complex128 dtype finfo iinfo result_type can_cast promote_types issubdtype integer floating
    complexfloating signedinteger unsignedinteger number generic inexact intp nan inf pi e newaxis
    isdtype""".split()
LINEAR = """cholesky det eigh eigvalsh inv lstsq matrix_power matrix_rank norm pinv qr slogdet solve
    svd tensorinv tensorsolve""".split()


def _module(name, **contents):
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    made.__dict__.update(contents)
    return made


def _count():
    if not _usable[0]:
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return COUNT


_usable = [True]
_compat: dict[str, ModuleType] = {}  # array_api_compat's modules, made of the stand-in's.


@functools.cache
def modules() -> dict[str, ModuleType]:
    """The modules to be put into `sys.modules`."""
    properties = {"name": b"Stand-in", "totalGlobalMem": 2**33, "major": 9, "minor": 0}
    runtime = _module(
        "cupy.cuda.runtime",
        getDeviceCount=_count,
        getDeviceProperties=lambda i: properties,
        getDevice=current_device,
        deviceSynchronize=lambda: None,
        deviceGetAttribute=lambda attribute, device: Device(device).attributes[attribute],
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        CUDARuntimeError=RuntimeError,
        **stand_in_cublas.DATA_TYPES,
    )
    stand_in_cublas.stream[0] = lambda: cuda.get_current_stream()
    cuda = _module(
        "cupy.cuda",
        Device=Device, Stream=Stream, Event=Event, runtime=runtime,
        device=_module("cupy.cuda.device", Device=Device),
        memory=_module(
            "cupy.cuda.memory", OutOfMemoryError=OutOfMemoryError, MemoryPointer=MemoryPointer
        ),
        driver=_module(
            "cupy.cuda.driver", CUDADriverError=CUDADriverError,
            occupancyMaxActiveBlocksPerMultiprocessor=blocks_at_once,
        ),
        compiler=_module("cupy.cuda.compiler", CompileException=CompileError),
        MemoryPointer=MemoryPointer,
        cublas=stand_in_cublas, get_cublas_handle=stand_in_cublas.get_cublas_handle,
        get_current_stream=lambda device_id=None: current_stream(NULL),
        MemoryPool=MemoryPool, using_allocator=using_allocator, Graph=Graph,
        set_pinned_memory_allocator=set_pinned_memory_allocator,
        is_available=lambda: _usable[0],
        get_elapsed_time=lambda start, end: (end.time - start.time) * 1e3,
        nvrtc=_module("cupy.cuda.nvrtc", getVersion=lambda: (13, 0), NVRTCError=RuntimeError),
    )  # fmt: skip
    functions = {name: function_of(getattr(np, name)) for name in FUNCTIONS + CREATION}
    types = {name: getattr(np, name) for name in TYPES}
    linalg = {name: function_of(getattr(np.linalg, name)) for name in LINEAR}
    transforms = [name for name in dir(np.fft) if "fft" in name and name != "fft"] + ["fft"]
    module = _module(
        "cupy", **types, **functions,
        ndarray=ndarray, asarray=asarray, array=array, asnumpy=asnumpy, cuda=cuda,
        empty=empty, empty_like=empty_like, ascontiguousarray=ascontiguousarray,
        get_default_pinned_memory_pool=lambda: DEFAULT_PINNED,
        RawModule=RawModule, RawKernel=RawKernel,
        is_available=cuda.is_available, __version__="14.0.0",
        get_default_memory_pool=lambda: _module("pool", free_all_blocks=lambda: None),
        linalg=_module("cupy.linalg", **linalg),
        fft=_module("cupy.fft", **{n: function_of(getattr(np.fft, n)) for n in transforms}),
    )  # fmt: skip
    module.__path__ = []  # A package.
    extra = _module("cupyx", empty_pinned=np.empty)
    parts = [module, cuda, cuda.device, runtime, cuda.nvrtc, module.linalg, module.fft, extra]
    parts += [cuda.memory, cuda.driver, cuda.compiler]
    return {part.__name__: part for part in parts}


def _belongs(name: str) -> bool:
    return name.partition(".")[0] in ("cupy", "cupyx") or name.startswith("array_api_compat.cupy")


_withheld: dict[primitive, object] = {}  # The versions for CuPy, while they are not to be used.
_withheld_makers: dict[tuple[str, str], object] = {}  # And those of random numbers.
_withheld_functions: dict[str, object] = {}  # And those of CuPy's namespace.
_kernels = [True]


def _use_kernels(wanted: bool) -> bool:
    """Let gpulayers use its kernels, or not; gives what was so before."""
    load_versions("cupy")  # Also without them: products of matrices come from there.
    before, _kernels[0] = _kernels[0], wanted
    if wanted:
        for op, version in _withheld.items():
            op._versions.setdefault("cupy", version)
        _withheld.clear()
        random.MAKERS.update(_withheld_makers)
        MADE_ON_CUPY.update(_withheld_functions)
    else:
        for op in primitive.all:
            if "cupy" in op._versions:
                _withheld[op] = op._versions.pop("cupy")
        _withheld_makers.update(random.MAKERS)
        random.MAKERS.clear()
        _withheld_functions.update(MADE_ON_CUPY)
        MADE_ON_CUPY.clear()
    return before


@contextlib.contextmanager
def installed(usable: bool = True, kernels: bool = False):
    """Within it, `import cupy` gives the stand-in, and gpulayers looks for GPUs again.

    `usable` says whether there are any, `kernels` whether gpulayers uses its own kernels there
    (then arrays lie between guards: see `rig.memory`).
    """
    import array_api_compat as package

    def clear():
        for name in [name for name in sys.modules if _belongs(name)]:
            del sys.modules[name]
        package.__dict__.pop("cupy", None)
        devices._found_gpu.clear()

    found_gpu = list(devices._found_gpu)
    before = {name: module for name, module in sys.modules.items() if _belongs(name)}
    attribute, device = package.__dict__.get("cupy"), config._settings["device"]
    guarded, MEMORY["guarded"] = MEMORY["guarded"], memory.guarded if kernels else None
    clear()
    had_kernels = _use_kernels(kernels)
    from gpulayers.cuda import hopper

    encode, hopper._encode = hopper._encode, lambda: tensor_map.encode
    was_usable, _usable[0], found = _usable[0], usable, modules()
    sys.modules.update(found | _compat)
    if _compat:
        package.cupy = _compat["array_api_compat.cupy"]
    NAMESPACE.update(found["cupy"].__dict__)
    host_copies.clear()
    try:
        yield found["cupy"]
    finally:
        names = [name for name in sys.modules if name.startswith("array_api_compat.cupy")]
        _compat.update({name: sys.modules[name] for name in names})
        clear()
        _usable[0], MEMORY["guarded"] = was_usable, guarded
        sys.modules.update(before)
        if attribute is not None:
            package.cupy = attribute
        config._settings["device"] = device
        devices._found_gpu[:] = found_gpu
        _use_kernels(had_kernels)
        hopper._encode = encode


@contextlib.contextmanager
def memory_limit(nbytes: int):
    """Within it, a larger array does not fit on the GPU."""
    before, MEMORY["limit"] = MEMORY["limit"], nbytes
    try:
        yield
    finally:
        MEMORY["limit"] = before
