"""Noise in training: dropout makes a mask, and makes it again for the gradient."""

from __future__ import annotations

from gpulayers.layers import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout2D,
)

from . import layer
from .libraries import normal


class Noise(layer.LayerBenchmark):
    cases = {
        "Dropout": lambda: (Dropout(0.1), normal(256, 1024)),
        "AlphaDropout": lambda: (AlphaDropout(0.1), normal(256, 1024)),
        "GaussianDropout": lambda: (GaussianDropout(0.1), normal(256, 1024)),
        "GaussianNoise": lambda: (GaussianNoise(0.1), normal(256, 1024)),
        "SpatialDropout2D": lambda: (SpatialDropout2D(0.1), normal(8, 56, 56, 64)),
    }


class Penalties(layer.LayerBenchmark):
    cases = {"ActivityRegularization": lambda: (ActivityRegularization(l2=0.1), normal(256, 1024))}
