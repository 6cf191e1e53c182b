"""Models that the tests of files save."""

from __future__ import annotations

import numpy as np

import gpulayers
from gpulayers import layers, losses, models, optimizers, saving

X = np.sin(np.arange(40, dtype="float32")).reshape(10, 4)
Y = np.cos(np.arange(20, dtype="float32")).reshape(10, 2)


@saving.register_keras_serializable("tests", "Blocks")
class Blocks(models.Model):
    """Layers in attributes, private ones, lists and dictionaries."""

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


@saving.register_keras_serializable("tests")
def halved(x):
    return x / 2


@saving.register_keras_serializable("tests")
class Scale(layers.Layer):
    """A layer with a weight of its own, and without a get_config."""

    def __init__(self, start=2.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "random_normal", name="scale")
        self.offset = self.add_weight((), "ones", trainable=False, name="offset")

    def call(self, x):
        return x * self.scale * self.start + self.offset


def sequential():
    return models.Sequential(
        [gpulayers.Input((4,)), layers.Dense(3, "tanh"), Scale(3.0), layers.Dense(2, halved)]
    )


def graph():
    a, b = gpulayers.Input((4,), name="a"), gpulayers.Input((4,), name="b")
    shared = layers.Dense(4, name="shared")
    encoder = models.Model(a, layers.Dense(4, "tanh")(shared(a)), name="encoder")
    x = encoder(a) * 2 + shared(b) / 3 - 1
    y = models.Sequential([layers.Dense(3), layers.Dense(2)], name="head")(encoder(x))
    z = layers.Concatenate()([y, gpulayers.ops.relu(x)])[:, 1:3]
    return models.Model({"a": a, "b": b}, [z, {"y": y}])


def blocks():
    model = Blocks(5)
    model(X)
    return model


def compiled(seed=1):
    """A model without random layers, so that a file holds all its state."""
    gpulayers.utils.set_random_seed(seed)
    model = sequential()
    rate = optimizers.schedules.ExponentialDecay(0.01, 5, 0.9)
    model.compile(
        optimizers.Adam(rate, clipnorm=1.0),
        losses.LogCosh(name="log"),
        metrics=["mae", gpulayers.metrics.MeanSquaredError(name="squares")],
    )
    return model


def fit(model, epochs, start=0):
    history = model.fit(
        X, Y, batch_size=3, epochs=epochs, initial_epoch=start, shuffle=False, verbose=0
    )
    return history.history


def same(one, other):
    """Assert that two structures of arrays are equal."""
    one, other = gpulayers.tree.flatten(one), gpulayers.tree.flatten(other)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
