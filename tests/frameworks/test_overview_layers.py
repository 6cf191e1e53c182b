"""What people paste from overviews of Keras's layers of other frameworks, with the real ones."""

from __future__ import annotations

import numpy as np
import pytest

import gpulayers
from gpulayers.layers import Dense, FlaxLayer, Input, JaxLayer, Lambda, TorchModuleWrapper
from gpulayers.models import Sequential, load_model

X = np.random.default_rng(1).normal(size=(32, 10)).astype("float32")
Y = np.random.default_rng(2).integers(0, 10, size=(32,))


def check_training(model, weights):
    """It gives probabilities, and learns."""
    y = model.predict(X, verbose=0)
    assert y.shape == (32, 10)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)
    assert len(model.trainable_weights) == weights
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    losses = model.fit(X, Y, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_a_module_of_torch():
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class MyTorchModel(nn.Module):
        def __init__(self):
            super(MyTorchModel, self).__init__()  # noqa: UP008 - as the overview writes it.
            self.dense = nn.Linear(10, 5)

        def forward(self, x):
            return self.dense(x)

    pytorch_model = MyTorchModel()
    before = pytorch_model.dense.weight.detach().numpy().copy()
    model = Sequential([TorchModuleWrapper(pytorch_model), Dense(10, activation="softmax")])
    np.testing.assert_allclose(
        model.layers[0](X), pytorch_model(torch.from_numpy(X)).detach(), rtol=1e-5, atol=1e-6
    )
    check_training(model, 4)
    assert not np.array_equal(model.layers[0].get_weights()[0], before)


def test_a_function_of_jax():
    jnp = pytest.importorskip("jax.numpy")

    def jax_function(x):
        return jnp.sin(x)

    model = Sequential([Lambda(lambda x: jax_function(x)), Dense(10, activation="softmax")])
    check_training(model, 2)
    np.testing.assert_allclose(model.layers[0](X), np.sin(X), rtol=1e-5)
    layer = JaxLayer(lambda params, inputs: jnp.sin(inputs) * params, params=np.float32(2))
    check_training(Sequential([Input((10,)), layer, Dense(10, activation="softmax")]), 3)


def test_a_module_of_flax():
    nn = pytest.importorskip("flax.linen")

    class MyFlaxModel(nn.Module):
        @nn.compact  # The overview forgets it.
        def __call__(self, x):
            return nn.Dense(10)(x)

    flax_model = MyFlaxModel()
    model = Sequential([FlaxLayer(flax_model), Dense(10, activation="softmax")])
    check_training(model, 4)
    written = Sequential([Lambda(lambda x: flax_model(x)), Dense(10, activation="softmax")])
    with pytest.raises(
        Exception, match="(?i)unbound|init.*apply"
    ):  # Flax's own: it has no weights.
        written(X)


def test_a_saved_model(tmp_path):
    """`load_model` of such a folder fails in Keras 3 too; the message says what to do."""
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(
        ValueError, match=r"saved_model: it is a SavedModel of TensorFlow.*TFSMLayer"
    ):
        load_model(tmp_path / "saved_model")
    assert gpulayers.layers.TFSMLayer
