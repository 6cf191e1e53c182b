"""UpSampling1D, UpSampling2D, UpSampling3D."""

import numpy as np
import pytest
from checks import check_layer

from gpulayers import layers
from gpulayers.ops.resize import INTERPOLATIONS, resize

LAYOUTS = ("channels_last", "channels_first")


def array(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def repeated(x, factors, data_format):
    for axis, factor in enumerate(factors, 2 if data_format == "channels_first" else 1):
        x = np.repeat(x, factor, axis=axis)
    return x


@pytest.mark.parametrize("size", [1, 2, 3])
def test_1d(xp, size):
    x = array(2, 3, 4)
    y = check_layer(lambda d: layers.UpSampling1D(size, dtype=d), x, xp=xp, unknown=(0, 1))
    np.testing.assert_array_equal(y, np.repeat(x, size, axis=1))
    own = {
        k: v for k, v in layers.UpSampling1D(size, name="u").get_config().items() if k != "dtype"
    }
    assert own == {"name": "u", "trainable": True, "size": size}


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize(("size", "factors"), [(2, (2, 2)), ((1, 3), (1, 3))])
def test_2d_nearest(xp, size, factors, data_format):
    x = array(2, 3, 2, 3)
    y = check_layer(
        lambda d: layers.UpSampling2D(size, data_format, dtype=d),
        x, xp=xp, unknown=(0, 2), gradient=xp.name == "numpy",
    )  # fmt: skip
    np.testing.assert_array_equal(y, repeated(x, factors, data_format))
    layer = layers.UpSampling2D(size, data_format)
    assert layer.size == factors
    assert layer.compute_output_shape(x.shape) == y.shape


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_2d_interpolation(xp, interpolation, data_format):
    x = array(1, 3, 2, 3)
    y = check_layer(
        lambda d: layers.UpSampling2D((2, 3), data_format, interpolation, dtype=d),
        x, xp=xp, gradient=xp.name == "numpy",
    )  # fmt: skip
    height, width = (4, 9) if data_format == "channels_first" else (6, 6)
    expected = resize(x, (height, width), interpolation, data_format=data_format)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_2d_bilinear_by_hand():
    x = np.array([0.0, 4.0], "float32").reshape(1, 1, 2, 1)
    y = layers.UpSampling2D((1, 2), interpolation="bilinear")(x)
    assert y.ravel().tolist() == [0, 1, 3, 4]


def test_2d_with_unknown_sizes():
    layer = layers.UpSampling2D((2, 3), interpolation="Bilinear")
    assert layer.interpolation == "bilinear"
    assert layer.compute_output_shape((None, None, 5, 3)) == (None, None, 15, 3)
    assert layer(layers.Input((None, 5, 3))).shape == (None, None, 15, 3)


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize("size", [2, (1, 2, 3)])
def test_3d(size, data_format):
    x = array(1, 2, 3, 2, 2)
    y = check_layer(lambda d: layers.UpSampling3D(size, data_format, dtype=d), x, gradient=False)
    factors = layers.UpSampling3D(size).size
    np.testing.assert_array_equal(y, repeated(x, factors, data_format))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.UpSampling1D(2.0), TypeError, "size must be an integer, got float"),
        (lambda: layers.UpSampling1D(0), ValueError, "a positive integer, got 0"),
        (lambda: layers.UpSampling2D(0), ValueError, "2 integers, each at least 1, got 0"),
        (lambda: layers.UpSampling2D((1, 2, 3)), ValueError, "2 integers"),
        (lambda: layers.UpSampling3D((1, 2)), ValueError, "3 integers"),
        (lambda: layers.UpSampling2D(interpolation="area"), ValueError, "nearest, bilinear"),
        (lambda: layers.UpSampling1D(2)(array(2, 4)), ValueError, "ndim"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
