"""ZeroPadding1D, ZeroPadding2D, ZeroPadding3D."""

import numpy as np
import pytest
from checks import check_layer

from gpulayers import layers

LAYOUTS = ("channels_last", "channels_first")


def array(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def widths(pairs, data_format):
    if data_format == "channels_first":
        return ((0, 0), (0, 0), *pairs)
    return ((0, 0), *pairs, (0, 0))


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize(("padding", "pair"), [(1, (1, 1)), ((0, 2), (0, 2)), (0, (0, 0))])
def test_1d(xp, padding, pair, data_format):
    x = array(2, 3, 4)
    y = check_layer(
        lambda d: layers.ZeroPadding1D(padding, data_format, dtype=d), x, xp=xp, unknown=(0, 1)
    )
    np.testing.assert_array_equal(y, np.pad(x, widths([pair], data_format)))
    own = layers.ZeroPadding1D(padding, data_format).get_config()
    assert own["padding"] == pair
    assert own["data_format"] == data_format


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        (((1, 0), (0, 2)), ((1, 0), (0, 2))),
    ],
)
def test_2d(xp, padding, pairs, data_format):
    x = array(2, 3, 4, 2)
    y = check_layer(
        lambda d: layers.ZeroPadding2D(padding, data_format, dtype=d),
        x, xp=xp, unknown=(0, 2), gradient=xp.name == "numpy",
    )  # fmt: skip
    np.testing.assert_array_equal(y, np.pad(x, widths(pairs, data_format)))
    layer = layers.ZeroPadding2D(padding, data_format)
    assert layer.padding == pairs
    assert layer.compute_output_shape(x.shape) == y.shape


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize("padding", [1, (0, 1, 2), ((1, 0), (0, 2), (0, 0))])
def test_3d(padding, data_format):
    x = array(2, 2, 3, 2, 3)
    y = check_layer(
        lambda d: layers.ZeroPadding3D(padding, data_format, dtype=d), x, gradient=False
    )
    pairs = layers.ZeroPadding3D(padding).padding
    np.testing.assert_array_equal(y, np.pad(x, widths(pairs, data_format)))


def test_unknown_sizes():
    layer = layers.ZeroPadding2D(((1, 2), (3, 4)))
    assert layer.compute_output_shape((None, None, 5, 3)) == (None, None, 12, 3)
    assert layer(layers.Input((None, 5, 3))).shape == (None, None, 12, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ZeroPadding1D((1, 2, 3)), "ZeroPadding1D: padding must be"),
        (lambda: layers.ZeroPadding1D(-1), "at least 0, got -1"),
        (lambda: layers.ZeroPadding2D(None), "ZeroPadding2D: padding must be"),
        (lambda: layers.ZeroPadding2D((1, (1, 2, 3))), r"padding\[1\] must be"),
        (lambda: layers.ZeroPadding3D((1, 2)), "3 integers or 3 pairs"),
        (lambda: layers.ZeroPadding2D(1, "channels"), "channels_first"),
        (lambda: layers.ZeroPadding1D(1)(array(2, 4)), "ndim"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
