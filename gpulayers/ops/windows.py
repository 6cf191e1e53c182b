"""Window functions of signal processing, by the names and formulas of scipy.signal.windows.

Harris: "On the use of windows for harmonic analysis with the discrete Fourier transform",
Proceedings of the IEEE 66, 1978.
"""

from __future__ import annotations

import numpy as np

# Sums of coefficient[k] * cos(k * phase), the phase from -pi to pi.
_COSINE_SUMS = {
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
_ALIASES = {
    "hanning": "hann",
    "rectangular": "boxcar",
    "triangle": "triang",
    "poisson": "exponential",
}


def window(name: str, size: int, periodic: bool = False) -> np.ndarray:
    """The values of a window, in float64.

    Args:
        name: barthann, bartlett, blackman, blackmanharris, bohman, boxcar, cosine, exponential,
            flattop, hamming, hann, lanczos, nuttall, parzen, taylor, triang or tukey.
        size: how many values.
        periodic: give one period of a window (for spectra) rather than a symmetric one.

    Raises ValueError for an unknown name.
    """
    name = _ALIASES.get(name, name)
    if name not in _COSINE_SUMS and name not in _SHAPES:
        known = ", ".join(sorted([*_COSINE_SUMS, *_SHAPES]))
        raise ValueError(f"window: expected one of {known}, got {name!r}.")
    if size <= 1:
        return np.ones(size)
    length = size + bool(periodic)
    if name in _COSINE_SUMS:
        phase = np.linspace(-np.pi, np.pi, length)
        values = sum(a * np.cos(k * phase) for k, a in enumerate(_COSINE_SUMS[name]))
    else:
        values = _SHAPES[name](np.linspace(-1.0, 1.0, length), length)
    return values[:size]


# Each from the positions t, -1 to 1, and their number n.


def _barthann(t, n):
    return 0.62 - 0.24 * np.abs(t) + 0.38 * np.cos(np.pi * t)


def _bohman(t, n):
    t = np.abs(t)
    values = (1.0 - t) * np.cos(np.pi * t) + np.sin(np.pi * t) / np.pi
    values[[0, -1]] = 0.0
    return values


def _cosine(t, n):
    return np.sin(np.pi / n * (np.arange(n) + 0.5))


def _exponential(t, n):
    return np.exp(-np.abs(t) * (n - 1) / 2)


def _parzen(t, n):
    t = np.abs(t)
    far = t * (n - 1) / n
    return np.where(t > 0.5, 2.0 * (1.0 - far) ** 3, 1.0 - 6.0 * far**2 + 6.0 * far**3)


def _taylor(t, n, bar=4, side_lobe=30.0):
    # Doerry: "Catalog of window taper functions for sidelobe control", Sandia 2017.
    a = np.arccosh(10 ** (side_lobe / 20)) / np.pi
    spread = bar**2 / (a**2 + (bar - 0.5) ** 2)
    orders = np.arange(1, bar)
    weights = []
    for m in orders:
        above = (-1) ** (m + 1) * np.prod(1 - m**2 / spread / (a**2 + (orders - 0.5) ** 2))
        weights.append(above / (2 * np.prod([1 - m**2 / k**2 for k in orders if k != m])))
    place = t * (n - 1) / (2 * n)
    values = 1 + 2 * np.cos(2 * np.pi * place[:, None] * orders) @ np.asarray(weights)
    return values / (1 + 2 * np.sum(weights))


def _triang(t, n):
    return 1.0 - np.abs(t) * (n - 1) / (n + n % 2)


def _tukey(t, n, tapered=0.5):
    flat = np.floor(tapered * (n - 1) / 2)
    edge = np.minimum(np.arange(n), np.arange(n)[::-1])
    values = 0.5 * (1.0 + np.cos(np.pi * (2.0 * edge / tapered / (n - 1) - 1.0)))
    return np.where(edge > flat, 1.0, values)


_SHAPES = {
    "barthann": _barthann,
    "bartlett": lambda t, n: 1.0 - np.abs(t),
    "bohman": _bohman,
    "boxcar": lambda t, n: np.ones(n),
    "cosine": _cosine,
    "exponential": _exponential,
    "lanczos": lambda t, n: np.sinc(t),
    "parzen": _parzen,
    "taylor": _taylor,
    "triang": _triang,
    "tukey": _tukey,
}
