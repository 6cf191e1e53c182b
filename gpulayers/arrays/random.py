"""Random arrays: each a pure function of (seed, counter), on every device.

`philox` and `quantile` say which bits become which numbers.  The numbers are made on the CPU, and
go to where the array `like` lives; a GPU makes the same ones by itself (see `made_on`).  Beside an
Abstract `like` (shape inference) a draw is an Abstract array, and leaves its seed alone.

Arguments that all functions share:
    shape: the sizes of the result; () for a single number.
    dtype: a name; by default that of `like` if it is floating, else floatx.
    seed: None (other numbers at each call), a whole number (always the same numbers), a
        SeedGenerator (which moves on at each call), or a pair (seed, counter).
    like: an array, beside which the result lives, or a `devices.Home`.  A NumPy array by default.
"""

from __future__ import annotations

import math

import numpy as np

from . import capturing, devices, dtypes, philox
from .namespace import RANK, library, namespace
from .quantile import normal_quantile
from .seeds import SeedGenerator, draw_seed, make_default_seed, set_random_seed
from .tape import plain

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "draw_seed",
    "dropout_mask",
    "gamma",
    "keep",
    "make_default_seed",
    "normal",
    "randint",
    "set_random_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]

MAKERS: dict[tuple[str, str], object] = {}  # By library and name: what makes numbers there.
_PLAIN = (int, float)
_HALF = np.uint64(32)
_WITHIN_TWO_SIGMA = math.erf(math.sqrt(2.0))  # The part of a normal distribution that is.


def made_on(library: str):
    """Register what makes the numbers of a function here (by name) for the arrays of a library.

    It is called with ((seed, counter), shape, dtype, *parameters) on the device where the array is
    wanted, and gives it, or NotImplemented to leave a case to the CPU.
    """

    def register(maker):
        MAKERS[library, maker.__name__] = maker
        return maker

    return register


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None, *, like=None):
    """Floats spread evenly over minval <= x < maxval.

    With u the stream's uniform number and all rounded to the dtype (float32 for 16-bit ones),
    x = min(u * (maxval - minval) + minval, the largest number below maxval).
    Raises ValueError unless `dtype` is floating.
    """
    dtype = _floating("uniform", dtype, like)

    def draw(stream, count):
        u = philox.uniforms(*stream, count, dtype).reshape(shape)
        u = _spread(u, _number(minval), _number(maxval))
        if dtype in dtypes.SHORT_FLOATS:  # Rounding may reach maxval.
            kind = dtypes.numpy_dtype(dtype)
            low, high = np.asarray(_number(minval), kind), np.asarray(_number(maxval), kind)
            u = np.minimum(u.astype(kind), np.maximum(np.nextafter(high, low), low))
        return u

    shape = _sizes("uniform", shape)
    return _draw(draw, shape, dtype, seed, like, "uniform", minval, maxval)


def _spread(u, minval, maxval):
    if type(minval) in _PLAIN and type(maxval) in _PLAIN and (minval, maxval) == (0, 1):
        return u
    low, high = np.asarray(minval, u.dtype), np.asarray(maxval, u.dtype)
    u *= np.subtract(maxval, minval, dtype=np.float64).astype(u.dtype)
    u += low
    return np.minimum(u, np.maximum(np.nextafter(high, low), low), out=u)


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None, *, like=None):
    """Floats of the normal distribution: mean + stddev * quantile, in float64, then rounded.

    Raises ValueError unless `dtype` is floating.
    """
    return _normal("normal", shape, mean, stddev, 1.0, dtype, seed, like)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None, *, like=None):
    """Floats of the normal distribution without what is more than 2 stddev away from the mean.

    The quantile is that of erf(sqrt(2)) times the stream's centred number.
    Raises ValueError unless `dtype` is floating.
    """
    part = _WITHIN_TWO_SIGMA
    return _normal("truncated_normal", shape, mean, stddev, part, dtype, seed, like)


def _normal(who, shape, mean, stddev, part, dtype, seed, like):
    dtype, shape = _floating(who, dtype, like), _sizes(who, shape)

    def draw(stream, count):
        q = philox.centred(*stream, count, dtype)
        if part != 1.0:
            q *= part
        z = normal_quantile(q).reshape(shape)
        z *= _number(stddev)
        z += _number(mean)
        return z

    return _draw(draw, shape, dtype, seed, like, "normal", mean, stddev, part)


def randint(shape, minval, maxval, dtype="int32", seed=None, *, like=None):
    """Whole numbers spread evenly over minval <= x < maxval.

    x = minval + floor(w * (maxval - minval) / 2**64) with w the stream's word; ranges above 2**32
    take two words, x = minval + (w[2 e] * 2**64 + w[2 e + 1]) mod (maxval - minval).
    Raises ValueError unless minval < maxval and `dtype` is an integer one that holds them.
    """
    dtype, shape = dtypes.standardize(dtype, "int32"), _sizes("randint", shape)
    if not dtypes.is_integer(dtype):
        raise ValueError(f"randint: expected an integer dtype, got {dtype!r}.")

    def draw(stream, count):
        low, high = (np.asarray(_number(bound)) for bound in (minval, maxval))
        if np.any(low >= high):
            raise ValueError(f"randint: expected minval < maxval, got {minval} and {maxval}.")
        info = np.iinfo(dtype)
        if np.any(low < info.min) or np.any(high > info.max + 1):
            raise ValueError(f"randint: {dtype} cannot hold all of {minval} <= x < {maxval}.")
        if low.ndim == high.ndim == 0 and int(high) - int(low) > 2**32:
            return _wide_integers(stream, count, int(low), int(high)).reshape(shape)
        size = (high - low).astype(np.uint64)
        w = philox.words(*stream, count).reshape(shape)
        upper, lower = w >> np.uint64(32), w & np.uint64(0xFFFFFFFF)
        offset = (upper * size + (lower * size >> np.uint64(32))) >> np.uint64(32)
        return offset.astype(np.int64) + low.astype(np.int64)

    return _draw(draw, shape, dtype, seed, like)


def below(bounds, shape, seed=None) -> np.ndarray:
    """Whole numbers spread evenly over 0 <= x < bounds, with half[e] of the stream
    x = floor(half * bounds / 2**32): NumPy's intp, always on the CPU.

    Args:
        bounds: whole numbers from 1 to 2**32 that broadcast to `shape`.
    """
    stream = draw_seed(seed)
    if type(stream) is capturing.DeviceStream:
        raise capturing.NotCapturable("random numbers of this kind are drawn on the CPU.")
    halves = philox.halves(*stream, math.prod(shape)).reshape(shape)
    return (halves * np.asarray(bounds, np.uint64) >> _HALF).astype(np.intp)


def _wide_integers(stream, count, low, high):
    words = philox.words(*stream, 2 * count).tolist()
    pairs = zip(words[::2], words[1::2], strict=True)
    values = [low + (a * philox.WORD + b) % (high - low) for a, b in pairs]
    return np.array(values, dtype=np.uint64 if high > 2**63 else np.int64)


def categorical(logits, num_samples: int, dtype="int32", seed=None):
    """Classes drawn with the probabilities softmax(logits).

    Args:
        logits: array (rows, classes) of unnormalised log-probabilities.
        num_samples: how many are drawn from each row.

    Gives an integer array (rows, num_samples) beside `logits`: the number of classes whose
    cumulative probability is at most a float64 uniform number.
    Raises ValueError unless `logits` has two axes.
    """
    if len(logits.shape) != 2:
        raise ValueError(f"categorical: expected logits (rows, classes), got {logits.shape}.")
    dtype, logits = dtypes.standardize(dtype, "int32"), plain(logits)
    xp = namespace(logits)
    logits = xp.astype(logits, xp.float64)
    weights = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
    below = xp.cumulative_sum(weights, axis=1)
    top = 1.0 - 2.0**-52  # So that a product with the total stays below it.
    u = uniform((logits.shape[0], num_samples), 0.0, top, "float64", seed, like=logits)
    passed = below[:, None, :] <= (u * below[:, -1:])[:, :, None]
    return xp.astype(xp.sum(xp.astype(passed, xp.int32), axis=2), dtypes.of(xp, dtype))


def shuffle(x, axis: int = 0, seed=None):
    """`x` with its slices along `axis` in another order, each slice kept whole.

    The order is that of the stream's words, one for each slice.
    """
    xp = namespace(x)
    count = x.shape[axis]
    order = _draw(
        lambda stream, n: np.argsort(philox.words(*stream, n), kind="stable"),
        (count,), "int64", seed, x,
    )  # fmt: skip
    return xp.take(x, order, axis=axis)


def gamma(shape, alpha, dtype=None, seed=None, *, like=None):
    """Floats of the gamma distribution of shape `alpha` (a number or an array) and scale 1.

    By NumPy's generator over the stream (Marsaglia and Tsang's method).
    """
    dtype = _floating("gamma", dtype, like)
    return _by_numpy("standard_gamma", (alpha,), shape, dtype, seed, like)


def beta(shape, alpha, beta, dtype=None, seed=None, *, like=None):
    """Floats of the beta distribution of `alpha` and `beta` (numbers or arrays).

    By NumPy's generator over the stream.
    """
    dtype = _floating("beta", dtype, like)
    return _by_numpy("beta", (alpha, beta), shape, dtype, seed, like)


def binomial(shape, counts, probabilities, dtype=None, seed=None, *, like=None):
    """How many of `counts` trials succeed, each with its probability (numbers or arrays).

    By NumPy's generator over the stream; in a float dtype, as Keras gives them.
    """
    dtype = _floating("binomial", dtype, like)
    counts = np.asarray(_number(counts)).astype(np.int64)
    return _by_numpy("binomial", (counts, probabilities), shape, dtype, seed, like)


def _by_numpy(name, parameters, shape, dtype, seed, like):
    shape = _sizes(name, shape)

    def draw(stream, count):
        seed, counter = (n % philox.WORD for n in stream)
        bits = np.random.Philox(key=(seed, 0), counter=(0, 0, counter, 0))
        given = [_number(p) for p in parameters]
        return getattr(np.random.Generator(bits), name)(*given, size=shape)

    return _draw(draw, shape, dtype, seed, like)


def dropout_mask(shape, rate: float, seed=None, *, like=None):
    """Booleans: True where dropout of this rate keeps an element, as `keep` says."""
    shape = _sizes("dropout_mask", shape)

    def draw(stream, count):
        return keep(shape, rate, *stream)

    return _draw(draw, shape, "bool", seed, like, "dropout_mask", rate)


def keep(
    shape: tuple[int, ...], rate: float, seed: int, counter: int, start: int = 0
) -> np.ndarray:
    """Which elements dropout of this rate keeps, on the CPU.

    Element e stays where quarter[start + e] of the stream >= floor(rate * 65536 + 1/2): `start`
    is not 0 for a part of a larger array.
    """
    quarters = philox.quarters(seed, counter, math.prod(shape), start)
    return (quarters >= int(rate * 65536 + 0.5)).reshape(shape)


def _draw(draw, shape, dtype, seed, like, name=None, *parameters):
    """`draw((seed, counter), count)` as an array of this shape and dtype beside `like`.

    The maker of that name, if there is one for `like`, gets the parameters and makes it there.
    """
    if RANK.get(type(like), 0) >= 100:  # Abstract or symbolic.
        xp = namespace(like)
        return xp.empty(shape, dtype=dtypes.of(xp, dtype))
    stream, home = draw_seed(seed), _home_of(like)
    maker = None if home is None or name is None else _maker(home, name)
    if maker is not None:
        with devices.on(home):
            made = maker(stream, shape, dtype, *parameters)
        if made is not NotImplemented:
            return made
    if type(stream) is capturing.DeviceStream:
        raise capturing.NotCapturable("random numbers of this kind are drawn on the CPU.")
    values = draw(stream, math.prod(shape))
    if type(values) is not np.ndarray or values.shape != shape or values.dtype.name != dtype:
        values = np.asarray(values).reshape(shape).astype(dtypes.numpy_dtype(dtype), copy=False)
    return values if home is None else devices.put(values, home)


def _home_of(like):
    return like if like is None or type(like) is devices.Home else devices.home_of(plain(like))


def _maker(home, name):
    if home is devices.CPU:
        return None
    from .primitive import _loaded, load_versions

    found = library(home.xp)
    if found not in _loaded:
        load_versions(found)
    return MAKERS.get((found, name))


def _floating(who, dtype, like) -> str:
    if dtype is None and type(like) not in (type(None), devices.Home) and dtypes.is_floating(like):
        return dtypes.name(like.dtype)
    dtype = dtypes.standardize(dtype)
    if dtype not in dtypes.FLOATS:
        raise ValueError(f"random.{who}: expected a floating dtype, got {dtype!r}.")
    return dtype


def _sizes(who, shape) -> tuple[int, ...]:
    try:
        sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
        return tuple(n.__index__() for n in sizes)
    except AttributeError:
        raise TypeError(
            f"random.{who}: expected a shape of whole numbers, got {shape!r}."
        ) from None


def _number(parameter):
    """A parameter of a distribution: a Python number as it is, an array on the CPU."""
    return devices.to_numpy(plain(parameter)) if hasattr(parameter, "shape") else parameter
