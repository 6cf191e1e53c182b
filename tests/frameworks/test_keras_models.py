"""Models as people build them in Keras load here, train on alike, and go back."""

from __future__ import annotations

import keras
import numpy as np
from frameworks.both import check_both_ways
from keras import layers

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def test_text_with_masks_and_both_directions(tmp_path):
    x = keras.Input((12,), dtype="int32")
    y = layers.Embedding(30, 8, mask_zero=True)(x)
    y = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(y)
    y = layers.Bidirectional(layers.GRU(5), merge_mode="sum")(y)
    model = keras.Model(x, layers.Dense(3, "softmax")(layers.LayerNormalization()(y)))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    tokens = RNG.integers(1, 30, (6, 12)).astype("int32")
    tokens[:, 7:] *= RNG.integers(0, 2, (6, 1)).astype("int32")
    check_both_ways(model, tokens, tmp_path, 1e-5, RNG.integers(0, 3, 6))


def test_a_small_transformer(tmp_path):
    x = keras.Input((10,), dtype="int32")
    y = layers.Embedding(20, 16)(x)
    for _ in range(2):
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        y = y + layers.MultiHeadAttention(4, 4)(z, z, use_causal_mask=True)
        z = layers.Dense(32, "gelu")(layers.RMSNormalization()(y))
        y = layers.Add()([y, layers.Dense(16)(z)])
    y = layers.GroupQueryAttention(4, 4, 2)(y, y)
    model = keras.Model(x, layers.Dense(20)(y))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(0.01, weight_decay=0.01), loss)
    tokens = RNG.integers(0, 20, (4, 10)).astype("int32")
    check_both_ways(model, tokens, tmp_path, 1e-5, tokens)


def test_a_u_net(tmp_path):
    def twice(y, filters):
        for _ in range(2):
            y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
            y = layers.Activation("relu")(layers.BatchNormalization()(y))
        return y

    x = keras.Input((16, 16, 2))
    fine = twice(x, 4)
    middle = twice(layers.MaxPooling2D()(fine), 8)
    coarse = twice(layers.AveragePooling2D(2)(middle), 8)
    y = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(coarse), middle])
    y = layers.Conv2DTranspose(4, 2, strides=2)(twice(y, 8))
    model = keras.Model(x, layers.Conv2D(1, 1, activation="sigmoid")(twice(y + fine, 4)))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "binary_crossentropy")
    y = RNG.integers(0, 2, (3, 16, 16, 1)).astype("float32")
    check_both_ways(model, floats(3, 16, 16, 2), tmp_path, 1e-5, y)


def test_convolutional_lstm(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4, 8, 8, 2)),
            layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True),
            layers.ConvLSTM2D(3, 3),
            layers.TimeDistributed(layers.Dense(2)),
            layers.GlobalMaxPooling2D(),
        ]
    )
    model.compile("rmsprop", "mse")
    check_both_ways(model, floats(2, 4, 8, 8, 2), tmp_path, 1e-5, floats(2, 2))


def test_tables_of_named_columns(tmp_path):
    columns = {name: keras.Input((1,), name=name) for name in ("age", "income")}
    kind = keras.Input((1,), dtype="int32", name="kind")
    normal = layers.Normalization(mean=[1.0], variance=[4.0])
    parts = [normal(columns["age"]), layers.Rescaling(0.5)(columns["income"])]
    parts.append(layers.CategoryEncoding(4, "one_hot")(kind))
    parts.append(layers.Flatten()(layers.Embedding(4, 3)(kind)))
    y = layers.Dropout(0.0)(layers.Dense(8, "silu")(layers.Concatenate()(parts)))
    outputs = {"price": layers.Dense(1)(y), "sold": layers.Dense(1, "sigmoid")(y)}
    model = keras.Model({**columns, "kind": kind}, outputs)
    model.compile(
        "adam",
        {"price": "mse", "sold": "binary_crossentropy"},
        loss_weights={"price": 0.3, "sold": 1.0},
        metrics={"sold": ["accuracy"]},
    )
    x = {"age": floats(8, 1), "income": floats(8, 1), "kind": RNG.integers(0, 4, (8, 1))}
    y = {"price": floats(8, 1), "sold": RNG.integers(0, 2, (8, 1)).astype("float32")}
    check_both_ways(model, x, tmp_path, 1e-5, y)
