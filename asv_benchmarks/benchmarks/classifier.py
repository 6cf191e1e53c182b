"""The small classifier, 64-128-64-10, that the goals of the README speak of."""

from __future__ import annotations

from functools import cache

import numpy as np

import gpulayers as gl
from gpulayers.layers import Dense, Input


@cache
def data(rows: int):
    """Images (rows, 64) and labels (rows,)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 64)).astype("float32")
    return x, x[:, :10].argmax(axis=1)


@cache
def model() -> gl.Sequential:
    """The classifier, compiled and trained for a moment."""
    gl.utils.set_random_seed(0)
    made = gl.Sequential(
        [Input((64,)), Dense(128, "relu"), Dense(64, "relu"), Dense(10, "softmax")]
    )
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    made.fit(*data(320), verbose=0)
    made(data(1)[0])
    return made


@cache
def weights():
    return model().get_weights()


class OneRow:
    """One row through the model: by hand, by a call, by `predict`."""

    def setup(self):
        model(), data(1), weights()

    def time_by_hand(self):
        a, b, c, d, e, f = weights()
        x = np.maximum(data(1)[0] @ a + b, 0)
        x = np.maximum(x @ c + d, 0)
        return x @ e + f

    def time_call(self):
        return model()(data(1)[0])

    def time_predict(self):
        return model().predict(data(1)[0], verbose=0)


class Training:
    """A step of Adam at batch 32, and an epoch of a hundred."""

    def setup(self):
        model(), data(32), data(3200)

    def time_step(self):
        return model().train_step(data(32))

    def time_epoch(self):
        return model().fit(*data(3200), verbose=0)
