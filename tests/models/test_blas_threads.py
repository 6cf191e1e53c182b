"""OpenBLAS has as many threads as the user set, between our calls and after them."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers

pools = pytest.importorskip("threadpoolctl")
pytestmark = pytest.mark.usefixtures("loops")
RNG = np.random.default_rng(0)


def counts():
    """The threads of NumPy's BLAS; libraries that come later may bring others."""
    return {p["num_threads"] for p in pools.threadpool_info() if "numpy" in p["filepath"]}


class Seen(gl.callbacks.Callback):
    """What callbacks see after each batch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(counts())

    on_predict_batch_end = on_train_batch_end


class Failing(layers.Layer):
    """A layer that fails when it is told to."""

    fails = False

    def call(self, x):
        if self.fails:
            raise RuntimeError("as it was told to")
        return x


@pytest.fixture(scope="module")
def model():
    """Convolutions, products, attention and steps, some of them large enough for threads."""
    image = layers.Input((12, 12, 8))
    x = layers.Conv2D(64, 3, activation="relu")(image)
    x = layers.DepthwiseConv2D(3)(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D()(x)
    x = layers.Reshape((16, 64))(x)
    x = layers.MultiHeadAttention(2, 32)(x, x)
    x = layers.LSTM(64)(layers.LayerNormalization()(x))
    made = gl.Model(image, layers.Dense(3)(Failing()(layers.Dense(400, "relu")(x))))
    made.compile("adam", gl.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_number_stays(model, number):
    x, y = RNG.normal(size=(64, 12, 12, 8)).astype("float32"), RNG.integers(0, 3, 64)
    failing = next(layer for layer in model.layers if isinstance(layer, Failing))
    with pools.threadpool_limits(number, user_api="blas"):
        expected = counts()
        assert expected <= {number}
        seen = Seen()
        model.fit(x, y, batch_size=32, epochs=2, verbose=0, callbacks=[seen])
        assert counts() == expected
        model.train_on_batch(x, y)
        model.evaluate(x, y, verbose=0)
        model.predict(x, batch_size=32, verbose=0, callbacks=[seen])
        model.predict(x[:1], verbose=0)
        model(x[:1])
        assert counts() == expected
        failing.fails = True
        try:
            with pytest.raises(RuntimeError, match="as it was told"):
                model.train_on_batch(x, y)
        finally:
            failing.fails = False
        assert counts() == expected
        assert len(seen.found) == 6
        assert all(found == expected for found in seen.found)
