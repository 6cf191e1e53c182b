"""Discrete Fourier transforms, of whole axes and of short windows of a signal.

Complex numbers are pairs of real arrays: (real part, imaginary part).
"""

from __future__ import annotations

from functools import reduce, wraps
from math import prod

import numpy as np

from ..arrays import Abstract, as_array, devices, dtypes, namespace, primitive
from ..arrays.primitive import is_symbolic
from ..arrays.symbolic import connect
from .calling import array_function, as_arrays, together
from .padding import pad
from .rearranging import extract_sequences
from .windows import window as window_values

__all__ = ["fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft"]


@primitive
def spectrum(real, imag, *, axes: int, inverse: bool):
    """The transform of real + i imag over the last `axes` axes, or its inverse, as a pair."""
    xp = namespace(real, imag)
    transform = xp.fft.ifftn if inverse else xp.fft.fftn
    z = xp.astype(real, _complex(xp, real)) + xp.astype(imag, _complex(xp, real)) * 1j
    out = transform(z, axes=tuple(range(-axes, 0)))
    return tuple(xp.astype(part, real.dtype) for part in (xp.real(out), xp.imag(out)))


@spectrum.shape
def _(real, imag, *, axes, inverse):
    return Abstract(real.shape, real.dtype), Abstract(real.shape, real.dtype)


@spectrum.vjp
def _(xp, outs, real, imag, *, axes, inverse):
    count = prod(real.shape[-axes:])

    def pullback(gs):  # The matrix is symmetric, and its conjugate is count times its inverse.
        scale = 1 / count if inverse else count
        return tuple(part * scale for part in spectrum(*gs, axes=axes, inverse=not inverse))

    return pullback


def _complex(xp, x):
    return xp.complex128 if dtypes.name(x.dtype) == "float64" else xp.complex64


def _on_pair(rank: int):
    """Decorate a function of a pair of float arrays with at least `rank` axes."""

    def decorate(function):
        name = function.__name__

        def call(x, *args, **options):
            if not isinstance(x, (tuple, list)) or len(x) != 2:
                raise ValueError(f"{name}: needs a pair (real, imaginary), got {type(x).__name__}.")
            if is_symbolic(*x):
                return connect(call, x, *args, **options)
            real, imag = as_arrays(x)
            if not (dtypes.is_floating(real) and dtypes.is_floating(imag)):
                raise ValueError(
                    f"{name}: needs floats, got {dtypes.name(real.dtype)} and "
                    f"{dtypes.name(imag.dtype)}."
                )
            shapes = [tuple(part.shape) for part in (real, imag)]
            if shapes[0] != shapes[1] or real.ndim < rank:
                raise ValueError(
                    f"{name}: both parts must have one shape of rank {rank} or more, got "
                    f"{shapes[0]} and {shapes[1]}."
                )
            return function(together((real, imag))[1], *args, **options)

        return wraps(function)(call)

    return decorate


@_on_pair(1)
def fft(x):
    """The transform along the last axis: y[k] = sum_n x[n] exp(-2 pi i k n / N).

    x: a pair of float arrays, the real and the imaginary part; so is the result. Raises ValueError
        otherwise.
    """
    return spectrum(*x, axes=1, inverse=False)


@_on_pair(2)
def fft2(x):
    """The transform along the last two axes; see `fft`."""
    return spectrum(*x, axes=2, inverse=False)


@_on_pair(2)
def ifft2(x):
    """The inverse of `fft2`."""
    return spectrum(*x, axes=2, inverse=True)


def _sized(x, size):
    """The last axis cut, or filled with zeros, to `size`."""
    missing = size - x.shape[-1]
    if missing > 0:
        return pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
    return x[..., :size] if missing < 0 else x


@array_function()
def rfft(x, fft_length: int | None = None):
    """The transform of real numbers along the last axis, as a pair: its first N // 2 + 1 values.

    fft_length: N, to which the axis is cut or filled with zeros; its own size by default.
    """
    size = x.shape[-1] if fft_length is None else fft_length
    x = _sized(x, size)
    parts = spectrum(x, namespace(x).zeros_like(x), axes=1, inverse=False)
    return tuple(part[..., : size // 2 + 1] for part in parts)


@_on_pair(1)
def irfft(x, fft_length: int | None = None):
    """The real numbers whose `rfft` is the pair `x`, `fft_length` of them.

    fft_length: by default twice as many as values in `x`, less 2.
    """
    real, imag = x
    size = 2 * (real.shape[-1] - 1) if fft_length is None else fft_length
    half = size // 2 + 1
    # Each value but the first, and the middle one of an even size, stands for its conjugate too.
    xp, k = namespace(real, imag), namespace(real).arange(half, device=devices.device_of(real))
    twice = 2 - xp.astype((k == 0) | (2 * k == size), real.dtype)
    parts = [_sized(_sized(part, half) * twice, size) for part in (real, imag)]
    return spectrum(*parts, axes=1, inverse=True)[0]


# Short windows.


def _weights(who, window, size, length, like):
    """The `size` weights of a window in the middle of `length` ones, like an array."""
    if length < size:
        raise ValueError(
            f"{who}: fft_length must not be less than sequence_length, got {length} and {size}."
        )
    before = (length - size) // 2
    if window is None:
        return as_array([1.0] * length, dtype=dtypes.name(like.dtype), like=like)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(f"{who}: window must be 'hann' or 'hamming', got {window!r}.")
        window = window_values(window, size, periodic=True)
    if isinstance(window, np.ndarray):
        window = window.tolist()  # To the library of `like`.
    values = as_array(window, dtype=dtypes.name(like.dtype), like=like)
    if tuple(values.shape) != (size,):
        raise ValueError(
            f"{who}: the window must have the shape ({size},), got {tuple(values.shape)}."
        )
    return pad(values, [(before, length - size - before)])


@array_function()
def stft(
    x,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window="hann",
    center: bool = True,
):
    """The transforms of windows of signals (..., T), as a pair (..., windows, fft_length // 2 + 1).

    Args:
        sequence_length: how many values a window has.
        sequence_stride: how far apart windows begin.
        fft_length: of a transform; the window stands in its middle.
        window: "hann", "hamming", an array of sequence_length weights, or None for ones.
        center: reflect the signal at its ends, so that the first window's middle is at 0.

    Raises TypeError unless x is float32 or float64, ValueError for another window or length.
    """
    if dtypes.name(x.dtype) not in ("float32", "float64"):
        raise TypeError(f"stft: x must be float32 or float64, got {dtypes.name(x.dtype)}.")
    weights = _weights("stft", window, sequence_length, fft_length, x)
    if center:
        x = pad(x, [(0, 0)] * (x.ndim - 1) + [(fft_length // 2,) * 2], mode="reflect")
    return rfft(extract_sequences(x, fft_length, sequence_stride) * weights)


def _overlapped(parts, stride):
    """The windows (..., S, L), each `stride` behind the one before, added up: (..., T)."""
    *outer, count, length = parts.shape
    blocks = -(-length // stride)
    parts = _sized(parts, blocks * stride)
    margins = [(0, 0)] * len(outer)
    rows = [
        pad(parts[..., i * stride : (i + 1) * stride], [*margins, (i, blocks - 1 - i), (0, 0)])
        for i in range(blocks)
    ]
    total = reduce(namespace(parts).add, rows)
    total = namespace(total).reshape(total, (*outer, (count + blocks - 1) * stride))
    return total[..., : (count - 1) * stride + length]


@_on_pair(2)
def istft(
    x,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window="hann",
    center: bool = True,
):
    """The signals (..., T) whose `stft` is the pair `x`, by least squares.

    The windows are weighted and added up, and divided by the sum of the squared weights (where it
    is 0 the signal is 0; without a window they are only added up). Griffin and Lim, "Signal
    estimation from modified short-time Fourier transform", 1984.

    length: T; by default what the windows reach over. The other arguments are those of `stft`.
    """
    weights = _weights("istft", window, sequence_length, fft_length, x[0])
    parts = irfft(x, fft_length) * weights
    xp, count = namespace(parts), parts.shape[-2]
    signal = _overlapped(parts, sequence_stride)
    if window is not None:
        squares = xp.broadcast_to(weights * weights, (count, fft_length))
        total = _overlapped(squares, sequence_stride)
        signal = signal / xp.where(total > 1e-10, total, 1.0)
    start = fft_length // 2 if center else 0
    stop = signal.shape[-1] - start if length is None else start + length
    return _sized(signal[..., start:stop], stop - start)
