"""Dropout: what stays, what grows, and that the gradient uses the same mask."""

import array_api_strict
import numpy as np
import pytest
from checks import check_primitive

import gpulayers.random as public
from gpulayers.arrays import Tape, Variable, namespace, random
from gpulayers.cpu import dropout as fast
from gpulayers.ops.dropout import dropout

pytestmark = pytest.mark.usefixtures("loops")


def example(shape=(7, 9), dtype=np.float32):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (7, 9), (0, 3), (2, 3, 5)])
@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
def test_elements_are_kept_and_scaled_or_zero(rate, shape, dtype):
    x = example(shape, dtype)
    y = dropout(x, rate=rate, seed=(3, 4))
    kept = random.dropout_mask(shape, rate, (3, 4)) if 0 < rate < 1 else np.bool_(rate == 0)
    wide = np.promote_types(dtype, np.float32)  # 16-bit floats are computed in float32.
    scaled = x.astype(wide) * wide.type(1 / (1 - rate) if rate < 1 else 0.0)
    assert y.dtype == dtype
    assert np.array_equal(y, np.where(kept, scaled, 0).astype(dtype))


@pytest.mark.parametrize("noise_shape", [None, (None, 1), (1, 9), (1, None), (7, 1), [1, 1]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fast_version_is_the_reference(noise_shape, dtype):
    x = example(dtype=dtype).T.copy().T  # Another order of the axes in memory.
    options = {"rate": 0.4, "noise_shape": noise_shape, "seed": (5, 1)}
    y = dropout(x, **options)
    assert np.array_equal(y, dropout.reference(x, **options))
    strict = dropout(array_api_strict.asarray(x.copy()), **options)
    assert np.array_equal(y, np.asarray(strict._array))
    assert ((y == 0) | np.isclose(y, x / 0.6)).all()


def test_one_decision_counts_for_a_broadcast_axis():
    y = dropout(np.ones((50, 4), np.float32), rate=0.5, noise_shape=(None, 1), seed=(1, 0))
    assert (y == y[:, :1]).all()
    assert 10 < (y[:, 0] > 0).sum() < 40


def test_what_is_dropped_is_zero_whatever_it_was():
    x = np.full((400,), np.nan, np.float32)
    x[::2] = np.inf
    y = dropout(x, rate=0.5, seed=(1, 0))
    kept = random.dropout_mask((400,), 0.5, (1, 0))
    assert (y[~kept] == 0).all()
    assert not np.isfinite(y[kept]).any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("most", [62, 63], ids=["made again", "kept"])
def test_the_gradient_passes_the_same_mask(most, rate, dtype, monkeypatch):
    monkeypatch.setattr(fast, "KEPT", most)
    v = Variable(example(), dtype=dtype)
    weights = np.arange(63, dtype=dtype).reshape(7, 9)
    with Tape() as tape:
        y = dropout(v, rate=rate, noise_shape=(7, 9), seed=(2, 2))
        total = namespace(y).sum(y * weights)
    expected = dropout(weights, rate=rate, noise_shape=(7, 9), seed=(2, 2))
    assert np.array_equal(tape.gradient(total, v), expected)


def test_the_gradient_of_a_gradient():
    v = Variable(example((4, 5), np.float64))
    with Tape() as outer:
        with Tape() as inner:
            y = dropout(v, rate=0.5, seed=(2, 2))
            total = namespace(y).sum(y * y * y)
        g = inner.gradient(total, v)
        second = namespace(g).sum(g)
    kept = random.dropout_mask((4, 5), 0.5, (2, 2))
    expected = np.where(kept, 6 * 8 * v.numpy(), 0)
    np.testing.assert_allclose(outer.gradient(second, v), expected, rtol=1e-12)


@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_the_primitive(noise_shape):
    x = example((4, 3), np.float64)
    check_primitive(dropout, x, rate=0.3, noise_shape=noise_shape, seed=(1, 1))


def test_the_public_function_uses_up_seeds_only_when_it_draws():
    generator, x = random.SeedGenerator(1), example()
    assert public.dropout(x, 0, seed=generator) is x
    assert not public.dropout(x, 1, seed=generator).any()
    assert generator.state.numpy().tolist() == [1, 0]
    first = public.dropout(x, 0.5, seed=generator)
    assert np.array_equal(first, dropout(x, rate=0.5, seed=(1, 0)))
    assert not np.array_equal(first, public.dropout(x, 0.5, seed=generator))
    assert np.array_equal(first, public.dropout(x, 0.5, seed=1))


@pytest.mark.parametrize("noise_shape", [(7,), (7, 3), (7, 9, 1), (14, 9)])
def test_a_noise_shape_that_does_not_fit_is_refused(noise_shape):
    with pytest.raises(ValueError, match=r"noise_shape .* does not broadcast"):
        dropout(example(), rate=0.5, noise_shape=noise_shape, seed=(0, 0))


def test_integers_are_refused():
    with pytest.raises(TypeError, match="expected a floating array, got int32"):
        dropout(np.ones(3, np.int32), rate=0.5, seed=(0, 0))
