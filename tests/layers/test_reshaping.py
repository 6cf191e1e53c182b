"""Reshape, Flatten, RepeatVector, Permute."""

import numpy as np
import pytest
from checks import check_layer

from gpulayers import config, layers
from gpulayers.models import Model


def array(*shape):
    return np.arange(np.prod(shape), dtype="float32").reshape(shape) / 7 - 1


CASES = [
    (layers.Reshape, {"target_shape": (4, 3)}, (2, 3, 4), (2, 4, 3)),
    (layers.Reshape, {"target_shape": (-1,)}, (2, 3, 4), (2, 12)),
    (layers.Reshape, {"target_shape": (2, -1, 1)}, (2, 3, 4), (2, 2, 6, 1)),
    (layers.Reshape, {"target_shape": ()}, (2, 1), (2,)),
    (layers.Flatten, {}, (2, 3, 4), (2, 12)),
    (layers.Flatten, {}, (3,), (3, 1)),
    (layers.Flatten, {"data_format": "channels_first"}, (2, 3, 4, 2), (2, 24)),
    (layers.RepeatVector, {"n": 3}, (2, 4), (2, 3, 4)),
    (layers.Permute, {"dims": (2, 3, 1)}, (2, 3, 4, 5), (2, 4, 5, 3)),
]


@pytest.mark.parametrize(("cls", "arguments", "shape", "expected"), CASES)
def test_every_way(xp, cls, arguments, shape, expected):
    y = check_layer(lambda dtype: cls(**arguments, dtype=dtype), array(*shape), xp=xp)
    assert y.shape == expected
    layer = cls(**arguments)
    assert layer.compute_output_shape(shape) == expected
    assert layer.compute_output_shape((None, *shape[1:])) == (None, *expected[1:])
    assert layer.built
    empty = layer(np.zeros((0, *shape[1:]), "float32"))
    assert empty.shape == (0, *expected[1:])


def test_values():
    x = array(2, 3, 4)
    np.testing.assert_array_equal(layers.Reshape((4, 3))(x), x.reshape(2, 4, 3))
    np.testing.assert_array_equal(layers.Flatten()(x), x.reshape(2, 12))
    np.testing.assert_array_equal(
        layers.Flatten("channels_first")(x), x.transpose(0, 2, 1).reshape(2, 12)
    )
    np.testing.assert_array_equal(layers.Permute((2, 1))(x), x.transpose(0, 2, 1))
    np.testing.assert_array_equal(layers.RepeatVector(2)(x[:, 0]), np.stack([x[:, 0]] * 2, axis=1))


def test_integers_stay():
    assert layers.Reshape((4,))(np.zeros((3, 2, 2), "int64")).dtype == "int64"


@pytest.mark.parametrize(
    ("target", "sample", "expected"),
    [
        ((-1, 2), (3, 4), (6, 2)),
        ((-1, 2), (None, 4), (None, 2)),
        ((2, -1), (None, None), (2, None)),  # The guesses for None are odd.
        ((8,), (None, 4), (8,)),
        ((2, -1), (5, None, 3), (2, None)),
    ],
)
def test_reshape_of_unknown_sizes(target, sample, expected):
    y = layers.Reshape(target)(layers.Input(sample))
    assert y.shape == (None, *expected)


def test_reshape_of_unknown_sizes_in_nested_models():
    x = layers.Input((None, 4))
    inner = Model(x, layers.Reshape((8, -1))(x))
    y = layers.Input((None, 4))
    model = Model(y, inner(y))
    assert model.output.shape == (None, 8, None)
    assert model(array(2, 6, 4)).shape == (2, 8, 3)


def test_default_layout():
    config.set_image_data_format("channels_first")
    try:
        assert layers.Flatten().data_format == "channels_first"
    finally:
        config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Reshape(3), TypeError, "sequence of integers, got 3"),
        (lambda: layers.Reshape((2, 0.5)), TypeError, "sequence of integers"),
        (lambda: layers.Reshape((-1, -1)), ValueError, "at most one -1"),
        (lambda: layers.Reshape((-2,)), ValueError, "non-negative"),
        (lambda: layers.Reshape((5,))(array(2, 3, 4)), ValueError, "12 values.* doesn't fit"),
        (lambda: layers.Reshape((5, -1))(array(2, 3, 4)), ValueError, "doesn't fit"),
        (lambda: layers.Reshape((5,))(layers.Input((3, 4))), ValueError, "doesn't fit"),
        (lambda: layers.Flatten("channels"), ValueError, "channels_last, channels_first"),
        (lambda: layers.RepeatVector(1.5), TypeError, "n must be an integer, got float"),
        (lambda: layers.RepeatVector(True), TypeError, "n must be an integer, got bool"),
        (lambda: layers.RepeatVector(0), ValueError, "n must be a positive integer, got 0"),
        (lambda: layers.RepeatVector(2)(array(2, 3, 4)), ValueError, "ndim"),
        (lambda: layers.Permute((0, 1)), ValueError, "permutation of 1, 2"),
        (lambda: layers.Permute((1, 3)), ValueError, "permutation of 1, 2"),
        (lambda: layers.Permute((2, 1))(array(2, 3)), ValueError, "ndim"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
