"""MaxPooling, AveragePooling, their global and adaptive forms."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers

IMAGES = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype("float32")


def configured(layer):
    config = layer.get_config()
    return {key: config[key] for key in config if key not in ("name", "trainable", "dtype")}


def test_configs():
    """As Keras writes them."""
    assert configured(layers.MaxPooling2D()) == {
        "pool_size": (2, 2), "padding": "valid", "strides": (2, 2), "data_format": "channels_last",
    }  # fmt: skip
    average = layers.AveragePooling1D(3, strides=1, padding="SAME", data_format="channels_first")
    assert configured(average) == {
        "pool_size": (3,), "padding": "same", "strides": (1,), "data_format": "channels_first",
    }  # fmt: skip
    assert configured(layers.GlobalMaxPooling3D(keepdims=True)) == {
        "data_format": "channels_last", "keepdims": True,
    }  # fmt: skip
    assert configured(layers.AdaptiveMaxPooling2D(3)) == {
        "output_size": (3, 3), "data_format": "channels_last",
    }  # fmt: skip


def test_other_names():
    assert layers.MaxPool3D is layers.MaxPooling3D
    assert layers.AvgPool1D is layers.AveragePooling1D
    assert layers.GlobalAvgPool2D is layers.GlobalAveragePooling2D
    assert layers.GlobalMaxPool1D is layers.GlobalMaxPooling1D


@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D",
                                  "GlobalMaxPooling2D", "AdaptiveAveragePooling2D"])  # fmt: skip
def test_layouts_and_empty_batches(name):
    options = {"output_size": 2} if name.startswith("Adaptive") else {}
    options |= {} if name.startswith(("Adaptive", "Global")) else {"pool_size": (3, 2)}
    last = getattr(layers, name)(**options)
    first = getattr(layers, name)(data_format="channels_first", **options)
    expected = last(IMAGES)
    found = first(np.moveaxis(IMAGES, -1, 1))
    if found.ndim == 4:
        found = np.moveaxis(found, 1, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert last.compute_output_shape((None, 5, 4, 3)) == (None, *expected.shape[1:])
    assert last(IMAGES[:0]).shape == (0, *expected.shape[1:])
    y = last(IMAGES.astype("float16"))
    assert y.dtype == np.float32  # The policy's: inputs are cast to it.


def test_unknown_sizes():
    pool = layers.MaxPooling2D(2, padding="same")
    assert pool.compute_output_shape((None, None, 5, 3)) == (None, None, 3, 3)
    last = layers.GlobalMaxPooling2D()
    assert last.compute_output_shape((None, None, None, 3)) == (None, 3)
    assert layers.GlobalAveragePooling1D("channels_first", True).compute_output_shape(
        (None, 3, None)
    ) == (None, 3, 1)


def test_a_mask_leaves_steps_out():
    x = np.arange(12.0, dtype="float32").reshape(2, 3, 2)
    mask = np.array([[True, True, False], [False, False, True]])
    pool = layers.GlobalAveragePooling1D()
    np.testing.assert_array_equal(pool(x, mask=mask), [[1, 2], [10, 11]])
    masked = layers.Masking()(np.concatenate([x, np.zeros((2, 4, 2), "float32")], axis=1))
    np.testing.assert_allclose(pool(masked), x.mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.MaxPooling2D((2, 0)), ValueError, "MaxPooling2D: pool_size must be"),
        (lambda: layers.MaxPooling2D((2, 2, 2)), ValueError, "pool_size must be"),
        (lambda: layers.AveragePooling1D(2, strides=-1), ValueError, "strides must be"),
        (lambda: layers.AveragePooling1D(2, padding="causal"), ValueError, "padding must be"),
        (lambda: layers.MaxPooling1D(data_format="last"), ValueError, "data_format"),
        (lambda: layers.AdaptiveMaxPooling1D(0), ValueError, "output_size must be"),
        (lambda: layers.MaxPooling2D(6)(IMAGES), ValueError, r"sizes \(5, 4\) are smaller"),
        (lambda: layers.MaxPooling2D()(IMAGES[0]), ValueError, "expected ndim=4, got ndim=3"),
        (lambda: layers.GlobalMaxPooling1D()(IMAGES), ValueError, "expected ndim=3, got ndim=4"),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_plans_refuse_what_calls_refuse():
    """After the first calls, which fit, one of another size: with and without a tape."""
    inputs = gl.Input((None, None, 3))
    model = gl.Model(inputs, layers.GlobalMaxPooling2D()(layers.MaxPooling2D(3)(inputs)))
    for _ in range(3):
        np.testing.assert_allclose(model(IMAGES), IMAGES[:, :3, :3].max(axis=(1, 2)))
    with pytest.raises(ValueError, match=r"sizes \(2, 4\) are smaller than windows"):
        model(IMAGES[:, :2])
