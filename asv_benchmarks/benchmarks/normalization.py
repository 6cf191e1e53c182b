"""Normalization of features, of channels over a batch, and of weights."""

from __future__ import annotations

from gpulayers.layers import (
    BatchNormalization,
    Dense,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)

from . import layer
from .libraries import normal


class Normalizations(layer.LayerBenchmark):
    cases = {
        "layer": lambda: (LayerNormalization(), normal(1024, 256)),
        "root mean square": lambda: (RMSNormalization(), normal(1024, 256)),
        "unit": lambda: (UnitNormalization(), normal(1024, 256)),
        "batch": lambda: (BatchNormalization(), normal(16, 28, 28, 32)),
        "groups": lambda: (GroupNormalization(8), normal(16, 28, 28, 32)),
        "spectral": lambda: (SpectralNormalization(Dense(256)), normal(1024, 256)),
    }
