"""Self-attention on the GPU projects its input by one product."""

from __future__ import annotations

import numpy as np
import pytest

from gpulayers import config, layers, ops
from gpulayers.arrays import Tape, plain
from gpulayers.layers import einsum_dense

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


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_the_same_as_on_the_cpu(cupy, name, use_bias, monkeypatch):
    config.set_device("cpu")
    layer = LAYERS[name](use_bias=use_bias)
    expected = outputs_and_gradients(layer, X)
    weights = layer.get_weights()
    config.set_device("gpu")
    layer = LAYERS[name](use_bias=use_bias)
    layer(cupy.asarray(X), cupy.asarray(X))
    layer.set_weights(weights)
    products = []
    einsum = einsum_dense.einsum
    monkeypatch.setattr(einsum_dense, "einsum", lambda *a: products.append(a) or einsum(*a))
    found = outputs_and_gradients(layer, cupy.asarray(X))
    assert len(products) == 1  # That of the outputs: the other three are one.
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(cupy.asnumpy(a), b, rtol=1e-4, atol=1e-5)


def test_layers_whose_projections_are_no_plain_products(cupy, monkeypatch):
    config.set_device("gpu")
    layer = layers.MultiHeadAttention(2, 4)
    x = cupy.asarray(X)
    layer(x, x)
    layer.query_dense.enable_lora(2)
    products = []
    einsum = einsum_dense.einsum
    monkeypatch.setattr(einsum_dense, "einsum", lambda *a: products.append(a) or einsum(*a))
    layer(x, x)
    layer(x, cupy.asarray(X))
    assert len(products) == 8
