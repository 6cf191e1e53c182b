"""Models for the `.h5` files in `legacy`: the same lines for Keras 2, Keras 3 and us."""

from __future__ import annotations

import numpy as np

MODELS = {}


def model(make):
    MODELS[make.__name__] = make
    return make


@model
def pictures(keras):
    layers = keras.layers
    made = keras.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 3), kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(5, 3, padding="same"),
            layers.LeakyReLU(0.1),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        name="pictures",
    )
    made.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return made


@model
def shared(keras):
    layers = keras.layers
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    both, x = layers.Dense(4, name="both"), keras.Input((4,), name="x")
    encoder = keras.Model(x, layers.Dense(4, activation="tanh", name="inner")(x), name="encoder")
    y = layers.Concatenate()([encoder(layers.Add()([both(a), both(b)])), a])
    ends = [layers.Dense(2, name="u")(y), layers.Dense(1, activation="sigmoid", name="v")(y)]
    made = keras.Model([a, b], ends, name="shared")
    sgd = keras.optimizers.SGD(0.01, momentum=0.9)
    made.compile(sgd, ["mse", keras.losses.BinaryCrossentropy()], loss_weights=[1.0, 0.5])
    return made


@model
def tokens(keras):
    layers = keras.layers
    x = keras.Input((6,), dtype="int32", name="tokens")
    y = layers.Embedding(10, 4, mask_zero=True)(x)
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(y)
    y = layers.LayerNormalization()(layers.GRU(4)(y))
    made = keras.Model(x, layers.Dense(1)(y), name="tokens")
    made.compile("rmsprop", "mse")
    return made


@model
def attention(keras):
    layers = keras.layers
    x = keras.Input((5, 8), name="x")
    y = layers.Add()([layers.MultiHeadAttention(2, 4, name="heads")(x, x), x])
    y = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(y))
    return keras.Model(x, layers.Dense(2)(y), name="attention")


def data(name: str):
    """(inputs, targets or None) of a model."""
    wave = np.sin(np.arange(4 * 8 * 8 * 3, dtype="float32"))
    if name == "pictures":
        return wave.reshape(4, 8, 8, 3), np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    if name == "shared":
        x = wave[:32].reshape(2, 4, 4)
        return [x[0], x[1]], [wave[:8].reshape(4, 2), np.asarray([[0], [1], [1], [0]], "float32")]
    if name == "tokens":
        return np.asarray([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 9]], "int32"), wave[:2, None]
    return wave[:120].reshape(3, 5, 8), None


def outputs(made, name: str) -> list:
    """What a model gives for its inputs."""
    found = made.predict(data(name)[0], verbose=0)
    return found if isinstance(found, list) else [found]


def step(made, name: str) -> float:
    """The loss of one step of training."""
    return float(np.atleast_1d(made.train_on_batch(*data(name)))[0])
