"""SavedModels of TensorFlow as layers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import gpulayers as gl
from gpulayers import layers, saving

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(tf.ones((4, 3)))

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")])
    def serve(self, x):
        return tf.matmul(x, self.kernel)

    @tf.function(input_signature=[[tf.TensorSpec((None, 4), tf.float32)] * 2])
    def both(self, pair):
        return {"sum": pair[0] + pair[1], "first": pair[0]}


@pytest.fixture
def folder(tmp_path):
    module = Module()
    signatures = {"named": module.serve.get_concrete_function()}
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=signatures)
    return tmp_path / "saved"


def test_values(folder):
    layer = layers.TFSMLayer(folder)
    np.testing.assert_allclose(layer(X), X @ np.ones((4, 3)), rtol=1e-5)
    named = layers.TFSMLayer(folder, call_endpoint="named")
    np.testing.assert_array_equal(named(X), layer(X))
    np.testing.assert_array_equal(named({"x": X}), layer(X))
    pair = layers.TFSMLayer(folder, "both")([X, -X])
    np.testing.assert_array_equal(pair["sum"], np.zeros_like(X))


def test_in_a_model(folder, tmp_path):
    model = gl.Sequential([gl.Input((4,)), layers.TFSMLayer(folder), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert len(model.weights) == 2
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="names a SavedModel.*safe_mode=False"):
        saving.load_model(tmp_path / "m.keras")
    again = saving.load_model(tmp_path / "m.keras", safe_mode=False)
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_another_function_in_training(folder):
    layer = layers.TFSMLayer(folder, "serve", call_training_endpoint="named")
    np.testing.assert_array_equal(layer(X, training=True), layer(X))


def test_functions_that_are_not_there(folder):
    with pytest.raises(ValueError, match="has no function and no signature 'other'.*named"):
        layers.TFSMLayer(folder, "other")
    with pytest.raises(ValueError, match="the signature takes x, got 2 arrays"):
        layers.TFSMLayer(folder, "named")([X, X])
