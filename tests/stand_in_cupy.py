"""A stand-in for CuPy, on top of NumPy: what a GPU user meets, without a GPU.

It has the part of CuPy 14 that gpulayers uses, and none of what CuPy lacks.  Its arrays refuse what
CuPy's refuse (NumPy arrays as operands, conversion by `__array__`), live on one of two devices and
may only be used while that device is the current one, and note each copy to the host.  Copies on a
stream of their own happen as late as CUDA may let them happen.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np

COUNT = 2  # Devices.
host_copies: list[str] = []  # What brought values to the host, each time.
NAMESPACE: dict[str, object] = {}  # The functions of `cupy`.
_here = threading.local()


class Device:
    """`cupy.cuda.Device`: a number, and a context manager that makes it the current device."""

    compute_capability = "90"

    def __init__(self, device=None):
        if isinstance(device, Device):
            device = device.id
        self.id = current_device() if device is None else int(device)
        if not 0 <= self.id < COUNT:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def __enter__(self):
        _here.stack = [*getattr(_here, "stack", []), current_device()]
        _here.device = self.id
        return self

    def __exit__(self, *error):
        _here.device = _here.stack.pop()

    use = __enter__

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return hash(("cupy", self.id))

    def __repr__(self):
        return f"<CUDA Device {self.id}>"


def current_device() -> int:
    return getattr(_here, "device", 0)


class ndarray:  # noqa: N801  (CuPy's name)
    """`cupy.ndarray`: a NumPy array that only this module may touch."""

    __slots__ = ("__weakref__", "_host", "device")
    __array_priority__ = 100

    def __init__(self, shape, dtype=np.float64):
        self._host, self.device = np.empty(shape, dtype), Device()
        self._host.fill(77)

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    T = property(lambda self: _made(self._host.T))
    mT = property(lambda self: _made(self._host.mT))

    def get(self, stream=None, order="C", out=None, blocking=True):
        host_copies.append("get")
        return np.array(self._host)

    def set(self, source, stream=None):
        """Copy from the host: on a stream, when something waits for it."""
        if type(source) is not np.ndarray or source.dtype != self.dtype:
            raise TypeError("only a NumPy array of the same dtype can be set")

        def copy():
            self._host[...] = source

        copy() if stream is None else stream.pending.append(copy)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__":
            return NotImplemented
        return NAMESPACE[ufunc.__name__](*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return NAMESPACE[function.__name__](*args, **kwargs)

    def __dlpack__(self, **options):
        raise BufferError("the stand-in for CuPy cannot share its memory")

    def __dlpack_device__(self):
        return 2, self.device.id

    def __getitem__(self, key):
        with self.device:
            return _made(self._host[_given(key)])

    def __setitem__(self, key, value):
        self._host[_given(key)] = _given(value)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self.item())

    def __int__(self):
        return int(self.item())

    def __float__(self):
        return float(self.item())

    def item(self, *index):
        host_copies.append("item")
        return self._host.item(*index)

    def tolist(self):
        return self.get().tolist()

    def take(self, indices, axis=None):
        return _called(np.take, self, indices, axis=axis)

    def transpose(self, *axes):
        return _made(self._host.transpose(*axes))

    def fill(self, value):
        self._host.fill(value)

    def __repr__(self):
        return f"array({self._host!r}, stand-in on {self.device})"

    def __reduce__(self):
        return asarray, (self.get(),)

    def __deepcopy__(self, memory):
        return _made(self._host.copy())


ndarray.__module__ = "cupy"
HALF = ("float16", "bfloat16")


def _made(host):
    """An array of ours around a result of NumPy's: also for a single number."""
    if isinstance(host, (tuple, list)):
        made = [_made(part) for part in host]
        return type(host)(*made) if hasattr(host, "_fields") else type(host)(made)
    if not isinstance(host, (np.ndarray, np.generic)):
        return host
    new = ndarray.__new__(ndarray)
    new._host, new.device = np.asarray(host), Device()
    return new


def _given(x):
    """What NumPy gets for an argument.  Raises as CuPy does for arrays that it cannot take."""
    if type(x) is ndarray:
        if x.device.id != current_device():
            raise ValueError(
                f"Array device must be same as the current device: array device = {x.device.id} "
                f"while current = {current_device()}"
            )
        return x._host
    foreign = hasattr(type(x), "__array_namespace__") and not isinstance(x, np.generic)
    if isinstance(x, np.ndarray) or foreign:
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, (list, tuple)):
        return type(x)(map(_given, x))
    return x


def _given_values(options):
    return {key: _given(value) for key, value in options.items()}


def _called(function, *args, **kwargs):
    """NumPy's function of our arrays; bfloat16 stays itself, as on a GPU."""
    with np.errstate(all="ignore"):  # As a GPU does.
        return _computed(function, [_given(a) for a in args], _given_values(kwargs))


def _computed(function, args, kwargs):
    leaves = [p for a in args for p in (a if isinstance(a, (list, tuple)) else [a])]
    dtypes = {a.dtype.name for a in leaves if isinstance(a, np.ndarray)}
    if "bfloat16" not in dtypes:
        return _made(function(*args, **kwargs))
    short = next(a.dtype for a in leaves if getattr(getattr(a, "dtype", 0), "name", "") in HALF)

    def wide(a):
        if isinstance(a, (list, tuple)):
            return type(a)(map(wide, a))
        return a.astype(np.float32) if getattr(a, "dtype", None) == short else a

    out = function(*map(wide, args), **kwargs)
    if {"float32", "float64"} & dtypes or "dtype" in kwargs:
        return _made(out)
    outs = out if isinstance(out, (tuple, list)) else [out]
    outs = [o.astype(short) if o.dtype == np.float32 else o for o in outs]
    return _made(type(out)(outs) if isinstance(out, (tuple, list)) else outs[0])


def _function(source):
    @functools.wraps(source)
    def call(*args, **kwargs):
        return _called(source, *args, **kwargs)

    if isinstance(source, np.ufunc) and source.nin == 2:
        call.at = lambda a, key, b: source.at(_given(a), _given(key), _given(b))
    return call


def _method(name):
    def call(self, *args, **kwargs):
        return _called(lambda a, *rest, **kw: getattr(a, name)(*rest, **kw), self, *args, **kwargs)

    return call


for _name in """all any argmax argmin argsort clip copy cumprod cumsum dot flatten max mean min
    nonzero prod ravel repeat reshape round squeeze std sum swapaxes trace var""".split():
    setattr(ndarray, _name, _method(_name))
ndarray.astype = lambda self, dtype, order="K", casting=None, subok=None, copy=True: _made(
    _given(self).astype(dtype, copy=copy)
)
ndarray.view = lambda self, dtype: _made(_given(self).view(dtype))


def _operator(name):
    function = getattr(operator, name)

    def defers(other):
        """NumPy's rule for operands that want to compute themselves (recorded arrays, weights)."""
        if type(other) is ndarray or isinstance(other, (int, float, complex, np.generic)):
            return False
        return hasattr(other, "__array_ufunc__") and other.__array_ufunc__ is None

    def forward(self, other):
        return NotImplemented if defers(other) else _called(function, self, other)

    def reflected(self, other):
        return NotImplemented if defers(other) else _called(function, other, self)

    return forward, reflected


for _name in "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift".split():
    _forward, _reflected = _operator(_name)
    setattr(ndarray, f"__{_name.rstrip('_')}__", _forward)
    setattr(ndarray, f"__r{_name.rstrip('_')}__", _reflected)
for _name in "lt le gt ge eq ne".split():
    setattr(ndarray, f"__{_name}__", _operator(_name)[0])
for _name in "neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", _method(f"__{_name}__"))
ndarray.__hash__ = None


class Stream:
    """`cupy.cuda.Stream`: copies given to it happen when something waits for them."""

    def __init__(self, non_blocking=False):
        self.pending = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def record(self):
        return Event(self, len(self.pending))

    def wait_event(self, event):
        event.synchronize()

    def synchronize(self):
        self.record().synchronize()


class Event:
    """`cupy.cuda.Event`: a place among the copies of a stream."""

    def __init__(self, stream, place):
        self.copies = stream.pending[:place]
        self.stream = stream

    def synchronize(self):
        for copy in self.copies:
            if copy in self.stream.pending:
                self.stream.pending.remove(copy)
                copy()


def asarray(a, dtype=None, order=None):
    """A copy on the current device, unless `a` is such an array already."""
    if type(a) is not ndarray:
        return _made(np.array(a, dtype=dtype))
    here = a if a.device.id == current_device() else _made(a._host.copy())
    return here if dtype is None or here.dtype == dtype else here.astype(dtype)


def array(a, dtype=None, copy=True, **options):
    made = asarray(a, dtype)
    return _made(made._host.copy()) if made is a and copy else made


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get() if type(a) is ndarray else np.asarray(a)


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
    where zeros_like ones_like full_like empty_like bincount broadcast_shapes
""".split()
CREATION = "zeros ones full empty arange linspace eye identity tri".split()
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


def _unavailable():
    raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")


def modules(usable: bool = True) -> dict[str, ModuleType]:
    """The modules to be put into `sys.modules`; `usable` says whether there are GPUs."""
    properties = {"name": b"Stand-in", "totalGlobalMem": 2**33, "major": 9, "minor": 0}
    runtime = _module(
        "cupy.cuda.runtime",
        getDeviceCount=(lambda: COUNT) if usable else _unavailable,
        getDeviceProperties=lambda i: properties,
        getDevice=current_device,
    )
    cuda = _module(
        "cupy.cuda",
        Device=Device, Stream=Stream, Event=Event, runtime=runtime,
        device=_module("cupy.cuda.device", Device=Device),
        get_current_stream=Stream,
        is_available=lambda: usable,
        nvrtc=_module("cupy.cuda.nvrtc", getVersion=lambda: (13, 0)),
    )  # fmt: skip
    functions = {name: _function(getattr(np, name)) for name in FUNCTIONS + CREATION}
    types = {name: getattr(np, name) for name in TYPES}
    linalg = {name: _function(getattr(np.linalg, name)) for name in LINEAR}
    transforms = [name for name in dir(np.fft) if "fft" in name and name != "fft"] + ["fft"]
    module = _module(
        "cupy", **types, **functions,
        ndarray=ndarray, asarray=asarray, array=array, asnumpy=asnumpy, cuda=cuda,
        is_available=cuda.is_available, __version__="14.0.0",
        linalg=_module("cupy.linalg", **linalg),
        fft=_module("cupy.fft", **{n: _function(getattr(np.fft, n)) for n in transforms}),
    )  # fmt: skip
    module.__path__ = []  # A package.
    extra = _module("cupyx", empty_pinned=np.empty)
    parts = [module, cuda, cuda.device, runtime, cuda.nvrtc, module.linalg, module.fft, extra]
    return {part.__name__: part for part in parts}


def _belongs(name: str) -> bool:
    return name.partition(".")[0] in ("cupy", "cupyx") or name.startswith("array_api_compat.cupy")


@contextlib.contextmanager
def installed(usable: bool = True):
    """Within it, `import cupy` gives the stand-in; array_api_compat and gpulayers start anew."""
    import array_api_compat as package

    from gpulayers import config
    from gpulayers.arrays import devices
    from gpulayers.arrays.primitive import _loaded, primitive

    def clear():
        for name in [name for name in sys.modules if _belongs(name)]:
            del sys.modules[name]
        package.__dict__.pop("cupy", None)
        devices._found_gpu.clear()

    found_gpu = list(devices._found_gpu)
    before = {name: module for name, module in sys.modules.items() if _belongs(name)}
    attribute, device = package.__dict__.get("cupy"), config._settings["device"]
    kernels = {op: op._versions.pop("cupy") for op in primitive.all if "cupy" in op._versions}
    loaded = "cupy" in _loaded
    clear()
    _loaded.add("cupy")  # No kernels: there is nothing here that could run them.
    found = modules(usable)
    sys.modules.update(found)
    NAMESPACE.update(found["cupy"].__dict__)
    host_copies.clear()
    try:
        yield found["cupy"]
    finally:
        clear()
        sys.modules.update(before)
        if attribute is not None:
            package.cupy = attribute
        config._settings["device"] = device
        devices._found_gpu[:] = found_gpu
        for op, kernel in kernels.items():
            op._versions["cupy"] = kernel
        if not loaded:
            _loaded.discard("cupy")
