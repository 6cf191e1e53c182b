"""Dense layers, of the sizes of a small and of a large network; tables of vectors; small ones."""

from __future__ import annotations

from gpulayers.layers import (
    Dense,
    EinsumDense,
    Embedding,
    Identity,
    Lambda,
    Masking,
    ReversibleEmbedding,
)

from . import layer
from .libraries import integers, normal


class Products(layer.LayerBenchmark):
    """Those of `EinsumDense` are attention's: features into heads, and back."""

    cases = {
        "Dense, 32 to 64": lambda: (Dense(64, "relu"), normal(32, 32)),
        "Dense, 1024 to 1024": lambda: (Dense(1024, "gelu"), normal(256, 1024)),
        "EinsumDense into heads": lambda: (
            EinsumDense("btd,dhk->bthk", (None, 8, 32), bias_axes="hk"),
            normal(16, 64, 256),
        ),
        "EinsumDense out of heads": lambda: (
            EinsumDense("bthk,hkd->btd", (None, 256), bias_axes="d"),
            normal(16, 64, 8, 32),
        ),
    }


class Tables(layer.LayerBenchmark):
    """Rows by their numbers, and gradients added into rows; of 64, each is met many times."""

    cases = {
        "Embedding of 10,000": lambda: (Embedding(10_000, 128), integers(10_000, 32, 100)),
        "Embedding of 64": lambda: (Embedding(64, 32), integers(64, 32, 1000)),
        "ReversibleEmbedding of 10,000": lambda: (
            ReversibleEmbedding(10_000, 128),
            integers(10_000, 32, 100),
        ),
    }


class Small(layer.LayerBenchmark):
    """What calls cost that compute little."""

    cases = {
        "Identity": lambda: (Identity(), normal(32, 100, 64)),
        "Lambda": lambda: (Lambda(lambda x: x + 1), normal(32, 100, 64)),
        "Masking": lambda: (Masking(), normal(32, 100, 64)),
    }
