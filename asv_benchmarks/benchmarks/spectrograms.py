"""Spectra of sounds: 8 of a second, at 16,000 samples each."""

from __future__ import annotations

from gpulayers.layers import MelSpectrogram, STFTSpectrogram

from . import layer
from .libraries import normal


class Spectrograms(layer.LayerBenchmark):
    cases = {
        "STFTSpectrogram": lambda: (
            STFTSpectrogram(frame_length=512, frame_step=256),
            normal(8, 16_000, 1),
        ),
        "MelSpectrogram": lambda: (MelSpectrogram(num_mel_bins=80), normal(8, 16_000)),
    }
