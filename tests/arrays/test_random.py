"""Random numbers: their statistics, where they live, what is refused."""

import math

import array_api_strict
import numpy as np
import pytest

import gpulayers.random as public
from gpulayers.arrays import Abstract, Tape, Variable, infer, namespace, philox, random

SAMPLES = 200_000


def kolmogorov_smirnov(x, distribution):
    """How far, in its own units, the samples are from the distribution: above 2 is 1 in 1500."""
    x = np.sort(x.ravel().astype(np.float64))
    p = distribution(x)
    steps = np.arange(x.size + 1) / x.size
    return math.sqrt(x.size) * max(np.max(steps[1:] - p), np.max(p - steps[:-1]))


def normal_distribution(x):
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])


def truncated_distribution(x):
    low = normal_distribution([-2.0])[0]
    return (normal_distribution(x) - low) / (1 - 2 * low)


@pytest.mark.parametrize("seed", [0, 1, 42])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "distribution", "mean", "stddev"),
    [
        ("uniform", lambda x: x, 0.5, 12**-0.5),
        ("normal", normal_distribution, 0.0, 1.0),
        ("truncated_normal", truncated_distribution, 0.0, 0.87962566103423978),
    ],
)
def test_continuous_distributions(name, distribution, mean, stddev, dtype, seed):
    x = getattr(random, name)((SAMPLES,), dtype=dtype, seed=seed)
    assert x.dtype == dtype
    assert kolmogorov_smirnov(x, distribution) < 2
    wide = x.astype(np.float64)
    assert abs(wide.mean() - mean) < 4 * stddev / math.sqrt(SAMPLES)
    assert abs(wide.std() / stddev - 1) < 4 / math.sqrt(SAMPLES)
    neighbours = np.corrcoef(wide[:-1], wide[1:])[0, 1]
    assert abs(neighbours) < 4 / math.sqrt(SAMPLES)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_bounds_hold_in_every_dtype(dtype):
    x = random.uniform((SAMPLES,), 1.0, 3.0, dtype=dtype, seed=1).astype(np.float64)
    assert x.min() >= 1
    assert x.max() < 3
    x = random.truncated_normal((SAMPLES,), 1.0, 3.0, dtype=dtype, seed=1).astype(np.float64)
    assert x.min() >= -5
    assert x.max() <= 7
    assert random.normal((9,), dtype=dtype, seed=1).dtype.name == dtype


def test_uniform_takes_equal_and_several_bounds():
    assert random.uniform((3,), 2.0, 2.0, seed=1).tolist() == [2.0] * 3
    x = random.uniform((1000, 2), np.array([0.0, 10.0]), np.array([1.0, 30.0]), seed=1)
    assert x.dtype == np.float32
    assert x[:, 0].max() < 1
    assert 10 <= x[:, 1].min() < 11
    assert 29 < x[:, 1].max() < 30


def test_whole_numbers_are_spread_evenly():
    x = random.randint((SAMPLES,), -3, 7, seed=2)
    assert x.dtype == np.int32
    counts = np.bincount(x + 3, minlength=10)
    chi_square = ((counts - SAMPLES / 10) ** 2 / (SAMPLES / 10)).sum()
    assert counts.size == 10
    assert chi_square < 28  # 1 in 1000 for 9 degrees of freedom.


def test_whole_numbers_below_bounds():
    bounds = np.array([[3], [2**32], [1]])
    x = random.below(bounds, (3, SAMPLES), seed=2)
    assert x.dtype == np.intp and x.min() == 0
    halves = philox.halves(2, 0, 3 * SAMPLES).astype(np.int64).reshape(3, SAMPLES)
    np.testing.assert_array_equal(x, [halves[0] * 3 >> 32, halves[1], halves[2] * 0])
    np.testing.assert_allclose(np.bincount(x[0]) / SAMPLES, 1 / 3, atol=0.01)


def test_dropout_keeps_the_right_part():
    for rate in (0.1, 0.5, 0.9):
        kept = random.dropout_mask((SAMPLES,), rate, 3).mean()
        assert abs(kept - (1 - rate)) < 4 * math.sqrt(rate * (1 - rate) / SAMPLES)


def test_categorical_follows_the_probabilities():
    p = np.array([[0.1, 0.0, 0.6, 0.3], [0.25, 0.25, 0.25, 0.25]])
    with np.errstate(divide="ignore"):
        x = random.categorical(np.log(p).astype(np.float32), 50_000, seed=4)
    assert x.shape == (2, 50_000)
    assert x.dtype == np.int32
    counts = np.stack([np.bincount(row, minlength=4) for row in x]) / 50_000
    np.testing.assert_allclose(counts, p, atol=0.008)
    assert counts[0, 1] == 0


def test_shuffle_keeps_slices_whole():
    x = np.arange(40).reshape(10, 4)
    y = random.shuffle(x, seed=5)
    assert sorted(y[:, 0]) == list(x[:, 0])
    assert (y - y[:, :1] == np.arange(4)).all()
    assert (y != x).any()
    z = random.shuffle(x, axis=1, seed=5)
    assert sorted(z[0]) == [0, 1, 2, 3]
    first = [random.shuffle(np.arange(4), seed=s)[0] for s in range(4000)]
    assert (np.bincount(first) > 850).all()


@pytest.mark.parametrize(
    ("draw", "mean", "variance"),
    [
        (lambda **k: random.gamma((SAMPLES,), 2.5, **k), 2.5, 2.5),
        (lambda **k: random.beta((SAMPLES,), 2.0, 3.0, **k), 0.4, 0.04),
        (lambda **k: random.binomial((SAMPLES,), 10, 0.3, **k), 3.0, 2.1),
    ],
)
def test_distributions_by_numpy(draw, mean, variance):
    x = draw(seed=(7, 3))
    assert x.dtype == np.float32
    assert abs(x.mean(dtype=float) - mean) < 4 * math.sqrt(variance / SAMPLES)
    assert abs(x.var(dtype=float) / variance - 1) < 0.03
    assert (draw(seed=(7, 3)) == x).all()
    assert (draw(seed=(7, 4)) != x).any()


def test_distributions_by_numpy_take_arrays():
    x = random.gamma((1000, 2), np.array([1.0, 50.0]), seed=1)
    assert x[:, 0].mean() < 2 < 40 < x[:, 1].mean()


# Arrays of other kinds.


def test_like_decides_where_the_result_lives():
    x = array_api_strict.ones((2, 3), dtype=array_api_strict.float64)
    y = random.normal((2, 3), seed=1, like=x)
    assert namespace(y) is array_api_strict
    assert y.dtype == array_api_strict.float64
    assert (np.asarray(y._array) == random.normal((2, 3), dtype="float64", seed=1)).all()
    assert random.normal((3,), like=np.ones(2, np.int32)).dtype == np.float32
    assert random.uniform((3,), dtype="float32", like=x).dtype == array_api_strict.float32
    logits = array_api_strict.zeros((2, 3))
    assert random.categorical(logits, 5, seed=1).shape == (2, 5)
    assert namespace(random.shuffle(x, seed=1)) is array_api_strict


def test_draws_beside_recorded_arrays_are_constants():
    v = Variable(np.ones((4,), np.float32))
    with Tape() as tape:
        x = v.value
        noise = random.normal(x.shape, seed=1, like=x)
        y = namespace(x).sum(x * noise)
    assert type(noise) is np.ndarray
    assert (tape.gradient(y, v) == noise).all()


def test_abstract_draws_leave_the_seed_alone():
    generator, x = random.SeedGenerator(1), Abstract((4, 3), "float64")
    drawn = [
        random.normal((2, 3), seed=generator, like=x),
        random.uniform((2, 3), seed=generator, dtype="float32", like=x),
        random.randint((2, 3), 0, 4, seed=generator, like=x),
        random.categorical(x, 3, seed=generator),
        random.shuffle(x, seed=generator),
        public.dropout(x, 0.5, seed=generator),
    ]
    assert all(isinstance(y, Abstract) for y in drawn)
    shapes = [(2, 3), (2, 3), (2, 3), (4, 3), (4, 3), (4, 3)]
    assert [y.shape for y in drawn] == shapes
    names = ["float64", "float32", "int32", "int32", "float64", "float64"]
    assert [y.dtype.name for y in drawn] == names
    assert generator.state.numpy().tolist() == [1, 0]


def test_shape_inference_leaves_the_seed_alone():
    generator = random.SeedGenerator(1)
    out = infer(lambda x: x + random.normal(x.shape, seed=generator), Abstract((None, 3)))
    assert out.shape == (None, 3)
    assert generator.state.numpy().tolist() == [1, 0]


# Bad input.


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.uniform((2,), dtype="int32"), ValueError, "floating dtype"),
        (lambda: random.normal((2,), dtype="bool"), ValueError, "floating dtype"),
        (lambda: random.randint((2,), 0, 4, dtype="float32"), ValueError, "integer dtype"),
        (lambda: random.randint((2,), 4, 4), ValueError, "minval < maxval"),
        (lambda: random.randint((2,), 0, 300, dtype="uint8"), ValueError, "cannot hold"),
        (lambda: random.normal((None, 2)), TypeError, "whole numbers"),
        (lambda: random.normal((2,), seed="abc"), TypeError, "seed"),
        (lambda: random.normal((2,), seed=1.5), TypeError, "seed"),
        (lambda: random.SeedGenerator("abc"), TypeError, "seed"),
        (lambda: random.SeedGenerator(1, size=3), TypeError, "size"),
        (lambda: random.set_random_seed(-1), ValueError, r"2\*\*32"),
        (lambda: random.categorical(np.ones(3), 2), ValueError, "rows, classes"),
        (lambda: public.dropout(np.ones(3), 1.5), ValueError, "rate between 0 and 1"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_public_names_are_those_of_keras():
    names = """SeedGenerator beta binomial categorical dropout gamma normal randint shuffle
        truncated_normal uniform"""
    assert sorted(public.__all__) == sorted(names.split())
