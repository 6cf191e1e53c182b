"""Attention layers, of sizes that networks for text have, and a step of generation."""

from __future__ import annotations

import numpy as np

import gpulayers as gl
from gpulayers import layers
from gpulayers.arrays import Tape
from gpulayers.ops.attention import attention

from . import layer
from .libraries import LIBRARIES, QUICK, finish, normal, peak, to_library


def to_itself(made):
    """A layer that attends from one array to the same one, each position to those before it."""
    inputs = gl.Input((256, 256))
    model = gl.Model(inputs, made(inputs, inputs, use_causal_mask=True))
    return model, normal(4, 256, 256)


class Attention(layer.LayerBenchmark):
    cases = {
        "MultiHeadAttention": lambda: to_itself(layers.MultiHeadAttention(4, 64)),
        "GroupQueryAttention": lambda: to_itself(layers.GroupQueryAttention(64, 4, 2)),
        "Attention": lambda: (layers.Attention(), [normal(8, 256, 64), normal(8, 256, 64)]),
        "AdditiveAttention": lambda: (
            layers.AdditiveAttention(),
            [normal(8, 64, 64), normal(8, 64, 64)],
        ),
        "PositionEmbedding": lambda: (layers.PositionEmbedding(256), normal(4, 256, 256)),
    }


class Operation:
    """Attention alone: (batch, length, heads, size), causal or not."""

    SHAPES = ((4, 512, 8, 64), (32, 64, 8, 32), (1, 4096, 4, 64))
    params = (LIBRARIES, SHAPES[1:2] if QUICK else SHAPES, (False, True))
    param_names = ("library", "shape", "causal")

    def setup(self, library, shape, causal):
        self.arrays = to_library(library, *[normal(*shape)] * 3)

    def time_forward(self, library, shape, causal):
        attention(*self.arrays, causal=causal)
        finish(library)

    def time_training_step(self, library, shape, causal):
        with Tape([]) as tape:
            watched = [tape.watch(x) for x in self.arrays]
            out = attention(*watched, causal=causal)
        tape.gradient(out, watched)
        finish(library)

    def track_peak_of_training(self, library, shape, causal):
        return peak(library, lambda: self.time_training_step(library, shape, causal))

    track_peak_of_training.unit = "bytes"


class OneQuery:
    """What a step of generation asks of attention: one query of each sample, and a long cache."""

    params = (LIBRARIES, (1, 8), (8, 2))
    param_names = ("library", "batch", "heads of keys")

    def setup(self, library, batch, heads):
        shapes = (batch, 1, 8, 64), (batch, 2048, heads, 64), (batch, 2048, heads, 64)
        self.arrays = to_library(library, *[normal(*shape) for shape in shapes])
        self.lengths = to_library(library, np.full(batch, 2048))[0]

    def time_forward(self, library, batch, heads):
        attention(*self.arrays, None, None, self.lengths)
        finish(library)


class Generation:
    """A step of a layer with a cache that holds 1,000 positions."""

    params = (LIBRARIES,)
    param_names = ("library",)

    def setup(self, library):
        self.layer = layers.GroupQueryAttention(64, 8, 2)
        prompt, self.x = to_library(library, normal(4, 1000, 256), normal(4, 1, 256))
        self.cache = layers.KeyValueCache(1001)
        self.layer(prompt, prompt, use_causal_mask=True, cache=self.cache)

    def time_step(self, library):
        self.layer(self.x, self.x, use_causal_mask=True, cache=self.cache)
        self.cache.truncate(1000)
        finish(library)
