"""The arrays of the stand-in for CuPy: see `stand_in_cupy`."""

from __future__ import annotations

import functools
import operator
import threading

import numpy as np

COUNT = 2  # Devices.
host_copies: list[str] = []  # What brought values to the host, each time.
NAMESPACE: dict[str, object] = {}  # The functions of `cupy`.
# Bytes of one array; what puts an array between guards; what keeps the memory of new ones.
MEMORY = {"limit": None, "guarded": None, "pool": None}
RECORDERS: list = []  # Streams that capture: see `stand_in_capture`.
_here = threading.local()


class Device:
    """`cupy.cuda.Device`: a number, and a context manager that makes it the current device."""

    compute_capability = "90"
    attributes = {
        "MultiProcessorCount": 4, "WarpSize": 32, "MaxThreadsPerBlock": 1024,
        "MaxThreadsPerMultiProcessor": 2048, "MaxBlocksPerMultiprocessor": 32,
        "MaxSharedMemoryPerBlock": 49152, "MaxSharedMemoryPerBlockOptin": 232448,
        "MaxSharedMemoryPerMultiprocessor": 233472, "MaxRegistersPerBlock": 65536,
        "MaxGridDimX": 2**31 - 1, "MaxGridDimY": 65535, "MaxGridDimZ": 65535,
        "MaxBlockDimX": 1024, "MaxBlockDimY": 1024, "MaxBlockDimZ": 64, "CooperativeLaunch": 1,
        "ComputeCapabilityMajor": 9, "ComputeCapabilityMinor": 0, "L2CacheSize": 50 * 2**20,
    }  # fmt: skip
    mem_info = (2**33, 2**33)

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

    def synchronize(self):
        pass

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


def current_stream():
    return NAMESPACE["cuda"].get_current_stream()


class OutOfMemoryError(MemoryError):
    """`cupy.cuda.memory.OutOfMemoryError`: raised where `MEMORY["limit"]` is passed."""

    def __init__(self, size, total, limit=0):
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,}).")


class MemoryPointer:
    """`cupy.cuda.MemoryPointer`: where an array begins."""

    def __init__(self, ptr, device, host=None):
        self.ptr, self.device, self.device_id, self.host = ptr, device, device.id, host

    def __add__(self, nbytes):
        return MemoryPointer(self.ptr + nbytes, self.device, self.host)

    def array(self, shape, dtype):
        """What lies there, as an array of NumPy that keeps the memory."""
        root = self.host
        while isinstance(root, np.ndarray) and root.base is not None:
            root = root.base
        memory = root if isinstance(root, np.ndarray) else np.asarray(root)
        place = self.ptr - memory.ctypes.data
        memory = np.ndarray((memory.nbytes,), np.uint8, memory.T if memory.flags.fnc else memory)
        return np.ndarray(shape, dtype, memory, place)


class ndarray:
    """`cupy.ndarray`: a NumPy array that only this module may touch."""

    __slots__ = ("__weakref__", "_host", "device")
    __array_priority__ = 100

    def __init__(self, shape, dtype=np.float64, memptr=None):
        self.device = Device()
        if memptr is not None:  # What lies there already.
            self._host = memptr.array(shape, dtype)
            return
        self._host = _placed(np.empty(shape, dtype))
        self._host.reshape(-1).view(np.uint8).fill(0xFF)  # NaN in floats, -1 in integers.

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    data = property(lambda self: MemoryPointer(self._host.ctypes.data, self.device, self._host))
    T = property(lambda self: made(self._host.T))
    mT = property(lambda self: made(self._host.mT))

    def get(self, stream=None, order="C", out=None, blocking=True):
        host_copies.append("get")
        if (now := recorder()) is not None:
            now.synchronous("get")
        if out is None:
            return np.array(self._host)
        if out.shape != self.shape or out.dtype != self.dtype:
            raise ValueError(f"out must be like the array, got {out.dtype} {out.shape}")
        out.reshape(-1).view(np.uint8).fill(0xFF)  # Until something waits for the copy.
        stream = current_stream() if stream is None else stream
        stream.pending.append(lambda: np.copyto(out, self._host))
        if blocking:
            stream.synchronize()
        return out

    def set(self, source, stream=None):
        """Copy from the host: on a stream, when something waits for it, as all work does there."""
        if type(source) is not np.ndarray or source.dtype != self.dtype:
            raise TypeError("only a NumPy array of the same dtype can be set")

        def copy():
            self._host[...] = source

        copy() if stream in (None, current_stream()) else stream.pending.append(copy)

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
            return raw(operator.getitem, self, key)

    def __setitem__(self, key, value):
        change(operator.setitem, self, key, value)

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
        if (now := recorder()) is not None:
            now.synchronous("item")
        return self._host.item(*index)

    def tolist(self):
        return self.get().tolist()

    def take(self, indices, axis=None):
        return called(np.take, self, indices, axis=axis)

    def transpose(self, *axes):
        return made(self._host.transpose(*axes))

    def fill(self, value):
        change(np.ndarray.fill, self, value)

    def __repr__(self):
        return f"array({self._host!r}, stand-in on {self.device})"

    def __reduce__(self):
        return asarray, (self.get(),)

    def __deepcopy__(self, memory):
        return raw(np.copy, self)


ndarray.__module__ = "cupy"
HALF = ("float16", "bfloat16")
MOVES = frozenset(  # Functions that compute nothing: their results are views, of any dtype.
    "reshape ravel squeeze expand_dims swapaxes moveaxis transpose broadcast_to flip copy".split()
)


def _placed(host):
    """A NumPy array that may stand for memory of a device."""
    limit, guarded = MEMORY["limit"], MEMORY["guarded"]
    if limit is not None and host.nbytes > limit:
        raise OutOfMemoryError(host.nbytes, 0)
    new = host if guarded is None else guarded(host)
    if MEMORY["pool"] is not None and (guarded is None or new is not host):
        MEMORY["pool"].keep(new)
    return new


def recorder():
    """What notes the work of this thread's current stream instead of doing it, if anything."""
    return next((r for r in RECORDERS if r.is_here()), None) if RECORDERS else None


def made(host):
    """An array of ours around a result of NumPy's: also for a single number."""
    if isinstance(host, (tuple, list)):
        parts = [made(part) for part in host]
        return type(host)(*parts) if hasattr(host, "_fields") else type(host)(parts)
    if not isinstance(host, (np.ndarray, np.generic)):
        return host
    new = ndarray.__new__(ndarray)
    new._host, new.device = _placed(np.asarray(host)), Device()
    return new


def given(x):
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
        return type(x)(map(given, x))
    return x


def _given_values(options):
    return {key: given(value) for key, value in options.items()}


def raw(function, *args):
    """NumPy's function of our arrays, as it is."""
    if (now := recorder()) is not None:
        return now.compute(lambda f, a, _: made(f(*a)), function, args, {})
    return made(function(*map(given, args)))


def change(function, *args) -> None:
    """NumPy's function that writes into our arrays."""
    if (now := recorder()) is not None:
        now.change(function, *args)
    else:
        function(*map(given, args))


def called(function, *args, **kwargs):
    """NumPy's function of our arrays; bfloat16 stays itself, as on a GPU."""
    with np.errstate(all="ignore"):  # As a GPU does.
        if (now := recorder()) is not None:
            return now.compute(_computed, function, args, kwargs)
        return _computed(function, [given(a) for a in args], _given_values(kwargs))


def _computed(function, args, kwargs):
    leaves = [p for a in args for p in (a if isinstance(a, (list, tuple)) else [a])]
    dtypes = {a.dtype.name for a in leaves if isinstance(a, np.ndarray)}
    if "bfloat16" not in dtypes or getattr(function, "__name__", "") in MOVES:
        return made(function(*args, **kwargs))
    short = next(a.dtype for a in leaves if getattr(getattr(a, "dtype", 0), "name", "") in HALF)

    def wide(a):
        if isinstance(a, (list, tuple)):
            return type(a)(map(wide, a))
        return a.astype(np.float32) if getattr(a, "dtype", None) == short else a

    out = function(*map(wide, args), **kwargs)
    if {"float32", "float64"} & dtypes or "dtype" in kwargs:
        return made(out)
    outs = out if isinstance(out, (tuple, list)) else [out]
    outs = [o.astype(short) if o.dtype == np.float32 else o for o in outs]
    return made(type(out)(outs) if isinstance(out, (tuple, list)) else outs[0])


def function_of(source):
    @functools.wraps(source)
    def call(*args, **kwargs):
        return called(source, *args, **kwargs)

    if isinstance(source, np.ufunc) and source.nin == 2:
        call.at = functools.partial(change, source.at)
    return call


def _method(name):
    def method(a, *args, **kwargs):
        return getattr(a, name)(*args, **kwargs)

    def call(self, *args, **kwargs):
        return called(method, self, *args, **kwargs)

    method.__name__ = name
    return call


for _name in """all any argmax argmin argsort clip copy cumprod cumsum dot flatten max mean min
    nonzero prod ravel repeat reshape round squeeze std sum swapaxes trace var""".split():
    setattr(ndarray, _name, _method(_name))
ndarray.astype = lambda self, dtype, order="K", casting=None, subok=None, copy=True: raw(
    lambda a: a.astype(dtype, copy=copy), self
)
ndarray.view = lambda self, dtype: made(given(self).view(dtype))


def _operator(name):
    function = getattr(operator, name)

    def defers(other):
        """NumPy's rule for operands that want to compute themselves (recorded arrays, weights)."""
        if type(other) is ndarray or isinstance(other, (int, float, complex, np.generic)):
            return False
        return hasattr(other, "__array_ufunc__") and other.__array_ufunc__ is None

    def forward(self, other):
        return NotImplemented if defers(other) else called(function, self, other)

    def reflected(self, other):
        return NotImplemented if defers(other) else called(function, other, self)

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


def empty(shape, dtype=float, order="C"):
    """What a new array holds must not matter: it is NaN."""
    return ndarray(shape, dtype)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    shape = given(prototype).shape if shape is None else shape
    return ndarray(shape, prototype.dtype if dtype is None else dtype)


def ascontiguousarray(a, dtype=None):
    a = asarray(a, dtype)
    return a if a.flags.c_contiguous else raw(np.ascontiguousarray, a)


def asarray(a, dtype=None, order=None):
    """A copy on the current device, unless `a` is such an array already."""
    if type(a) is not ndarray:
        host, now = np.array(a, dtype=dtype), recorder()
        return made(host) if now is None else now.upload(host)
    here = a if a.device.id == current_device() else made(a._host.copy())
    return here if dtype is None or here.dtype == dtype else here.astype(dtype)


def array(a, dtype=None, copy=True, **options):
    here = asarray(a, dtype)
    return raw(np.copy, here) if here is a and copy else here


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get() if type(a) is ndarray else np.asarray(a)
