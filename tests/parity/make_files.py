"""Lets real Keras 3.15 write small `.keras` files, and what its models give, for tests/saving.

    pip install keras==3.15.1 torch
    PYTHONPATH=tests python -m parity.make_files

For each file, `expected.json` has the outputs for `inputs(model)` and, if the model is compiled,
the losses of three more epochs of training.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import layers, optimizers
from saving.data import inputs, leaves, targets, train

FILES = Path(__file__).parent.parent / "saving" / "files"
FILES_OF: dict[str, callable] = {}


def file(make):
    FILES_OF[make.__name__] = make
    return make


@file
def sequential():
    rate = optimizers.schedules.ExponentialDecay(0.01, 5, 0.9)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, "relu", kernel_regularizer="l2", bias_initializer="ones"),
            layers.Dropout(0.0),
            layers.Dense(2, activation=layers.LeakyReLU(0.1), kernel_constraint="max_norm"),
        ]
    )
    model.compile(optimizers.Adam(rate, use_ema=True), "mse", metrics=["mae"])
    return model


@file
def graph():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(4, name="shared")
    x = shared(a) * 2 + shared(b) / 3
    part = keras.Input((4,))
    encoder = keras.Model(part, layers.Dense(4, "tanh")(part), name="encoder")
    y = keras.Sequential([layers.Dense(3), layers.Dense(2)], name="head")(encoder(encoder(x)))
    z = layers.Concatenate()([y, keras.ops.relu(x), layers.Add()([a, b])])
    z = z[:, 1:3] - keras.ops.mean(x, axis=-1, keepdims=True)
    model = keras.Model({"a": a, "b": b}, {"u": z, "v": y, "w": encoder(b)})
    model.compile(
        optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        {"u": "mse", "v": keras.losses.LogCosh()},
        metrics={"u": ["mae"]},
        loss_weights={"u": 0.5, "v": 2.0},
    )
    return model


@keras.saving.register_keras_serializable("tests", "Blocks")
class Blocks(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self._last = layers.Dense(1)
        self.first = layers.Dense(units)
        self.blocks = [layers.Dense(2), layers.Dense(2)]
        self.named = {"x": layers.Dense(2), "y": [layers.Dense(2)]}

    def call(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self._last(self.named["y"][0](self.named["x"](x)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@file
def subclassed():
    model = Blocks(5)
    model.compile("rmsprop", "mse", metrics=["mae"])
    return model


@file
def tokens():
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(7, 3),
            layers.EinsumDense("abc,cd->abd", (4, 5), bias_axes="d", activation="gelu"),
            layers.PReLU(shared_axes=[1]),
            layers.Permute((2, 1)),
            layers.Flatten(),
            layers.Dense(2, "softmax", dtype="float64"),
        ]
    )
    model.compile(
        optimizers.LossScaleOptimizer(optimizers.AdamW(0.01), initial_scale=8.0),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        weighted_metrics=["accuracy"],
    )
    return model


@file
def short_floats():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype="bfloat16")])
    return model


@file
def functions():
    x = keras.Input((4,))
    ops = keras.ops
    y = ops.reshape(x, (-1, 2, 2))
    y = ops.concatenate([ops.transpose(y, (0, 2, 1)), -y], axis=1)
    y = ops.softmax(ops.sum(y, axis=1) ** 2, axis=-1)
    y = ops.where(y > 0.5, y, ops.maximum(y, 0.25))
    y = ops.cast(ops.clip(y, 0.1, 0.9), "float64")
    return keras.Model(x, [ops.expand_dims(y, 1), ops.argmax(y, axis=-1), 1 - x[..., None]])


@file
def code():
    return keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2)])


def main():
    FILES.mkdir(exist_ok=True)
    expected = {}
    for name, make in FILES_OF.items():
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        model = make()
        x = inputs(name)
        model.predict(x, verbose=0)
        if model.compiled:
            model.fit(x, targets(name), verbose=0)
        model.save(FILES / f"{name}.keras")
        outputs = [np.asarray(y, "float64").tolist() for y in leaves(model.predict(x, verbose=0))]
        losses = train(model, name) if model.compiled else None
        expected[name] = {"outputs": outputs, "losses": losses}
        print(name, (FILES / f"{name}.keras").stat().st_size)
    (FILES / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main()
