"""Initializers: values, their spread, seeds, configs, names."""

import math

import array_api_strict
import numpy as np
import pytest

from gpulayers import initializers
from gpulayers.arrays.random import SeedGenerator, set_random_seed
from gpulayers.initializers.scaling import compute_fans

TRUNCATED = 0.87962566103423978
RANDOM = {
    "random_normal": initializers.RandomNormal,
    "truncated_normal": initializers.TruncatedNormal,
    "random_uniform": initializers.RandomUniform,
    "variance_scaling": initializers.VarianceScaling,
    "glorot_uniform": initializers.GlorotUniform,
    "glorot_normal": initializers.GlorotNormal,
    "lecun_uniform": initializers.LecunUniform,
    "lecun_normal": initializers.LecunNormal,
    "he_uniform": initializers.HeUniform,
    "he_normal": initializers.HeNormal,
    "orthogonal": initializers.Orthogonal,
}
CONSTANT = {
    "zeros": initializers.Zeros,
    "ones": initializers.Ones,
    "constant": initializers.Constant,
    "identity": initializers.Identity,
}


# Constants.


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "float64", "int32", "bool"])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (initializers.Zeros(), np.zeros((2, 3))),
        (initializers.Ones(), np.ones((2, 3))),
        (initializers.Constant(1.0), np.ones((2, 3))),
        (initializers.Constant(np.array([0.0, 1.0, 1.0])), [[0, 1, 1], [0, 1, 1]]),
        (initializers.Identity(), np.eye(2, 3)),
    ],
)
def test_constants(make, expected, dtype):
    x = make((2, 3), dtype=dtype)
    assert type(x) is np.ndarray
    assert x.dtype.name == (dtype or "float32")
    assert (x.astype(float) == expected).all()


def test_identity_takes_a_gain_and_only_matrices():
    assert initializers.Identity(2.5)((2, 2)).tolist() == [[2.5, 0], [0, 2.5]]
    with pytest.raises(ValueError, match="Identity: expected the shape of a matrix"):
        initializers.Identity()((2, 2, 2))


def test_stft_kernels_compute_the_fourier_transform():
    signal = np.random.default_rng(0).normal(size=16)
    window = np.hamming(16)
    spectrum = np.fft.rfft(signal * window) / np.abs(window).sum()
    for side, expected in (("real", spectrum.real), ("imag", spectrum.imag)):
        kernel = initializers.STFT(side, "hamming", "spectrum")((16, 1, 9), dtype="float64")
        np.testing.assert_allclose(signal @ kernel[:, 0], expected, atol=1e-13)
    kernel = initializers.STFT("real", window, "density")((16, 1, 9), dtype="float64")
    scaled = spectrum.real * np.abs(window).sum() / np.sqrt((window**2).sum())
    np.testing.assert_allclose(signal @ kernel[:, 0], scaled, atol=1e-13)
    kernel = initializers.STFT("real", None)((16, 1, 9))
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(signal @ kernel[:, 0], np.fft.rfft(signal).real, atol=1e-5)


def test_stft_gives_what_keras_gives():
    root = math.sqrt(0.5)
    expected = [[0, 0, 0], [root, 0, -root], [root, -root, root], [0, 0, 0]]
    np.testing.assert_allclose(initializers.STFT()((4, 1, 3))[:, 0], expected, atol=1e-7)
    periodic = initializers.STFT("imag", "hann", "spectrum", periodic=True)((4, 1, 3))[:, 0]
    expected = [[0, 0, 0], [0, -0.25, 0], [0, 0, 0], [0, 0.25, 0]]
    np.testing.assert_allclose(periodic, expected, atol=1e-7)


# Random values.


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((7, 5), (7, 5)),
        ((3, 7, 5), (21, 15)),
        ((3, 2, 7, 5), (42, 30)),
    ],
)
def test_fans(shape, fans):
    assert compute_fans(shape) == fans


def test_fans_of_given_axes():
    assert compute_fans((2, 3, 5, 7), [0, 2], [1, 3]) == (10, 21)
    assert compute_fans((2, 3, 5), [0], None) == (6, 10)


@pytest.mark.parametrize(
    ("initializer", "variance", "bound"),
    [
        (initializers.GlorotUniform(3), 2 / 300, math.sqrt(6 / 300)),
        (initializers.GlorotNormal(3), 2 / 300, 2 * math.sqrt(2 / 300) / TRUNCATED),
        (initializers.LecunUniform(3), 1 / 100, math.sqrt(3 / 100)),
        (initializers.LecunNormal(3), 1 / 100, 0.2 / TRUNCATED),
        (initializers.HeUniform(3), 2 / 100, math.sqrt(6 / 100)),
        (initializers.HeNormal(3), 2 / 100, 2 * math.sqrt(2 / 100) / TRUNCATED),
        (initializers.VarianceScaling(3.0, "fan_out", "Uniform", 3), 3 / 200, math.sqrt(9 / 200)),
        (initializers.VarianceScaling(seed=3, input_axes=[1], output_axes=[0]), 1 / 200, 1),
        (initializers.VarianceScaling(2.0, "fan_avg", "untruncated_normal", 3), 2 / 150, 1),
        (initializers.RandomNormal(seed=3), 0.05**2, 1),
        (initializers.TruncatedNormal(seed=3), (0.05 * TRUNCATED) ** 2, 0.1),
        (initializers.RandomUniform(seed=3), 0.05**2 / 3, 0.05),
        (initializers.Orthogonal(3.0, 3), 9 / 200, 3),
    ],
)
def test_spread(initializer, variance, bound):
    x = initializer((100, 200)).astype(np.float64)
    assert abs(x.mean()) < 4 * math.sqrt(variance / x.size)
    assert abs(x.var() / variance - 1) < 0.03
    assert bound * 0.9 < np.abs(x).max() <= bound * (1 + 1e-6) or bound in (1, 3)


def test_means_and_bounds():
    assert abs(initializers.RandomNormal(5.0, 2.0, 1)((10_000,)).mean() - 5) < 0.08
    x = initializers.RandomUniform(2.0, 3.0, 1)((10_000,))
    assert 2 <= x.min() < 2.01
    assert 2.99 < x.max() < 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4), (3, 2, 5), (2, 3, 50)])
def test_orthogonal_matrices(shape, dtype):
    x = initializers.Orthogonal(2.0, seed=1)(shape, dtype=dtype)
    assert (x.shape, x.dtype) == (shape, dtype)
    x = x.reshape(-1, shape[-1])
    product = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    tolerance = 2e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=tolerance)


def test_orthogonal_matrices_are_uniform():
    signs = [np.sign(initializers.Orthogonal(seed=s)((2, 2))[0, 0]) for s in range(400)]
    assert abs(np.mean(signs)) < 0.2


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_random_values_have_the_dtype_and_shape(name, dtype):
    x = RANDOM[name](seed=1)([4, 6], dtype=dtype)
    assert type(x) is np.ndarray
    assert (x.shape, x.dtype.name) == ((4, 6), dtype)


@pytest.mark.parametrize("name", RANDOM)
def test_one_initializer_gives_the_same_values_at_each_call(name):
    cls = RANDOM[name]
    unseeded = cls()
    assert (unseeded((4, 5)) == unseeded((4, 5))).all()
    assert (cls()((4, 5)) != unseeded((4, 5))).any()
    assert (unseeded.clone()((4, 5)) != unseeded((4, 5))).any()
    assert (cls(seed=7)((4, 5)) == cls(seed=7)((4, 5))).all()
    assert (cls(seed=7)((4, 5)) == cls(seed=7).clone()((4, 5))).all()
    moving = cls(seed=SeedGenerator(7))
    assert (moving((4, 5)) == cls(seed=7)((4, 5))).all()
    assert (moving((4, 5)) != cls(seed=7)((4, 5))).any()


def test_set_random_seed_repeats_unseeded_initializers():
    set_random_seed(3)
    first = initializers.GlorotUniform()((3, 3))
    set_random_seed(3)
    assert (initializers.GlorotUniform()((3, 3)) == first).all()


# Names and configs.


@pytest.mark.parametrize(("name", "cls"), {**RANDOM, **CONSTANT, "stft": initializers.STFT}.items())
def test_names(name, cls):
    assert getattr(initializers, name) is cls
    assert type(initializers.get(name)) is cls
    assert type(initializers.get(cls.__name__)) is cls
    assert type(initializers.get(cls)) is cls
    config = initializers.serialize(cls())
    assert config["module"] == "keras.initializers"
    assert config["class_name"] == cls.__name__
    again = initializers.deserialize(config)
    assert type(again) is cls
    assert again.get_config() == cls().get_config()
    assert type(initializers.get(config)) is cls


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("normal", initializers.RandomNormal),
        ("uniform", initializers.RandomUniform),
        ("zero", initializers.Zeros),
        ("one", initializers.Ones),
        ("OrthogonalInitializer", initializers.Orthogonal),
        ("IdentityInitializer", initializers.Identity),
        ("STFTInitializer", initializers.STFT),
    ],
)
def test_further_names(name, cls):
    assert type(initializers.get(name)) is cls


AXES = {"input_axes": None, "output_axes": None}


@pytest.mark.parametrize(
    ("initializer", "config"),
    [
        (initializers.Constant(2.5), {"value": 2.5}),
        (initializers.Identity(3.0), {"gain": 3.0}),
        (
            initializers.STFT("imag", None, None, True),
            {"side": "imag", "window": None, "periodic": True, "scaling": None},
        ),
        (initializers.Orthogonal(2.0, 1), {"seed": 1, "gain": 2.0}),
        (initializers.RandomNormal(1.0, 2.0), {"seed": None, "mean": 1.0, "stddev": 2.0}),
        (initializers.TruncatedNormal(1.0, 2.0, 3), {"seed": 3, "mean": 1.0, "stddev": 2.0}),
        (initializers.RandomUniform(0.0, 2.0, 3), {"seed": 3, "minval": 0.0, "maxval": 2.0}),
        (initializers.HeNormal(5), {"seed": 5, **AXES}),
        (
            initializers.GlorotUniform(5, [0], [1]),
            {"seed": 5, "input_axes": [0], "output_axes": [1]},
        ),
        (
            initializers.VarianceScaling(2.0, "fan_out", "normal", 7),
            {
                "seed": 7,
                "scale": 2.0,
                "mode": "fan_out",
                "distribution": "truncated_normal",
                **AXES,
            },
        ),
        (
            initializers.Orthogonal(seed=SeedGenerator(3, name="g")),
            {
                "seed": {
                    "module": "keras.random",
                    "class_name": "SeedGenerator",
                    "config": {"seed": 3, "name": "g"},
                    "registered_name": None,
                },
                "gain": 1.0,
            },
        ),
    ],
)
def test_configs_are_those_of_keras(initializer, config):
    assert initializer.get_config() == config
    again = type(initializer).from_config(config)
    shape = (4, 1, 5) if isinstance(initializer, initializers.STFT) else (4, 5)
    if config.get("seed", 0) is not None:
        assert (again(shape) == initializer.clone()(shape)).all()


def test_arrays_in_configs_come_back():
    initializer = initializers.STFT(window=np.hanning(8))
    again = initializers.deserialize(initializers.serialize(initializer))
    assert (again((8, 1, 5)) == initializer((8, 1, 5))).all()
    initializer = initializers.Constant(np.arange(3.0))
    again = initializers.deserialize(initializers.serialize(initializer))
    assert (again((2, 3)) == initializer((2, 3))).all()


def test_arrays_and_functions_as_initializers():
    for values in (np.arange(6.0).reshape(2, 3), array_api_strict.ones((2, 3))):
        given = initializers.get(values)
        x = given((2, 3), dtype="float32")
        assert x.dtype == np.float32
        assert (x == np.asarray(getattr(values, "_array", values))).all()
        with pytest.raises(ValueError, match=r"shape \(2, 3\) was asked for \(3, 2\)"):
            given((3, 2))

    def twos(shape, dtype=None):
        return np.full(shape, 2.0, dtype)

    assert initializers.get(twos) is twos
    assert initializers.get(None) is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: initializers.get("glorot_unifrom"), ValueError, "glorot_uniform"),
        (lambda: initializers.get(3), TypeError, "initializers.get"),
        (lambda: initializers.HeNormal("abc"), TypeError, "HeNormal: seed"),
        (lambda: initializers.VarianceScaling(0.0), ValueError, "scale must be positive"),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "mode must be"),
        (lambda: initializers.VarianceScaling(distribution="x"), ValueError, "distribution"),
        (lambda: initializers.Orthogonal()((5,)), ValueError, "two axes or more"),
        (lambda: initializers.STFT("both"), ValueError, "side"),
        (lambda: initializers.STFT(window="x"), ValueError, "window"),
        (lambda: initializers.STFT(scaling="x"), ValueError, "scaling"),
        (lambda: initializers.STFT(window=np.ones(3))((4, 1, 3)), ValueError, "4 values"),
        (lambda: initializers.Initializer()((2,)), NotImplementedError, "__call__"),
        (lambda: initializers.RandomNormal()((2,), dtype="int32"), ValueError, "floating"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
