"""Initializers without chance: constants, the identity, Fourier kernels."""

from __future__ import annotations

import numpy as np

from .. import registry
from .base import Initializer, host, numpy_dtype


class Zeros(Initializer):
    """Zeros of any dtype."""

    def __call__(self, shape, dtype=None):
        return np.zeros(shape, numpy_dtype(dtype))


class Ones(Initializer):
    """Ones of any dtype."""

    def __call__(self, shape, dtype=None):
        return np.ones(shape, numpy_dtype(dtype))


class Constant(Initializer):
    """One value everywhere.

    Args:
        value: a number, or an array that broadcasts to the weight's shape.
    """

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        return np.full(shape, host(self.value), numpy_dtype(dtype))

    def get_config(self) -> dict:
        return {"value": registry.serialize(self.value)}

    @classmethod
    def from_config(cls, config: dict):
        return cls(registry.deserialize(config["value"]))


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, zeros elsewhere.

    Calling it raises ValueError for a shape that is no matrix's.
    """

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        if len(shape) != 2:
            raise ValueError(f"Identity: expected the shape of a matrix, got {tuple(shape)}.")
        return (self.gain * np.eye(*shape)).astype(numpy_dtype(dtype))

    def get_config(self) -> dict:
        return {"gain": self.gain}


class STFT(Initializer):
    """Convolution kernels that compute the short-time Fourier transform of a signal.

    Element (t, 0, f) is `window[t] * cos(2 pi t f / (2 (bins - 1)))` for the real side, the
    negative sine for the imaginary one, for a shape (frame length, 1, bins).

    Args:
        side: "real" or "imag".
        window: a name of `gpulayers.ops.windows`, the values themselves, or None.
        scaling: "density" divides by the window's 2-norm, "spectrum" by its sum of absolute
            values, None by nothing.
        periodic: whether a named window is periodic rather than symmetric.

    Raises ValueError for unknown names, and when called for a window of another size.
    """

    def __init__(self, side="real", window="hann", scaling="density", periodic=False):
        from ..ops.windows import window as named_window

        if side not in ("real", "imag"):
            raise ValueError(f'STFT: side must be "real" or "imag", got {side!r}.')
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(
                f'STFT: scaling must be "density", "spectrum" or None, got {scaling!r}.'
            )
        if isinstance(window, str):
            named_window(window, 1)
        self.side, self.window = side, window
        self.scaling, self.periodic = scaling, periodic

    def __call__(self, shape, dtype=None):
        length, _, bins = shape
        times, frequencies = np.arange(length)[:, None, None], np.arange(bins)
        # Whole turns are taken off while all is exact.
        turns = (times * frequencies) % max(2 * (bins - 1), 1) / max(2 * (bins - 1), 1)
        angles = -2.0 * np.pi * turns
        kernel = np.cos(angles) if self.side == "real" else np.sin(angles)
        if self.window is not None:
            kernel *= self._scaled_window(length)[:, None, None]
        return np.broadcast_to(kernel, shape).astype(numpy_dtype(dtype))

    def _scaled_window(self, length):
        from ..ops.windows import window as named_window

        values = self.window
        if isinstance(values, str):
            values = named_window(values, length, self.periodic)
        values = np.asarray(host(values), dtype=np.float64)
        if values.shape != (length,):
            raise ValueError(
                f"STFT: expected a window of {length} values, got the shape {values.shape}."
            )
        if self.scaling == "density":
            return values / np.sqrt(np.sum(values**2))
        return values / np.sum(np.abs(values)) if self.scaling == "spectrum" else values

    def get_config(self) -> dict:
        return {
            "side": self.side,
            "window": self.window,
            "periodic": self.periodic,
            "scaling": self.scaling,
        }

    @classmethod
    def from_config(cls, config: dict):
        return cls(**{**config, "window": registry.deserialize(config.get("window", "hann"))})
