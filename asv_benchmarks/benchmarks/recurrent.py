"""Recurrent layers, of sizes that networks for series and texts have."""

from __future__ import annotations

from gpulayers.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    ConvLSTM2D,
    Dense,
    GRUCell,
    Layer,
    SimpleRNN,
    StackedRNNCells,
    TimeDistributed,
)

from . import layer
from .libraries import normal

EACH = {"return_sequences": True}


class Leaky(Layer):
    """A user's own cell."""

    state_size = 64

    def build(self, shape):
        self.kernel = self.add_weight((shape[-1], 64))

    def call(self, inputs, states):
        new = 0.9 * states[0] + 0.1 * (inputs @ self.kernel)
        return new, [new]


class Recurrent(layer.LayerBenchmark):
    """One sequence shows what a step costs beside the arithmetic; the long one has 100 times as
    many steps; "reset before" is a GRU with its reset gate before the product."""

    cases = {
        "LSTM of one sequence": lambda: (LSTM(32, **EACH), normal(1, 100, 32)),
        "LSTM of one long sequence": lambda: (LSTM(32), normal(1, 10_000, 32)),
        "LSTM of 128": lambda: (LSTM(128, **EACH), normal(32, 100, 128)),
        "LSTM of 512": lambda: (LSTM(512), normal(32, 100, 512)),
        "GRU of 128": lambda: (GRU(128, **EACH), normal(32, 100, 128)),
        "GRU, reset before": lambda: (GRU(128, reset_after=False), normal(32, 100, 128)),
        "SimpleRNN": lambda: (SimpleRNN(128), normal(32, 100, 128)),
        "both ways": lambda: (Bidirectional(LSTM(64, **EACH)), normal(32, 100, 64)),
        "stacked cells": lambda: (
            RNN(StackedRNNCells([GRUCell(64), GRUCell(64)])),
            normal(32, 100, 64),
        ),
        "own cell": lambda: (RNN(Leaky()), normal(32, 100, 64)),
        "ConvLSTM2D": lambda: (ConvLSTM2D(16, 3, padding="same"), normal(8, 10, 32, 32, 3)),
        "TimeDistributed": lambda: (TimeDistributed(Dense(64)), normal(32, 100, 64)),
    }
