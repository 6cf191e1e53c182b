"""Recurrent layers, of sizes that networks for series and texts have."""

from __future__ import annotations

from gpulayers.layers import GRU, LSTM, RNN, Bidirectional, ConvLSTM2D, GRUCell, Layer, SimpleRNN

from . import layer
from .libraries import normal


class OneSequence(layer.LayerBenchmark):
    """Of 32 units: what a step costs beside the arithmetic."""

    def make(self):
        return LSTM(32, return_sequences=True), normal(1, 100, 32)


class Long(layer.LayerBenchmark):
    """Of ten thousand steps, a hundred times those of `OneSequence`."""

    def make(self):
        return LSTM(32), normal(1, 10_000, 32)


class LstmOf128(layer.LayerBenchmark):
    def make(self):
        return LSTM(128, return_sequences=True), normal(32, 100, 128)


class LstmOf512(layer.LayerBenchmark):
    def make(self):
        return LSTM(512), normal(32, 100, 512)


class GruOf128(layer.LayerBenchmark):
    def make(self):
        return GRU(128, return_sequences=True), normal(32, 100, 128)


class GruBefore(layer.LayerBenchmark):
    """The reset gate before the product."""

    def make(self):
        return GRU(128, reset_after=False), normal(32, 100, 128)


class Simple(layer.LayerBenchmark):
    def make(self):
        return SimpleRNN(128), normal(32, 100, 128)


class BothWays(layer.LayerBenchmark):
    def make(self):
        return Bidirectional(LSTM(64, return_sequences=True)), normal(32, 100, 64)


class Stacked(layer.LayerBenchmark):
    def make(self):
        return RNN([GRUCell(64), GRUCell(64)]), normal(32, 100, 64)


class Leaky(Layer):
    """A user's own cell."""

    state_size = 64

    def build(self, shape):
        self.kernel = self.add_weight((shape[-1], 64))

    def call(self, inputs, states):
        new = 0.9 * states[0] + 0.1 * (inputs @ self.kernel)
        return new, [new]


class OwnCell(layer.LayerBenchmark):
    def make(self):
        return RNN(Leaky()), normal(32, 100, 64)


class Films(layer.LayerBenchmark):
    def make(self):
        return ConvLSTM2D(16, 3, padding="same"), normal(8, 10, 32, 32, 3)
