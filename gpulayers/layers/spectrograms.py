"""Sounds as the strengths of their frequencies over time."""

from __future__ import annotations

import math
import warnings

import numpy as np

from .. import config
from ..arrays import Abstract, as_array, dtypes, limits, namespace
from ..arrays.short_floats import cast
from ..initializers import STFT
from ..ops import convolution, fourier
from .image_layer import beside
from .input_spec import InputSpec
from .layer import Layer
from .unknown_sizes import TakesUnknownSizes, is_guessed

MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(TakesUnknownSizes):
    """The Fourier transforms of short pieces of signals, by convolutions that may be trained.

    Args:
        mode: "log" (the default) of the absolute value, "magnitude", "psd" (power spectral
            density), "real" and "imag" parts, the "angle", or "stft" for both parts.
        frame_length: of a piece, in samples, 256 by default.
        frame_step: from one piece to the next; half a piece by default.
        fft_length: of a transform, at least `frame_length`; by default the next power of two.
        window: "hann" (the default), "hamming", or an array of weights of a piece.
        periodic: whether windows are periodic instead of symmetric.
        scaling: "density" (the default), "spectrum" or None.
        padding: "valid" (the default) or "same".
        expand_dims: whether frequencies have an axis of their own, as in an image.
        data_format: `config.image_data_format()` by default.

    Takes signals (batch, time, channels), gives (batch, pieces, channels * frequencies) or
    (batch, pieces, frequencies, channels); with channels first (batch, channels, time),
    (batch, channels * frequencies, pieces) and (batch, channels, pieces, frequencies). There are
    fft_length // 2 + 1 frequencies. Raises ValueError for other options, TypeError for what are no
    floats.
    """

    def __init__(
        self,
        mode="log",
        frame_length=256,
        frame_step=None,
        fft_length=None,
        window="hann",
        periodic=False,
        scaling="density",
        padding="valid",
        expand_dims=False,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.mode, self.scaling, self.padding = mode, scaling, padding
        self.frame_length, self.frame_step, self.fft_length = frame_length, frame_step, fft_length
        self._check()
        self._step = frame_step or frame_length // 2
        self._transform = fft_length or 2 ** math.ceil(math.log2(frame_length))
        self.window, self.periodic, self.expand_dims = window, periodic, expand_dims
        self.data_format = config.standardize_data_format(data_format)
        self.input_spec = InputSpec(ndim=3)
        STFT("real", window, scaling, periodic)  # Raises for what is no window.

    def _check(self):
        step, length, transform = self.frame_step, self.frame_length, self.fft_length
        if step is not None and not 1 <= step <= length:
            raise ValueError(
                f"STFTSpectrogram: frame_step must be from 1 to frame_length={length}, got {step}."
            )
        if transform is not None and transform < length:
            raise ValueError(
                f"STFTSpectrogram: fft_length must be at least frame_length={length}, got "
                f"{transform}."
            )
        if transform is not None and transform & (transform - 1):
            warnings.warn(
                f"STFTSpectrogram: a power of two is faster as fft_length, got {transform}.",
                stacklevel=4,
            )
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"STFTSpectrogram: {name} must be one of {', '.join(map(str, known))}, got "
                    f"{getattr(self, name)!r}."
                )

    def build(self, input_shape):
        shape = (self.frame_length, 1, self._transform // 2 + 1)
        for part, name in (("real", "real_kernel"), ("imag", "imag_kernel")):
            if self.mode != ("imag" if part == "real" else "real"):
                initializer = STFT(part, self.window, self.scaling, self.periodic)
                weight = self.add_weight(name=name, shape=shape, initializer=initializer)
                setattr(self, name, weight)

    def call(self, inputs):
        if not dtypes.is_floating(inputs.dtype):
            raise TypeError(
                f"STFTSpectrogram {self.name!r}: inputs must be floats, got "
                f"{dtypes.name(inputs.dtype)}."
            )
        if is_guessed(inputs):
            shape = list(inputs.shape)
            time = 2 if self.data_format == "channels_first" else 1
            shape[time] = max(shape[time], self.frame_length)
            return Abstract(self.compute_output_shape(shape), inputs.dtype)
        mode = self.mode
        if mode in ("real", "imag"):
            kernel = self.real_kernel if mode == "real" else self.imag_kernel
            return self._arranged(self._convolved(inputs, kernel))
        real, imaginary = (self._convolved(inputs, k) for k in (self.real_kernel, self.imag_kernel))
        xp = namespace(real)
        if mode == "angle":
            return self._arranged(xp.atan2(imaginary, real))
        if mode == "stft":
            return self._arranged(xp.concat([real, imaginary], axis=3))
        power = real * real + imaginary * imaginary
        if (
            mode == "psd"
        ):  # Each frequency but the first and the last stands for a negative one too.
            inner = xp.concat(
                [xp.zeros_like(power[..., :1]), power[..., 1:-1], xp.zeros_like(power[..., :1])],
                axis=3,
            )
            return self._arranged(power + inner)
        least = config.epsilon()
        size = xp.sqrt(xp.maximum(power, xp.full_like(power, least)))
        made = self._arranged(size)
        return made if mode == "magnitude" else xp.log(xp.maximum(made, xp.full_like(made, least)))

    def compute_output_shape(self, input_shape):
        first = self.data_format == "channels_first"
        batch, time, channels = (input_shape[i] for i in ((0, 2, 1) if first else (0, 1, 2)))
        frequencies = (self._transform // 2 + 1) * (2 if self.mode == "stft" else 1)
        pieces = time
        if time is not None and self.padding == "same":
            pieces = -(-time // self._step)
        elif time is not None:
            pieces = (time - self.frame_length) // self._step + 1
            if time < self.frame_length:
                raise ValueError(
                    f"STFTSpectrogram {self.name!r}: signals of {time} samples are shorter than "
                    f"frame_length={self.frame_length}; padding='same' would allow it."
                )
        if self.expand_dims:
            parts = (channels, pieces, frequencies) if first else (pieces, frequencies, channels)
            return (batch, *parts)
        together = None if channels is None else channels * frequencies
        return (batch, together, pieces) if first else (batch, pieces, together)

    def _convolved(self, inputs, kernel):
        """The signals' pieces times a kernel: (batch, channels, pieces, frequencies)."""
        xp = namespace(inputs)
        x = inputs if self.data_format == "channels_first" else xp.permute_dims(inputs, (0, 2, 1))
        batch, channels, time = x.shape
        made = convolution.conv(
            xp.reshape(x, (batch * channels, time, 1)),
            cast(as_array(kernel), dtypes.name(inputs.dtype)),
            strides=self._step,
            padding=self.padding,
            data_format="channels_last",
        )
        return namespace(made).reshape(made, (batch, channels, *made.shape[1:]))

    def _arranged(self, made):
        """(batch, channels, pieces, frequencies) as the outputs have it."""
        xp, (batch, channels, pieces, frequencies) = namespace(made), made.shape
        first = self.data_format == "channels_first"
        if self.expand_dims:
            return made if first else xp.permute_dims(made, (0, 2, 3, 1))
        if first:
            made = xp.permute_dims(made, (0, 1, 3, 2))
            return xp.reshape(made, (batch, channels * frequencies, pieces))
        made = xp.permute_dims(made, (0, 2, 1, 3))
        return xp.reshape(made, (batch, pieces, channels * frequencies))

    def get_config(self):
        names = ("mode", "frame_length", "frame_step", "fft_length", "window", "periodic",
                 "scaling", "padding", "expand_dims", "data_format")  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


CHOICES = {
    "mode": MODES,
    "scaling": ("density", "spectrum", None),
    "padding": ("valid", "same"),
}


class MelSpectrogram(Layer):
    """The strengths of bands of frequencies over time, the bands as wide as the ear has them.

    Args:
        fft_length: of a transform, in samples, 2048 by default.
        sequence_stride: from one piece to the next, 512 by default.
        sequence_length: of a piece; `fft_length` by default.
        window: "hann" (the default), "hamming", an array of weights of a piece, or None.
        sampling_rate: samples per second, 16000 by default.
        num_mel_bins: how many bands there are, 128 by default.
        min_freq, max_freq: where they begin and end, in Hertz: 20 and half the sampling rate.
        power_to_db: whether strengths are in decibels, 10 log10(s / ref_power).
        top_db: how far below the greatest strength the least one may be, 80 by default.
        mag_exp: the power that absolute values are raised to, 2 by default.
        min_power: the least strength, 1e-10 by default.
        ref_power: the strength of 0 decibels, 1 by default.

    Takes signals (time,) or (batch, time), gives (bands, pieces) or (batch, bands, pieces). A band
    is a triangle on the scale 1127 log(1 + f / 700) of frequencies f, as in the Hidden Markov Model
    Toolkit. Raises ValueError for pieces longer than a transform.
    """

    def __init__(
        self,
        fft_length=2048,
        sequence_stride=512,
        sequence_length=None,
        window="hann",
        sampling_rate=16000,
        num_mel_bins=128,
        min_freq=20.0,
        max_freq=None,
        power_to_db=True,
        top_db=80.0,
        mag_exp=2.0,
        min_power=1e-10,
        ref_power=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        limits.spend("fft_length", (fft_length,))
        self.fft_length, self.sequence_stride = fft_length, sequence_stride
        self.sequence_length = sequence_length or fft_length
        if self.sequence_length > fft_length:
            raise ValueError(
                f"MelSpectrogram: sequence_length must be at most fft_length={fft_length}, got "
                f"{self.sequence_length}."
            )
        self.window, self.sampling_rate, self.num_mel_bins = window, sampling_rate, num_mel_bins
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power

    def call(self, inputs):
        dtype = self._working_dtype([inputs]) or self.compute_dtype
        x = as_array(inputs, dtype="float64" if dtype == "float64" else "float32")
        real, imaginary = fourier.stft(
            x,
            sequence_length=self.sequence_length,
            sequence_stride=self.sequence_stride,
            fft_length=self.fft_length,
            window=self.window,
            center=True,
        )
        xp = namespace(real)
        strength = (real * real + imaginary * imaginary) ** (self.mag_exp / 2)
        bands = mel_bands(self.num_mel_bins, real.shape[-1], self.sampling_rate,
                          (self.min_freq, self.max_freq))  # fmt: skip
        bands = cast(beside(bands, strength), dtypes.name(strength.dtype))
        made = xp.matmul(strength, bands)
        made = self._decibels(xp, made) if self.power_to_db else made
        return cast(xp.matrix_transpose(made), dtype)

    def _decibels(self, xp, strength):
        made = 10 * xp.log10(xp.maximum(strength, xp.full_like(strength, self.min_power)))
        made = made - 10 * math.log10(max(abs(self.ref_power), self.min_power))
        return xp.maximum(made, xp.max(made) - self.top_db)

    def compute_output_shape(self, input_shape):
        time = input_shape[-1]
        pieces = None if time is None else time // self.sequence_stride + 1
        return (*input_shape[:-1], self.num_mel_bins, pieces)

    def get_config(self):
        names = ("fft_length", "sequence_stride", "sequence_length", "window", "sampling_rate",
                 "num_mel_bins", "min_freq", "max_freq", "power_to_db", "top_db", "mag_exp",
                 "min_power", "ref_power")  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _mel(frequency):
    return np.float32(1127) * np.log(1 + np.asarray(frequency, np.float32) / 700)


def mel_bands(bands: int, frequencies: int, sampling_rate: float, edges) -> np.ndarray:
    """How much each frequency counts in each band: float32 (frequencies, bands).

    Args:
        bands, frequencies: how many there are; frequencies go from 0, which counts in none, to half
            the sampling rate.
        edges: where the first band begins and the last one ends, in Hertz.
    """
    limits.spend("num_mel_bins", (bands, frequencies))
    at = _mel(np.linspace(0, sampling_rate / 2, frequencies, dtype=np.float32))[:, None]
    low, high = _mel(edges)
    corners = np.linspace(low, high, bands + 2, dtype=np.float32)
    rise = (at - corners[:-2]) / (corners[1:-1] - corners[:-2])
    fall = (corners[2:] - at) / (corners[2:] - corners[1:-1])
    weights = np.maximum(np.minimum(rise, fall), 0)
    weights[0] = 0
    return weights
