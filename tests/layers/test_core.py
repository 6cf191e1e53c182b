"""Masking, Identity, Lambda and Wrapper."""

import numpy as np
import pytest
from checks import check_layer

from gpulayers import layers, registry
from gpulayers.arrays import Tape, get_mask, namespace, set_mask
from gpulayers.models import Model

RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(2, 4, 3)).astype("float32")
SERIES[0, 1] = 0
SERIES[1, 2:] = 0
SERIES[1, 0, 0] = 0


def test_masking(xp):
    y = check_layer(
        lambda d: layers.Masking(dtype=d), SERIES, xp=xp, unknown=(0, 1), gradient=False
    )
    np.testing.assert_array_equal(y, SERIES)
    np.testing.assert_array_equal(get_mask(y), [[1, 0, 1, 1], [1, 1, 0, 0]])


def test_masked_steps_have_no_gradient(xp):
    layer = layers.Masking()
    with Tape() as tape:
        x = tape.watch(xp.asarray(SERIES))
        y = layer(x)
        loss = namespace(y).sum(y * 3.0)
    expected = 3.0 * SERIES.any(axis=-1, keepdims=True) * np.ones_like(SERIES)
    np.testing.assert_array_equal(xp.to_numpy(tape.gradient(loss, x)), expected)


@pytest.mark.parametrize("value", [1.0, -1, np.array([1.0, 2.0, 1.0], "float32")])
def test_mask_value(value):
    x = RNG.normal(size=(2, 4, 3)).astype("float32")
    x[0, 2] = value
    layer = layers.Masking(value)
    y = layer(x)
    expected = np.ones((2, 4), bool)
    expected[0, 2] = False
    np.testing.assert_array_equal(get_mask(y), expected)
    np.testing.assert_array_equal(layer.compute_mask(x), expected)
    np.testing.assert_array_equal(y, x * expected[..., None])
    again = registry.deserialize(registry.serialize(layer))
    np.testing.assert_array_equal(again(x), y)
    np.testing.assert_array_equal(again.mask_value, value)


def test_masked_nan_stays():
    x = np.array([[[0.0, 0.0], [np.nan, 0.0]]], "float32")
    y = layers.Masking()(x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(get_mask(y), [[False, True]])


def test_identity(xp):
    mask = np.array([[True, False, True, True]] * 2)
    y = check_layer(lambda d: layers.Identity(dtype=d), SERIES, xp=xp, mask=mask)
    np.testing.assert_array_equal(y, SERIES)
    layer = layers.Identity()
    assert layer({"a": SERIES, "b": [SERIES]})["b"][0] is SERIES
    assert layer.compute_output_shape((None, 3)) == (None, 3)


def double_plus(x, plus=0.0):
    return x * 2.0 + plus


def test_lambda(xp):
    y = check_layer(
        lambda d: layers.Lambda(lambda x: namespace(x).sum(x * x, axis=-1), dtype=d),
        SERIES,
        xp=xp,
        config=False,
        unknown=(0, 1),
    )
    np.testing.assert_allclose(y, np.square(SERIES).sum(axis=-1), rtol=1e-6)
    layer = layers.Lambda(double_plus, arguments={"plus": 1.0})
    np.testing.assert_allclose(layer(SERIES), SERIES * 2 + 1)


def test_lambda_gets_mask_and_training():
    seen = []

    def function(x, mask=None, training=None):
        seen.append((mask, training))
        return x

    layer = layers.Lambda(function, mask=lambda inputs, mask: mask)
    x, mask = np.array(SERIES), np.ones((2, 4), bool)
    set_mask(x, mask)
    y = layer(x, training=True)
    assert (seen[0][0] is mask, seen[0][1]) == (True, True)
    assert get_mask(y) is mask
    fixed = layers.Lambda(double_plus, mask=mask)
    assert get_mask(fixed(SERIES)) is mask


@pytest.mark.parametrize(
    ("output_shape", "expected"),
    [
        (None, (None, 4, 3)),
        ((5, 6), (None, 5, 6)),
        (lambda shape: (shape[0], 7), (None, 7)),
    ],
)
def test_lambda_output_shape(output_shape, expected):
    layer = layers.Lambda(double_plus, output_shape=output_shape)
    assert layer.compute_output_shape((None, 4, 3)) == expected


def test_lambda_in_a_model():
    inputs = layers.Input((4, 3))
    outputs = layers.Lambda(lambda x: x[:, 0] - x[:, -1])(inputs)
    assert outputs.shape == (None, 3)
    model = Model(inputs, outputs)
    np.testing.assert_allclose(model(SERIES), SERIES[:, 0] - SERIES[:, -1])


def test_named_function_round_trip():
    layer = layers.Lambda(double_plus, output_shape=(4, 3), arguments={"plus": 1.0}, name="f")
    config = layer.get_config()
    assert list(config) == ["name", "trainable", "dtype", "function", "output_shape", "arguments"]
    assert config["function"]["config"] == "double_plus"
    again = registry.deserialize(registry.serialize(layer), {"double_plus": double_plus})
    assert again._output_shape == (4, 3)
    np.testing.assert_allclose(again(SERIES), layer(SERIES))
    with pytest.raises(ValueError, match="unknown name 'double_plus'"):
        registry.deserialize(registry.serialize(layer))


def test_python_lambda_needs_unsafe_loading():
    layer = layers.Lambda(lambda x: x * 3.0)
    config = registry.serialize(layer)
    assert config["config"]["function"]["class_name"] == "__lambda__"
    with pytest.raises(ValueError, match="safe_mode"):
        registry.deserialize(config)
    with pytest.raises(ValueError, match="safe_mode"):
        layers.Lambda.from_config(layer.get_config())
    again = registry.deserialize(config, safe_mode=False)
    np.testing.assert_allclose(again(SERIES), SERIES * 3)
    again = layers.Lambda.from_config(layer.get_config(), safe_mode=False)
    np.testing.assert_allclose(again(SERIES), SERIES * 3)


def test_lambda_needs_a_function():
    with pytest.raises(TypeError, match="Lambda: function must be callable, got 3"):
        layers.Lambda(3)


class Twice(layers.Wrapper):
    def call(self, inputs):
        return self.layer(self.layer(inputs))

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


def test_wrapper():
    wrapper = Twice(layers.Dense(3, name="inner"), name="outer")
    y = wrapper(SERIES)
    assert wrapper.layer.built
    assert wrapper.weights == wrapper.layer.weights
    assert [v.path for v in wrapper.weights] == ["outer/inner/kernel", "outer/inner/bias"]
    np.testing.assert_allclose(y, wrapper.layer(wrapper.layer(SERIES)), rtol=1e-6)
    config = wrapper.get_config()
    assert config["layer"]["class_name"] == "Dense"
    again = Twice.from_config(config)
    again.build(SERIES.shape)
    again.set_weights(wrapper.get_weights())
    np.testing.assert_allclose(again(SERIES), y, rtol=1e-6)
    assert again.get_config() == config


def test_wrapper_keeps_a_built_layer():
    inner = layers.Dense(3)
    inner.build((None, 3))
    kernel = inner.kernel
    wrapper = Twice(inner)
    wrapper.build((None, 3))
    assert wrapper.layer.kernel is kernel
    wrapper.trainable = False
    assert wrapper.trainable_weights == inner.trainable_weights == []


def test_wrapper_needs_a_layer():
    with pytest.raises(TypeError, match="Wrapper: expected a Layer, got 'dense'"):
        layers.Wrapper("dense")
