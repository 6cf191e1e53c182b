"""Self-attention on the GPU projects its input by one product."""

from __future__ import annotations

from functools import wraps

import numpy as np
import pytest

from gpulayers import config, layers, ops
from gpulayers.arrays import Tape, plain

X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
LAYERS = {
    "MultiHeadAttention": lambda **o: layers.MultiHeadAttention(2, 4, value_dim=3, **o),
    "GroupQueryAttention": lambda **o: layers.GroupQueryAttention(4, 4, 2, **o),
}


def outputs_and_gradients(layer, x):
    with Tape() as tape:
        x = tape.watch(x)
        y = layer(x, x, use_causal_mask=True)
        loss = ops.sum(y * y)
    return [plain(y), *tape.gradient(loss, [x, *layer.trainable_weights])]


@pytest.fixture
def projected(monkeypatch):
    """The projections that were called by themselves."""
    found, call = [], layers.EinsumDense.call

    @wraps(call)
    def noted(layer, *args, **options):
        found.append(layer)
        return call(layer, *args, **options)

    monkeypatch.setattr(layers.EinsumDense, "call", noted)
    return found


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_the_same_as_on_the_cpu(cupy, name, use_bias, projected):
    config.set_device("cpu")
    layer = LAYERS[name](use_bias=use_bias)
    expected = outputs_and_gradients(layer, X)
    weights = layer.get_weights()
    config.set_device("gpu")
    layer = LAYERS[name](use_bias=use_bias)
    layer(cupy.asarray(X), cupy.asarray(X))
    layer.set_weights(weights)
    projected.clear()
    found = outputs_and_gradients(layer, cupy.asarray(X))
    assert len(projected) == 1  # That of the outputs: the other three are one.
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(cupy.asnumpy(a), b, rtol=1e-4, atol=1e-5)


def test_layers_whose_projections_are_no_plain_products(cupy, projected):
    config.set_device("gpu")
    layer = layers.MultiHeadAttention(2, 4)
    x = cupy.asarray(X)
    layer(x, x)
    layer.query_dense.enable_lora(2)
    projected.clear()
    layer(x, x)
    layer(x, cupy.asarray(X))
    assert len(projected) == 8


def test_a_projection_has_its_bias_in_the_product(cupy, launched, same_products):
    """One launch there; back one for the bias, with what adds its sums, and two products."""
    config.set_device("gpu")
    x = cupy.asarray(np.ones((2, 5, 2, 4), "float32"))
    layer = layers.EinsumDense("abcd,cde->abe", (None, 6), bias_axes="e", activation="gelu")
    layer(x)
    launched.clear()
    with Tape() as tape:
        given = tape.watch(x)
        y = layer(given)
    assert launched == ["gemm"]
    launched.clear()
    tape.gradient(y, [given, *layer.trainable_weights])
    assert launched == ["bias_activation_backward", "partial_sums", "gemm", "gemm"]
