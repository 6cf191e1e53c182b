"""Activations by themselves: one pass over memory each way, softmax two."""

from __future__ import annotations

from gpulayers.layers import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax

from . import layer
from .libraries import normal


class Activations(layer.LayerBenchmark):
    cases = {
        "gelu": lambda: (Activation("gelu"), normal(256, 1024)),
        "silu": lambda: (Activation("silu"), normal(256, 1024)),
        "ReLU": lambda: (ReLU(), normal(256, 1024)),
        "LeakyReLU": lambda: (LeakyReLU(), normal(256, 1024)),
        "PReLU": lambda: (PReLU(), normal(256, 1024)),
        "ELU": lambda: (ELU(), normal(256, 1024)),
        "Softmax of short rows": lambda: (Softmax(), normal(4096, 64)),
        "Softmax of long rows": lambda: (Softmax(), normal(64, 4096)),
    }
