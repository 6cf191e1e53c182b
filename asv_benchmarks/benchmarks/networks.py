"""Whole networks, compiled to be trained, and data for them: what `whole_models` measures.

`asv_benchmarks/compare/` has the same in PyTorch, and Keras reads them from files.  Small ones have
all their layers, on small inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import gpulayers as gl
from gpulayers import layers
from gpulayers.examples import digits as digits_example
from gpulayers.layers import Dense, Input

from .libraries import QUICK

CLASSES, WORDS = 10, 1000


def convolution(x, filters, size=1, strides=1, activation="relu", pads=0, **options):
    """A convolution without a bias, its normalization, and an activation."""
    if pads:  # As many in front as behind; "same" has them behind where strides are 2.
        x = layers.ZeroPadding2D(pads)(x)
    padding = "valid" if pads else "same"
    x = layers.Conv2D(filters, size, strides, padding, use_bias=False, **options)(x)
    return activated(layers.BatchNormalization()(x), activation)


def activated(x, activation):
    return x if activation is None else layers.Activation(activation)(x)


def resnet50(size: int = 224, filters: int = 64, stages=(3, 4, 6, 3), classes: int = 1000):
    """Residual learning in 50 layers (He et al., 2015, arXiv:1512.03385), 25.6 million weights."""
    inputs = Input((size, size, 3))
    x = convolution(inputs, filters, 7, 2, pads=3)
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stage, blocks in enumerate(stages):
        own = filters * 2**stage
        for block in range(blocks):
            strides = 2 if stage and not block else 1
            # A block's first has the channels of its end, or the same size, on its way around.
            around = x if block else convolution(x, 4 * own, 1, strides, None)
            x = convolution(convolution(x, own, 1, strides), own, 3)
            x = activated(layers.Add()([around, convolution(x, 4 * own, activation=None)]), "relu")
    return gl.Model(inputs, Dense(classes)(layers.GlobalAveragePooling2D()(x)), name="resnet50")


# (times as many channels inside, filters, blocks, strides of the first)
INVERTED = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(size: int = 224, inverted=INVERTED, end: int = 1280, classes: int = 1000):
    """Inverted residuals (Sandler et al., 2018, arXiv:1801.04381), 3.5 million weights."""
    inputs = Input((size, size, 3))
    x = convolution(inputs, 32, 3, 2, "relu6", pads=1)
    for expansion, filters, blocks, first in inverted:
        for block in range(blocks):
            strides, start, channels = (1 if block else first), x, x.shape[-1]
            if expansion > 1:
                x = convolution(x, expansion * channels, activation="relu6")
            x = each_channel(x, strides)
            x = convolution(x, filters, activation=None)
            if strides == 1 and channels == filters:
                x = layers.Add()([start, x])
    x = layers.GlobalAveragePooling2D()(convolution(x, end, activation="relu6"))
    return gl.Model(inputs, Dense(classes)(x), name="mobilenet_v2")


def each_channel(x, strides):
    """A convolution of each channel by itself."""
    padding = "same"
    if strides == 2:
        x, padding = layers.ZeroPadding2D(1)(x), "valid"
    x = layers.DepthwiseConv2D(3, strides, padding, use_bias=False)(x)
    return activated(layers.BatchNormalization()(x), "relu6")


def unet(size: int = 128, filters: int = 32):
    """A U-Net (Ronneberger et al., 2015, arXiv:1505.04597), normalized; 7.8 million weights."""

    def twice(x, filters):
        return convolution(convolution(x, filters, 3), filters, 3)

    inputs = x = Input((size, size, 3))
    across = []
    for depth in range(4):
        across.append(twice(x, filters * 2**depth))
        x = layers.MaxPooling2D()(across[-1])
    x = twice(x, filters * 16)
    for depth in reversed(range(4)):
        x = layers.Conv2DTranspose(filters * 2**depth, 2, 2)(x)
        x = twice(layers.Concatenate()([across[depth], x]), filters * 2**depth)
    return gl.Model(inputs, layers.Conv2D(1, 1)(x), name="unet")


def transformer(length: int = 128, width: int = 512, depth: int = 6, heads: int = 8):
    """A language model: causal attention, norms in front; no positions; 19.9 million weights."""
    inputs = Input((length,), dtype="int32")
    x = layers.Embedding(WORDS, width)(inputs)
    for _ in range(depth):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(heads, width // heads)(y, y, use_causal_mask=True)
        x = layers.Add()([x, y])
        y = Dense(4 * width, "gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, Dense(width)(y)])
    return gl.Model(inputs, Dense(WORDS)(layers.LayerNormalization()(x)), name="transformer")


def lstm(length: int = 100, features: int = 32, units: int = 128):
    """Two LSTMs over a series, a class at its end; 0.2 million weights."""
    memories = [layers.LSTM(units, return_sequences=True), layers.LSTM(units)]
    return gl.Sequential([Input((length, features)), *memories, Dense(CLASSES)], name="lstm")


def small_lstm(length: int = 24, features: int = 8, units: int = 32):
    """One LSTM over a day's hours, a class at its end; 6 thousand weights."""
    return gl.Sequential(
        [Input((length, features)), layers.LSTM(units), Dense(CLASSES)], name="small_lstm"
    )


def mlp(features: int = 784, units: int = 512):
    """Two hidden layers; 0.7 million weights."""
    hidden = [Dense(units, "relu"), Dense(units, "relu")]
    return gl.Sequential([Input((features,)), *hidden, Dense(CLASSES)], name="mlp")


def classifier():
    """The classifier 64-128-64-10; 17 thousand weights."""
    hidden = [Dense(128, "relu"), Dense(64, "relu")]
    return gl.Sequential([Input((64,)), *hidden, Dense(CLASSES)], name="classifier")


def digits():
    """What `gpulayers.examples.digits` trains; 98 thousand weights."""
    return digits_example.build(steps=1000)


@dataclass(frozen=True)
class Network:
    """How a network is made, and what it is fed with."""

    build: Callable
    batch: int  # of a training step
    small: dict = None  # options that make its inputs small
    pixels: bool = False  # Whether each pixel has a class of its own.

    def make(self, small: bool = QUICK):
        """The compiled model, with weights and statistics that are as if it had been trained."""
        gl.utils.set_random_seed(0)
        model = self.build(**(self.small if small and self.small else {}))
        loss = (
            gl.losses.BinaryCrossentropy if self.pixels else gl.losses.SparseCategoricalCrossentropy
        )
        if not model.compiled:
            model.compile("adam", loss(from_logits=True))
        rng = np.random.default_rng(0)
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                for weight, least in zip(layer.weights, (0.8, -0.1, -0.1, 0.8), strict=True):
                    spread = rng.uniform(least, least + 0.2, weight.shape)
                    weight.assign(spread.astype("float32"))
        return model


NETWORKS = {
    "digits": Network(digits, 32),
    "ResNet-50": Network(resnet50, 8, {"size": 32}),
    "MobileNetV2": Network(mobilenet_v2, 8, {"size": 32}),
    "U-Net": Network(unet, 8, {"size": 32}, pixels=True),
    "transformer": Network(transformer, 8, {"length": 16}),
    "LSTM": Network(lstm, 32, {"length": 10}),
    "small LSTM": Network(small_lstm, 32),
    "MLP": Network(mlp, 64),
    "classifier": Network(classifier, 32),
}


def data(model, rows: int):
    """Inputs and targets of a network, the same ones each time."""
    rng = np.random.default_rng(1)
    shape, last = (rows, *model.input_shape[1:]), model.output_shape
    if len(last) == 3:
        x = rng.integers(0, WORDS, shape).astype("int32")
    else:
        x = rng.normal(size=shape).astype("float32")
    if last[-1] == 1:
        return x, rng.integers(0, 2, (rows, *last[1:])).astype("float32")
    return x, rng.integers(0, last[-1], (rows, *last[1:-1])).astype("int32")
