"""Random bits against a Philox of our own, numbers against their formulas, and their statistics."""

import math
import random as python_random
import threading
from statistics import NormalDist

import array_api_strict
import numpy as np
import pytest

import gpulayers.random as public
from gpulayers.arrays import Abstract, Tape, Variable, infer, namespace, philox, random
from gpulayers.arrays.quantile import A, B, C, D, E, F, normal_quantile
from gpulayers.arrays.seeds import get_random_seed, global_seed_generator

MASK = 2**64 - 1
STREAMS = [(0, 0), (1, 0), (1, 1), (-1, 5), (2**64 - 1, 2**63), (123456789012345, 2**40 + 7)]
SAMPLES = 200_000


# The specification in `philox`, word for word, in Python's own numbers.


def philox_words(seed, counter, count):
    words = []
    for block in range((count + 3) // 4):
        c0, c1, c2, c3 = block + 1, 0, counter & MASK, 0
        k0, k1 = seed & MASK, 0
        for _ in range(10):
            a, b = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
            c0, c1, c2, c3 = (b >> 64) ^ c1 ^ k0, b & MASK, (a >> 64) ^ c3 ^ k1, a & MASK
            k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
        words += [c0, c1, c2, c3]
    return words[:count]


def half(words, h):
    return words[h // 2] >> 32 * (h % 2) & 0xFFFFFFFF


def quarter(words, q):
    return words[q // 4] >> 16 * (q % 4) & 0xFFFF


def signed(bits, width):
    return bits - (1 << width) if bits >> (width - 1) else bits


def polynomial(coefficients, x):
    value = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * x + c
    return value


def logarithm(p):
    m, e = math.frexp(p)
    if m < math.sqrt(0.5):
        m, e = 2 * m, e - 1
    s = (m - 1) / (m + 1)
    return 2 * s * polynomial([1 / (2 * k + 1) for k in range(11)], s * s) + e * 0.6931471805599453


def quantile(q):
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * polynomial(A, r) / polynomial(B, r)
    r = math.sqrt(-logarithm(0.5 - abs(q)))
    above, below, r = (C, D, r - 1.6) if r <= 5 else (E, F, r - 5)
    return math.copysign(polynomial(above, r) / polynomial(below, r), q)


@pytest.mark.parametrize("seed, counter", STREAMS)
def test_words_are_those_of_philox(seed, counter):
    assert philox.words(seed, counter, 43).tolist() == philox_words(seed, counter, 43)


def test_words_do_not_depend_on_what_was_drawn_before():
    philox.words(3, 4, 5)
    a = philox.words(1, 2, 10)
    philox.quarters(9, 9, 3)
    assert philox.words(1, 2, 7).tolist() == a[:7].tolist()


def test_threads_do_not_disturb_each_other():
    wrong = []

    def draw(seed):
        expected = philox_words(seed, 0, 40)
        for _ in range(200):
            if philox.words(seed, 0, 40).tolist() != expected:
                wrong.append(seed)

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 17])
def test_parts_of_words_come_lowest_first(count):
    words = philox_words(5, 6, 20)
    assert philox.halves(5, 6, count).tolist() == [half(words, h) for h in range(count)]
    assert philox.quarters(5, 6, count).tolist() == [quarter(words, q) for q in range(count)]


@pytest.mark.parametrize("seed, counter", STREAMS)
def test_uniform_numbers_have_the_specified_bits(seed, counter):
    words = philox_words(seed, counter, 21)
    x = random.uniform((3, 7), dtype="float32", seed=(seed, counter))
    assert x.ravel().tolist() == [(half(words, h) >> 8) * 2.0**-24 for h in range(21)]
    x = random.uniform((3, 7), dtype="float64", seed=(seed, counter))
    assert x.ravel().tolist() == [(w >> 11) * 2.0**-53 for w in words]


@pytest.mark.parametrize("seed, counter", STREAMS)
@pytest.mark.parametrize("part, draw", [(1.0, random.normal), (None, random.truncated_normal)])
def test_normal_numbers_have_the_specified_bits(seed, counter, part, draw):
    part = math.erf(math.sqrt(2)) if part is None else part
    words = philox_words(seed, counter, 400)
    q = [(signed(half(words, h), 32) + 0.5) * 2.0**-32 * part for h in range(400)]
    expected = np.array([quantile(v) * 3.0 + 2.0 for v in q])
    x = draw((400,), 2.0, 3.0, dtype="float32", seed=(seed, counter))
    assert x.tolist() == expected.astype(np.float32).tolist()
    q = [((signed(w, 64) >> 11) + 0.5) * 2.0**-53 * part for w in words]
    x = draw((400,), dtype="float64", seed=(seed, counter))
    assert x.tolist() == [quantile(v) for v in q]


def test_normal_quantile_is_the_inverse_of_the_distribution():
    q = np.array([1e-9, 0.1, 0.4249, 0.4251, 0.49, 0.4999999, 0.5 - 2**-33, 0.5 - 2**-54])
    expected = [-NormalDist().inv_cdf(0.5 - v) for v in q]
    np.testing.assert_allclose(normal_quantile(q), expected, rtol=1e-7)
    np.testing.assert_allclose(normal_quantile(q)[1:], expected[1:], rtol=2e-15)
    assert normal_quantile(-q).tolist() == (-normal_quantile(q)).tolist()


def test_integers_have_the_specified_bits():
    words = philox_words(8, 1, 12)
    x = random.randint((12,), -5, 1000, seed=(8, 1))
    assert x.tolist() == [-5 + (w * 1005 >> 64) for w in words]
    x = random.randint((6,), -(2**62), 2**62, dtype="int64", seed=(8, 1))
    pairs = zip(words[::2], words[1::2], strict=True)
    assert x.tolist() == [-(2**62) + (a * 2**64 + b) % 2**63 for a, b in pairs]


@pytest.mark.parametrize("rate", [0.1, 0.5, 1e-6, 0.999999])
def test_dropout_mask_has_the_specified_bits(rate):
    words = philox_words(8, 2, 10)
    limit = math.floor(rate * 65536 + 0.5)
    kept = random.dropout_mask((5, 8), rate, (8, 2))
    assert kept.ravel().tolist() == [quarter(words, e) >= limit for e in range(40)]


# Statistics.


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
    "name, distribution, mean, stddev",
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
    "draw, mean, variance",
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


# Seeds.


def test_one_seed_gives_one_draw():
    a = random.normal((5,), seed=3)
    assert (random.normal((5,), seed=3) == a).all()
    assert (random.normal((5,), seed=(3, 0)) == a).all()
    assert (random.normal((5,), seed=np.int64(3)) == a).all()
    assert (random.normal((5,), seed=4) != a).all()
    assert (random.normal((5,), seed=(3, 1)) != a).all()


def test_a_generator_moves_on_and_its_state_says_all():
    generator = random.SeedGenerator(seed=7)
    draws = [random.uniform((4,), seed=generator) for _ in range(3)]
    assert (draws[0] == random.uniform((4,), seed=7)).all()
    assert (draws[2] == random.uniform((4,), seed=(7, 2))).all()
    assert generator.state.numpy().tolist() == [7, 3]
    assert not generator.state.trainable
    generator.state.assign([7, 1])
    assert (random.uniform((4,), seed=generator) == draws[1]).all()
    assert generator.next() == (7, 2)
    assert generator.next(ordered=False) == (7, 3)


@pytest.mark.parametrize("seed", [-1, 2**40, 2**63, 2**64 - 1])
def test_a_generator_takes_seeds_of_64_bits(seed):
    a = random.uniform((4,), seed=random.SeedGenerator(seed))
    assert (a == random.uniform((4,), seed=seed)).all()


def test_a_generator_comes_back_from_its_config():
    generator = random.SeedGenerator(seed=7, name="mine")
    assert generator.get_config() == {"seed": 7, "name": "mine"}
    again = random.SeedGenerator.from_config(generator.get_config())
    assert again.next() == (7, 0)
    assert random.SeedGenerator().get_config()["seed"] is None
    assert random.SeedGenerator().next() != random.SeedGenerator().next()


def test_set_random_seed_repeats_everything():
    def program():
        random.set_random_seed(11)
        return [
            random.normal((3,)).tolist(),
            random.normal((3,)).tolist(),
            random.SeedGenerator().next(),
            python_random.random(),
            np.random.rand(),
        ]

    first = program()
    random.normal((3,))
    assert program() == first
    assert first[0] != first[1]
    assert get_random_seed() == 11
    assert global_seed_generator().state.numpy()[1] == 2


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
    "call, error, message",
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
        (lambda: random.set_random_seed(-1), ValueError, "2\\*\\*32"),
        (lambda: random.categorical(np.ones(3), 2), ValueError, "rows, classes"),
        (lambda: public.dropout(np.ones(3), 1.5), ValueError, "rate between 0 and 1"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_public_names_are_those_of_keras():
    assert sorted(public.__all__) == sorted(
        "SeedGenerator beta binomial categorical dropout gamma normal randint shuffle "
        "truncated_normal uniform".split()
    )
