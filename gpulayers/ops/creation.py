"""New arrays, on the device that is chosen (`config.set_device`)."""

from __future__ import annotations

import math
from operator import index

import numpy as np

from .. import config
from ..arrays import as_array, devices, dtypes, namespace, plain
from ..arrays.primitive import is_symbolic
from ..arrays.short_floats import cast
from ..arrays.symbolic import connect
from .calling import array_function, floats, together
from .windows import window

__all__ = [
    "arange",
    "bartlett",
    "blackman",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "geomspace",
    "hamming",
    "hanning",
    "identity",
    "kaiser",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "tri",
    "vander",
    "zeros",
    "zeros_like",
]


def _home():
    home = devices.current()
    return home.xp, home.device


def _made(name, *args, dtype, **options):
    """What a creation function of the current device's library gives."""
    xp, device = _home()
    return getattr(xp, name)(*args, dtype=dtypes.of(xp, dtype), device=device, **options)


def _sizes(shape):
    shape = shape.tolist() if hasattr(shape, "tolist") else shape
    return tuple(shape) if isinstance(shape, list) else shape


def zeros(shape, dtype: str | None = None):
    """An array of zeros; of floatx by default."""
    return _made("zeros", _sizes(shape), dtype=dtype or config.floatx())


def ones(shape, dtype: str | None = None):
    """An array of ones; of floatx by default."""
    return _made("ones", _sizes(shape), dtype=dtype or config.floatx())


def empty(shape, dtype: str | None = None):
    """An array whose elements are not set; of floatx by default."""
    return _made("empty", _sizes(shape), dtype=dtype or config.floatx())


def full(shape, fill_value, dtype: str | None = None):
    """An array with one value everywhere, a number or an array that broadcasts to the shape.

    Its dtype is floatx by default.
    """
    value = as_array(fill_value, dtype=dtype or config.floatx())
    shape = _sizes(shape)
    shape = shape if isinstance(shape, tuple) else (shape,)
    return namespace(value).broadcast_to(value, shape) + zeros(shape, dtypes.name(value.dtype))


def _like(name):
    @array_function(computes=False)
    def function(x, dtype: str | None = None):
        xp = namespace(x)
        dtype = x.dtype if dtype is None else dtypes.of(xp, dtypes.standardize(dtype))
        return getattr(xp, name)(x, dtype=dtype)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"An array of {name.partition('_')[0]} in the shape and dtype of `x`."
    return function


zeros_like, ones_like, empty_like = map(_like, ("zeros_like", "ones_like", "empty_like"))
empty_like.__doc__ = "An array whose elements are not set, in the shape and dtype of `x`."


@array_function(computes=False)
def full_like(x, fill_value, dtype: str | None = None):
    """An array with one value everywhere, in the shape and dtype of `x`."""
    xp = namespace(x)
    dtype = x.dtype if dtype is None else dtypes.of(xp, dtypes.standardize(dtype))
    return xp.broadcast_to(xp.astype(as_array(fill_value, like=x), dtype), x.shape)


def eye(N: int, M: int | None = None, k: int = 0, dtype: str | None = None):
    """An (N, M) matrix with ones on its diagonal `k` and zeros elsewhere; M is N by default.

    Raises TypeError unless the sizes are integers.
    """
    N = index(N)
    return _made("eye", N, N if M is None else index(M), k=k or 0, dtype=dtype or config.floatx())


def identity(n: int, dtype: str | None = None):
    """The identity matrix of n rows."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: str | None = None):
    """An (N, M) matrix with ones on and below its diagonal `k` and zeros above."""
    whole = ones((N, N if M is None else M), dtype)
    return namespace(whole).tril(whole, k=k)


def arange(start, stop=None, step=None, dtype: str | None = None):
    """Numbers from `start` to below `stop`, `step` (1) apart; from 0 to below `start` without stop.

    dtype: by default what the arguments promote to.
    """
    given = [a for a in (start, stop, step) if a is not None]
    dtype = dtypes.promote(*given) if dtype is None else dtypes.standardize(dtype)
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    wide = "float32" if dtype in ("bfloat16", "bool") else dtype
    out = _made("arange", *map(_number, (start, stop, step)), dtype=wide)
    return out if wide == dtype else cast(out, dtype)


def _number(x):
    x = plain(x)
    return x.item() if hasattr(x, "item") else x.tolist() if hasattr(x, "tolist") else x


def _ends(start, stop, dtype):
    """The ends of a range as arrays, and the dtype of the result."""
    name = dtypes.standardize(dtype, floats(*map(_dtype_of, (start, stop))))
    xp, ends = together((as_array(start), as_array(stop)), floats)
    if name == "float64":
        ends = [cast(a, name) for a in ends]
    return xp, *ends, name


def _dtype_of(x):
    return x if isinstance(x, (bool, int, float)) else as_array(x)


def linspace(
    start,
    stop,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: str | None = None,
    axis: int = 0,
):
    """`num` numbers from `start` to `stop`, evenly spaced, along a new axis.

    Args:
        start, stop: numbers, or arrays that broadcast together.
        endpoint: whether `stop` is the last of them, or would be the next one.
        retstep: give the distance of neighbours too.
        dtype: by default what the ends promote to, beside a float.
    """
    if is_symbolic(start, stop):
        return connect(linspace, start, stop, num, endpoint, retstep, dtype, axis)
    xp, start, stop, name = _ends(start, stop, dtype)
    num = int(num)
    parts = num - 1 if endpoint else num
    step = (stop - start) / parts if parts > 0 else (stop - start) * math.nan
    places = xp.arange(num, dtype=start.dtype, device=devices.device_of(start))
    start, difference = xp.broadcast_arrays(start, stop - start)
    places = xp.reshape(places, (-1,) + (1,) * start.ndim) / max(parts, 1)
    out = start + places * difference  # Exactly `stop` at 1, for most numbers.
    out = cast(xp.moveaxis(out, 0, axis), name)
    return (out, step) if retstep else out


def logspace(
    start,
    stop,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10,
    dtype: str | None = None,
    axis: int = 0,
):
    """Numbers from base^start to base^stop with evenly spaced logarithms; see `linspace`."""
    if is_symbolic(start, stop):
        return connect(logspace, start, stop, num, endpoint, base, dtype, axis)
    name = _ends(start, stop, dtype)[-1]
    wide = "float32" if name in dtypes.SHORT_FLOATS or not dtypes.is_floating(name) else name
    exponents = linspace(start, stop, num, endpoint, dtype=wide, axis=axis)
    return cast(namespace(exponents).pow(float(base), exponents), name)


def geomspace(
    start, stop, num: int = 50, endpoint: bool = True, dtype: str | None = None, axis: int = 0
):
    """Numbers from `start` to `stop` whose neighbours have one ratio; see `linspace`.

    The ends have the same sign, and neither is 0.
    """
    if is_symbolic(start, stop):
        return connect(geomspace, start, stop, num, endpoint, dtype, axis)
    xp, start, stop, name = _ends(start, stop, dtype)
    sign = xp.sign(start)
    exponents = [xp.log10(xp.abs(end)) for end in (start, stop)]
    wide = "float64" if name == "float64" else "float32"
    powers = logspace(*exponents, num, endpoint, 10, wide, axis)
    sign = sign if powers.ndim == 1 else xp.expand_dims(sign, axis=axis)
    return cast(powers * sign, name)


# Windows of signal processing, of floatx.


def _window(values):
    return as_array(values, dtype=config.floatx())


def bartlett(x):
    """A triangular window of `x` values that starts and ends with 0."""
    return _window(window("bartlett", int(_number(x))))


def blackman(x):
    """Blackman's window of `x` values: three cosine terms, small side lobes."""
    return _window(window("blackman", int(_number(x))))


def hamming(x):
    """Hamming's window of `x` values: 0.54 - 0.46 cos(2 pi n / (x - 1))."""
    return _window(window("hamming", int(_number(x))))


def hanning(x):
    """Hann's window of `x` values: 0.5 - 0.5 cos(2 pi n / (x - 1))."""
    return _window(window("hann", int(_number(x))))


def kaiser(x, beta: float):
    """Kaiser's window of `x` values: i0(beta sqrt(1 - (2 n / (x - 1) - 1)^2)) / i0(beta)."""
    from .elementwise import i0

    size, beta = int(_number(x)), float(_number(beta))
    t = np.linspace(-1.0, 1.0, size) if size > 1 else np.zeros(size)
    return _window(i0(beta * np.sqrt(1 - t * t)) / i0(np.array(beta)))


@array_function()
def vander(x, N: int | None = None, increasing: bool = False):
    """The matrix of the powers of a vector: a row for each element, N columns (square by default).

    increasing: from x^0 on; by default the last column is x^0.
    """
    xp = namespace(x)
    count = x.shape[0] if N is None else N
    columns = [xp.ones_like(x)]
    for _ in range(count - 1):
        columns.append(columns[-1] * x)
    columns = columns[:count] if increasing else columns[:count][::-1]
    return xp.stack(columns, axis=-1) if columns else xp.zeros((x.shape[0], 0), dtype=x.dtype)
