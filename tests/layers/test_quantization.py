"""Quantized layers against the same layers of floats, and what they keep."""

import numpy as np
import pytest

from gpulayers import config, dtype_policies, initializers, layers, models, optimizers, quantizers
from gpulayers.arrays import Tape, dtypes, infer, Abstract
from gpulayers.saving import load_model

RNG = np.random.default_rng(3)
MODES = {  # The options, and the error that they allow, in parts of the largest result.
    "int8": ({"mode": "int8"}, 0.02),
    "int8 weights": ({"config": quantizers.Int8QuantizationConfig(None, None)}, 0.02),
    "int4": ({"mode": "int4"}, 0.2),
    "int4 blocks": ({"config": quantizers.Int4QuantizationConfig(block_size=4)}, 0.15),
    "int4 outputs": ({"config": quantizers.Int4QuantizationConfig(block_size=None)}, 0.2),
}
PRODUCTS = [
    (lambda **o: layers.Dense(7, activation="tanh", bias_initializer="normal", **o), (5, 10)),
    (lambda **o: layers.EinsumDense("abc,cde->abde", (4, 3, 5), bias_axes="e", **o), (2, 4, 6)),
    (lambda **o: layers.EinsumDense("btnh,nhd->btd", (4, 7), **o), (2, 4, 3, 6)),
    (lambda **o: layers.EinsumDense("...x,xy->...y", 9, **o), (2, 3, 4, 8)),
    (lambda **o: layers.EinsumDense("ab...,bc->ac...", 5, **o), (2, 6, 3)),
    (lambda **o: layers.EinsumDense("abc,cd->adb", (5, 4), **o), (2, 4, 6)),
    (lambda **o: layers.EinsumDense("abc,dbc->ad", 5, **o), (2, 4, 3)),
]
TABLES = [
    layers.Embedding,
    layers.ReversibleEmbedding,
    lambda *a, **o: layers.ReversibleEmbedding(*a, tie_weights=False, **o),
]


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def built(make, shape, **options):
    layer = make(**options)
    layer.build((None, *shape[1:]))
    return layer


def values(store):
    return {key: np.asarray(value) for key, value in store.items()}


def saved(layer):
    store = {}
    layer.save_own_variables(store)
    return values(store)


def restored(layer, shape):
    """A layer from the config and the saved weights of another."""
    again = type(layer).from_config(layer.get_config())
    again.build(shape)
    again.load_own_variables(saved(layer))
    return again


def close(found, expected, error):
    assert np.abs(found - expected).max() <= error * np.abs(expected).max()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("make", "shape"), PRODUCTS)
def test_products(make, shape, mode):
    layer, x = built(make, shape), floats(*shape)
    expected = layer(x)
    options, error = MODES[mode]
    layer.quantize(**options)
    found = layer(x)
    assert found.dtype == "float32"
    close(found, expected, error)
    assert dtypes.name(layer._kernel.dtype) == "int8"
    assert [v.name for v in layer.trainable_weights] == ["bias"] * (layer.bias is not None)
    np.testing.assert_allclose(restored(layer, (None, *shape[1:]))(x), found, atol=1e-6)
    assert infer(layer, Abstract(shape, "float32")).shape == found.shape


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", TABLES)
def test_tables(make, mode):
    layer, x, back = make(11, 9), RNG.integers(-11, 11, (3, 4)), floats(3, 9)
    reversible = isinstance(layer, layers.ReversibleEmbedding)
    expected = [layer(x)] + ([layer(back, reverse=True)] if reversible else [])
    options, error = MODES[mode]
    layer.quantize(**options)
    found = [layer(x)] + ([layer(back, reverse=True)] if reversible else [])
    for a, b in zip(found, expected, strict=True):
        close(a, b, error)
    again = restored(layer, (None, 4))
    np.testing.assert_array_equal(again(x), found[0])
    if reversible:
        np.testing.assert_allclose(again(back, reverse=True), found[1], atol=1e-6)
    assert layer.trainable_weights == []


def test_what_int8_keeps():
    layer = layers.Dense(2, kernel_initializer=lambda shape, dtype: np.array([[1, -4], [-2, 2.0]]))
    layer.build((None, 2))
    layer.quantize("int8")
    assert layer.dtype_policy.name == "int8_from_float32"
    assert [v.name for v in layer.weights] == ["bias", "kernel", "kernel_scale"]
    np.testing.assert_array_equal(layer.kernel, [[64, -127], [-127, 64]])
    np.testing.assert_allclose(layer.kernel_scale.numpy(), [63.5, 31.75], rtol=1e-6)
    store = saved(layer)
    assert [store[key].dtype.name for key in "012"] == ["int8", "float32", "float32"]
    y = layer(np.array([[1.0, 0.5]], "float32"))  # 127 and 64 of 127ths.
    expected = [(127 * 64 - 64 * 127) / 63.5 / 127, (-127 * 127 + 64 * 64) / 31.75 / 127]
    np.testing.assert_allclose(y, [expected], rtol=1e-5, atol=1e-7)


def test_what_int4_keeps():
    layer = layers.Dense(5)
    layer.build((None, 10))
    layer.quantize(config=quantizers.Int4QuantizationConfig(block_size=4))
    assert layer.dtype_policy.name == "int4/4_from_float32"
    shapes = {v.name: (v.shape, dtypes.name(v.dtype)) for v in layer.weights}
    assert shapes == {
        "bias": ((5,), "float32"),
        "kernel": ((10, 3), "int8"),
        "kernel_scale": ((3, 5), "float32"),
        "kernel_zero": ((3, 5), "int8"),
        "g_idx": ((10,), "float32"),
    }
    np.testing.assert_array_equal(layer.g_idx.numpy(), [0] * 4 + [1] * 4 + [2] * 2)
    assert layer.kernel.shape == (10, 5)
    config = layer.get_config()
    assert config["dtype"]["config"] == {"mode": "int4/4", "source_name": "float32"}
    assert config["quantization_config"]["config"]["block_size"] == 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("make", "shape"), PRODUCTS)
def test_gradients_are_those_of_the_kernel_as_floats(make, shape, mode):
    layer, x = built(make, shape), floats(*shape)
    layer.activation = None
    layer.quantize(**MODES[mode][0])
    with Tape() as tape:
        watched = tape.watch(x)
        y = layer(watched)
    weights = np.cos(np.arange(y.value.size, dtype="float32")).reshape(y.value.shape)
    (found,) = tape.gradient(y, [watched], [weights]) if False else (None,)
    with Tape() as tape:
        watched = tape.watch(x)
        loss = (layer(watched) * weights).sum() if False else layer(watched) * weights
    (found,) = tape.gradient(loss, [watched])
    with Tape() as tape:
        watched = tape.watch(x)
        loss = layer._product(watched, layer.quantized["kernel"].value()) * weights
    (expected,) = tape.gradient(loss, [watched])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
