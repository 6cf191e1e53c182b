"""Random bits and numbers against their specification, written once more in Python's numbers."""

import math
import threading
from statistics import NormalDist

import numpy as np
import pytest

from gpulayers.arrays import philox, random
from gpulayers.arrays.quantile import A, B, C, D, E, F, normal_quantile

MASK = 2**64 - 1
STREAMS = [(0, 0), (1, 0), (1, 1), (-1, 5), (2**64 - 1, 2**63), (123456789012345, 2**40 + 7)]


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


@pytest.mark.parametrize(("seed", "counter"), STREAMS)
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
    for start in (0, 1, 15, 16, 17, 50):
        expected = [quarter(words, start + q) for q in range(count)]
        assert philox.quarters(5, 6, count, start).tolist() == expected


@pytest.mark.parametrize(("seed", "counter"), STREAMS)
def test_uniform_numbers_have_the_specified_bits(seed, counter):
    words = philox_words(seed, counter, 21)
    x = random.uniform((3, 7), dtype="float32", seed=(seed, counter))
    assert x.ravel().tolist() == [(half(words, h) >> 8) * 2.0**-24 for h in range(21)]
    x = random.uniform((3, 7), dtype="float64", seed=(seed, counter))
    assert x.ravel().tolist() == [(w >> 11) * 2.0**-53 for w in words]


@pytest.mark.parametrize(("seed", "counter"), STREAMS)
@pytest.mark.parametrize(("part", "draw"), [(1.0, random.normal), (None, random.truncated_normal)])
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
    assert normal_quantile(q).tolist() == [quantile(v) for v in q.tolist()]


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
