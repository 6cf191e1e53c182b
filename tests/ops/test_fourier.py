"""Fourier transforms against NumPy's, and their gradients."""

import numpy as np
import pytest
from function_checks import check_function, real

from gpulayers import ops
from gpulayers.arrays import KerasTensor

a, b = real(2, 3, 6), np.roll(real(2, 3, 6), 5)


def pair(z):
    return np.real(z), np.imag(z)


@pytest.mark.parametrize("name", ["fft", "fft2", "ifft2"])
def test_pairs(name):
    expected = pair(getattr(np.fft, name)(a + 1j * b))
    check_function(lambda x, y: getattr(ops, name)((x, y)), [a, b], expected, rtol=1e-9)
    half = a.astype("float32"), b.astype("float32")
    assert [part.dtype.name for part in getattr(ops, name)(half)] == ["float32"] * 2


@pytest.mark.parametrize("size", [None, 6, 4, 5, 9])
def test_real_numbers(size):
    expected = pair(np.fft.rfft(a, size))
    check_function(lambda x: ops.rfft(x, size), [a], expected, rtol=1e-9)
    expected = np.fft.irfft(a + 1j * b, size)
    check_function(lambda x, y: ops.irfft((x, y), size), [a, b], expected, rtol=1e-9)


WINDOWS = [
    (6, 2, 8, "hann", True),
    (8, 3, 8, "hamming", False),
    (5, 2, 8, None, False),
    (4, 3, 5, np.array([0.3, 1.0, 0.8, 0.2]), True),
]


@pytest.mark.parametrize("how", WINDOWS)
def test_short_windows(how):
    """A loop over the windows, and back again to the signal."""
    size, stride, length, window, center = how
    x = real(2, 20)
    t = np.arange(size)
    start = (length - size) // 2
    named = {
        "hann": 0.5 - 0.5 * np.cos(2 * np.pi * t / size),
        "hamming": 0.54 - 0.46 * np.cos(2 * np.pi * t / size),
    }
    weights = np.ones(length)
    if window is not None:
        own = named[window] if isinstance(window, str) else window
        weights = np.pad(own, (start, length - size - start))
    padded = np.pad(x, ((0, 0), (length // 2,) * 2), mode="reflect") if center else x
    starts = range(0, padded.shape[1] - length + 1, stride)
    frames = np.stack([padded[:, i : i + length] * weights for i in starts], axis=1)
    check_function(lambda x: ops.stft(x, *how), [x], pair(np.fft.rfft(frames)), rtol=1e-9)

    total, signal = np.zeros(padded.shape[1]), np.zeros(padded.shape)
    for k, i in enumerate(starts):
        signal[:, i : i + length] += frames[:, k] * weights
        total[i : i + length] += weights**2
    if window is not None:
        signal = signal / np.where(total > 0, total, 1)
    stop = starts[-1] + length
    signal = signal[:, length // 2 : stop - length // 2] if center else signal[:, :stop]
    parts = pair(np.fft.rfft(frames))
    call = lambda p, q: ops.istft((p, q), size, stride, length, None, window, center)
    check_function(call, list(parts), signal, rtol=1e-9)


def test_signals_come_back():
    x = real(3, 64).astype("float32")
    parts = ops.stft(x, 16, 4, 16)
    np.testing.assert_allclose(ops.istft(parts, 16, 4, 16), x, rtol=1e-4, atol=1e-4)
    assert ops.istft(parts, 16, 4, 16, length=50).shape == (3, 50)
    spec = ops.stft(KerasTensor((None, 64)), 16, 4, 16)
    assert [part.shape for part in spec] == [(None, 17, 9)] * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.fft(a), "needs a pair"),
        (lambda: ops.fft((a, b[:1])), "must have one shape of rank 1 or more"),
        (lambda: ops.fft2((a[0, 0], b[0, 0])), "rank 2 or more"),
        (lambda: ops.irfft((a.astype(int), b)), "needs floats"),
        (lambda: ops.stft(a, 6, 2, 4), "must not be less"),
        (lambda: ops.stft(a, 4, 2, 4, "bartlett"), "'hann' or 'hamming'"),
        (lambda: ops.stft(a, 4, 2, 4, [1.0, 2.0]), r"shape \(4,\)"),
    ],
)
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_signals_are_floats():
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        ops.stft(np.arange(8), 4, 2, 4)
