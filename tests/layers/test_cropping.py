"""Cropping1D, Cropping2D, Cropping3D."""

import numpy as np
import pytest
from checks import check_layer

from gpulayers import layers

LAYOUTS = ("channels_last", "channels_first")


def array(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def cropped(x, pairs, data_format):
    first = 2 if data_format == "channels_first" else 1
    key = [slice(None)] * x.ndim
    for axis, (before, after) in enumerate(pairs, first):
        key[axis] = slice(before, x.shape[axis] - after)
    return x[tuple(key)]


@pytest.mark.parametrize(
    ("cropping", "pair"), [(1, (1, 1)), ((0, 2), (0, 2)), ([2, 0], (2, 0)), (0, (0, 0))]
)
def test_1d(xp, cropping, pair):
    x = array(2, 5, 3)
    y = check_layer(lambda d: layers.Cropping1D(cropping, dtype=d), x, xp=xp, unknown=(0, 1))
    np.testing.assert_array_equal(y, cropped(x, [pair], "channels_last"))
    own = {
        k: v for k, v in layers.Cropping1D(cropping, name="c").get_config().items() if k != "dtype"
    }
    assert own == {"name": "c", "trainable": True, "cropping": pair}


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize(
    ("cropping", "pairs"),
    [
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        (((1, 0), (0, 2)), ((1, 0), (0, 2))),
    ],
)
def test_2d(xp, cropping, pairs, data_format):
    x = array(2, 5, 6, 7)
    y = check_layer(
        lambda d: layers.Cropping2D(cropping, data_format, dtype=d),
        x, xp=xp, unknown=(0, 2), gradient=xp.name == "numpy",
    )  # fmt: skip
    np.testing.assert_array_equal(y, cropped(x, pairs, data_format))
    layer = layers.Cropping2D(cropping, data_format)
    assert layer.cropping == pairs
    assert layer.compute_output_shape(x.shape) == y.shape
    assert layer.get_config()["data_format"] == data_format


@pytest.mark.parametrize("data_format", LAYOUTS)
@pytest.mark.parametrize(
    ("cropping", "pairs"),
    [
        (1, ((1, 1),) * 3),
        ((0, 1, 1), ((0, 0), (1, 1), (1, 1))),
        (((1, 0), (0, 2), (0, 0)), ((1, 0), (0, 2), (0, 0))),
    ],
)
def test_3d(cropping, pairs, data_format):
    x = array(2, 3, 4, 5, 4)
    y = check_layer(lambda d: layers.Cropping3D(cropping, data_format, dtype=d), x, gradient=False)
    np.testing.assert_array_equal(y, cropped(x, pairs, data_format))


def test_more_than_the_guess_for_an_unknown_size():
    y = layers.Cropping1D(500)(layers.Input((None, 3)))
    assert y.shape == (None, None, 3)


def test_empty_batch():
    assert layers.Cropping1D(1)(array(0, 5, 3)).shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Cropping1D((1, 2, 3)), "Cropping1D: cropping must be an integer or 2"),
        (lambda: layers.Cropping1D(-1), "each at least 0, got -1"),
        (lambda: layers.Cropping1D(None), "got None"),
        (lambda: layers.Cropping2D("ab"), "2 pairs of integers, got 'ab'"),
        (lambda: layers.Cropping2D((1, (1, 2, 3))), r"cropping\[1\] must be"),
        (lambda: layers.Cropping3D((1, 2)), "3 integers or 3 pairs"),
        (lambda: layers.Cropping2D(1, "channels"), "channels_first"),
        (lambda: layers.Cropping1D(2)(array(2, 4, 3)), "leaves nothing of axis 1"),
        (lambda: layers.Cropping2D((0, 3))(layers.Input((4, 6, 1))), "leaves nothing of axis 2"),
        (lambda: layers.Cropping1D(1)(array(2, 4)), "ndim"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
