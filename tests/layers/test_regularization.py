"""Dropout, spatial dropout, Gaussian noise, AlphaDropout, ActivityRegularization."""

import math

import numpy as np
import pytest
from checks import check_layer

from gpulayers import layers
from gpulayers.arrays import Tape, get_mask, namespace, plain, set_mask

NOISY = [
    (layers.Dropout, {"rate": 0.4}, (4, 5, 6)),
    (layers.Dropout, {"rate": 0.4, "noise_shape": (4, 1, None)}, (4, 5, 6)),
    (layers.SpatialDropout1D, {"rate": 0.4}, (4, 5, 6)),
    (layers.SpatialDropout2D, {"rate": 0.4}, (2, 3, 4, 5)),
    (layers.SpatialDropout3D, {"rate": 0.4}, (2, 3, 2, 2, 5)),
    (layers.GaussianDropout, {"rate": 0.4}, (4, 5, 6)),
    (layers.GaussianNoise, {"stddev": 0.4}, (4, 5, 6)),
    (layers.AlphaDropout, {"rate": 0.4}, (4, 5, 6)),
    (layers.AlphaDropout, {"rate": 0.4, "noise_shape": (4, 1, None)}, (4, 5, 6)),
]


def array(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(("cls", "arguments", "shape"), NOISY)
def test_in_inference(xp, cls, arguments, shape):
    x = array(*shape)
    check_layer(lambda d: cls(**arguments, dtype=d), x, xp=xp, gradient=False)
    layer, x = cls(**arguments), xp.asarray(x)
    assert layer.built
    assert layer(x) is x
    assert layer(x, training=False) is x
    assert layer.compute_output_shape((None, 5)) == (None, 5)


@pytest.mark.parametrize(("cls", "arguments", "shape"), NOISY)
def test_in_training(xp, cls, arguments, shape):
    x = array(*shape)
    layer = cls(**arguments, seed=7)
    y = layer(xp.asarray(x), training=True)
    again = layer(xp.asarray(x), training=True)
    assert isinstance(y, xp.kind)
    y, again = xp.to_numpy(y), xp.to_numpy(again)
    assert y.dtype == "float32"
    assert np.any(y != again)
    np.testing.assert_array_equal(y, cls(**arguments, seed=7)(x, training=True))
    assert np.any(y != cls(**arguments, seed=8)(x, training=True))
    copy = cls.from_config(layer.get_config())
    np.testing.assert_array_equal(y, copy(x, training=True))
    assert layer(layers.Input(shape[1:]), training=True).shape == (None, *shape[1:])


@pytest.mark.parametrize(("cls", "arguments", "shape"), NOISY)
def test_gradients(cls, arguments, shape):
    """They are affine functions of the input: y(x) - y(0) is the slope times x."""
    x = array(*shape).astype("float64")
    layer = cls(**arguments, seed=7, dtype="float64")
    with Tape() as tape:
        watched = tape.watch(x)
        y = layer(watched, training=True)
        total = namespace(y).sum(y)
    slope = tape.gradient(total, watched)
    zero = cls(**arguments, seed=7, dtype="float64")(np.zeros_like(x), training=True)
    np.testing.assert_allclose(slope * x, plain(y) - zero, atol=1e-12)


@pytest.mark.parametrize(("cls", "arguments", "shape"), NOISY)
def test_masks_pass(cls, arguments, shape):
    x = array(*shape)
    set_mask(x, np.ones(shape[:2], bool))
    assert get_mask(cls(**arguments)(x, training=True)) is get_mask(x)
    assert get_mask(cls(**arguments)(x)) is get_mask(x)


def test_dropout_scales_what_it_keeps():
    x = np.ones((200, 200), "float32")
    y = layers.Dropout(0.25, seed=1)(x, training=True)
    assert np.unique(y).tolist() == [0, np.float32(1 / 0.75)]
    assert abs((y == 0).mean() - 0.25) < 0.01


def test_noise_shape():
    y = layers.Dropout(0.5, noise_shape=(None, 1, 6), seed=1)(np.ones((9, 5, 6)), training=True)
    assert np.ptp(y, axis=1).max() == 0
    assert np.ptp(y, axis=2).max() > 0


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_spatial_dropout_drops_whole_channels(rank, data_format):
    cls = getattr(layers, f"SpatialDropout{rank}D")
    if rank == 1:
        layer, data_format = cls(0.5, seed=1), "channels_last"
    else:
        layer = cls(0.5, data_format, seed=1)
    last = data_format == "channels_last"
    shape = (8, *[3] * rank, 20) if last else (8, 20, *[3] * rank)
    y = layer(np.ones(shape), training=True)
    places = tuple(range(1, rank + 1) if last else range(2, rank + 2))
    assert np.ptp(y, axis=places).max() == 0
    per_channel = y.max(axis=places)
    assert 0.3 < (per_channel == 0).mean() < 0.7


def test_gaussian_dropout_and_noise_have_their_moments():
    x = np.full((300, 300), 2.0, "float32")
    y = layers.GaussianDropout(0.3, seed=1)(x, training=True)
    assert abs(y.mean() - 2) < 0.02
    assert abs(y.std() / 2 - math.sqrt(0.3 / 0.7)) < 0.01
    y = layers.GaussianNoise(0.3, seed=1)(x, training=True)
    assert abs(y.mean() - 2) < 0.01
    assert abs(y.std() - 0.3) < 0.01


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).normal(size=(400, 400)).astype("float32")
    y = layers.AlphaDropout(0.3, seed=1)(x, training=True)
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02
    low = -1.7580993408473766
    a = ((1 - 0.3) * (1 + 0.3 * low**2)) ** -0.5
    b = -a * low * 0.3
    kept = np.abs(y - (a * low + b)) > 1e-6
    assert abs(kept.mean() - 0.7) < 0.01
    np.testing.assert_allclose(y[kept], (a * x + b)[kept], rtol=1e-5, atol=1e-6)


def test_extreme_rates():
    x = array(3, 4)
    assert not layers.Dropout(1.0)(x, training=True).any()
    assert not layers.AlphaDropout(1)(x, training=True).any()
    assert not hasattr(layers.Dropout(0), "seed_generator")
    assert layers.Dropout(0)(x, training=True) is x
    assert layers.GaussianNoise(0)(x, training=True) is x
    with pytest.raises(ValueError, match="rate below 1"):
        layers.GaussianDropout(1)(x, training=True)


def test_whole_numbers_become_floats():
    x = np.ones((3, 4), "int32")
    for layer in (layers.Dropout(0.5), layers.GaussianNoise(0.5), layers.AlphaDropout(0.5)):
        assert layer(x, training=True).dtype == "float32"
        assert layer(x) is x


def test_rate_may_change():
    layer = layers.Dropout(0.5)
    layer.rate = 0
    x = array(3, 4)
    assert layer(x, training=True) is x


CONFIGS = [
    (layers.Dropout, {"rate": 0.5, "noise_shape": (None, 1), "seed": 3}, {}),
    (layers.AlphaDropout, {"rate": 0.5, "noise_shape": None, "seed": 3}, {}),
    (layers.GaussianDropout, {"rate": 0.5, "seed": None}, {}),
    (layers.GaussianNoise, {"stddev": 0.5, "seed": None}, {}),
    (layers.ActivityRegularization, {"l1": 0.5, "l2": 0.0}, {}),
]


@pytest.mark.parametrize(("cls", "arguments", "more"), CONFIGS)
def test_config(cls, arguments, more):
    config = cls(**arguments, name="it").get_config()
    del config["dtype"]
    assert config == {"name": "it", "trainable": True, **arguments, **more}


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_config_of_spatial_dropout(policy):
    own = {"rate": 0.5, "seed": 3, "name": "it", "dtype": policy}
    assert layers.SpatialDropout1D(**own).get_config() == own
    own["data_format"] = "channels_first"
    assert layers.SpatialDropout2D(**own).get_config() == own
    assert layers.SpatialDropout3D(**own).get_config() == own


def test_activity_regularization(xp):
    x = array(4, 3)
    layer = layers.ActivityRegularization(l1=0.3, l2=0.2)
    given = xp.asarray(x)
    assert layer(given) is given
    (loss,) = layer.losses
    expected = (0.3 * np.abs(x).sum() + 0.2 * np.square(x).sum()) / 4
    np.testing.assert_allclose(xp.to_numpy(loss), expected, rtol=1e-5)
    check_layer(lambda d: layers.ActivityRegularization(0.3, 0.2, dtype=d), x, xp=xp)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Dropout("a"), TypeError, "Dropout: rate must be a number, got str"),
        (lambda: layers.Dropout(1.5), ValueError, "Dropout: rate must be between 0 and 1, got 1.5"),
        (lambda: layers.GaussianNoise(-1), ValueError, "GaussianNoise: stddev must be between"),
        (lambda: layers.SpatialDropout2D(2), ValueError, "SpatialDropout2D: rate"),
        (lambda: layers.Dropout(0.1, noise_shape=3), ValueError, "noise_shape must be a sequence"),
        (lambda: layers.Dropout(0.1, noise_shape="ab"), ValueError, "noise_shape must be"),
        (lambda: layers.Dropout(0.1, noise_shape=(0, 1)), ValueError, r"got \(0, 1\)"),
        (lambda: layers.AlphaDropout(0.1, (0.5,)), ValueError, "AlphaDropout: noise_shape"),
        (lambda: layers.SpatialDropout1D(0.1)(array(2, 3)), ValueError, "ndim"),
        (lambda: layers.SpatialDropout2D(0.1, "channels"), ValueError, "channels_first"),
        (lambda: layers.ActivityRegularization(l1=-1), ValueError, "l1"),
        (
            lambda: layers.Dropout(0.1, (3, 1))(array(2, 3), training=True),
            ValueError,
            "does not broadcast",
        ),
        (
            lambda: layers.AlphaDropout(0.1, (3, 1))(array(2, 3), training=True),
            ValueError,
            "does not broadcast",
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
