"""Spectra of sounds: 8 of a second, at 16,000 samples each."""

from __future__ import annotations

from gpulayers.layers import MelSpectrogram, STFTSpectrogram

from . import layer
from .libraries import normal


class Short(layer.LayerBenchmark):
    def make(self):
        return STFTSpectrogram(frame_length=512, frame_step=256), normal(8, 16_000, 1)


class Mel(layer.LayerBenchmark):
    def make(self):
        return MelSpectrogram(num_mel_bins=80), normal(8, 16_000)
