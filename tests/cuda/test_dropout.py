"""The kernel of dropout: NumPy's masks, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, kind

from gpulayers.arrays import Tape, random
from gpulayers.cuda import dropout as kernels
from gpulayers.ops.dropout import dropout

SEED = (2**64 - 3, 5)


def numbers(shape, dtype="float32"):
    return np.random.default_rng(0).normal(size=shape).astype(kind(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "shape", [(), (0,), (1,), (15,), (16,), (17,), (511,), (512,), (513,), (9, 500)]
)
def test_results_are_numpys_bit_for_bit(cupy, order, shape, dtype):
    x = numbers(shape, dtype)
    out = dropout.version("cupy")(cupy.asarray(x), rate=0.3, seed=SEED)
    assert out.get().tobytes() == dropout(x, rate=0.3, seed=SEED).tobytes()


@pytest.mark.parametrize("rate", [1e-6, 0.25, 0.5, 0.999, 1 - 1e-6])
def test_rates(cupy, rate):
    x = numbers(4100)
    out = dropout(cupy.asarray(x), rate=rate, seed=(1, 2**64 + 7))
    assert np.array_equal(out.get(), dropout(x, rate=rate, seed=(1, 7)))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_nothing_or_everything_is_dropped(cupy, rate):
    x = numbers((3, 5))
    out = dropout(cupy.asarray(x), rate=rate, seed=SEED)
    assert np.array_equal(out.get(), x * (1 - rate))


NOISE = [
    (None, 1, None),
    (1, None, None),
    (None, None, 1),
    (1, 1, 1),
    (None, 1, 1),
    (1, 1, None),
    (4, 1, 6),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("noise_shape", NOISE)
def test_shared_decisions(cupy, noise_shape, dtype):
    x = numbers((4, 5, 6), dtype)
    options = {"rate": 0.4, "seed": SEED, "noise_shape": noise_shape}
    out = dropout.version("cupy")(cupy.asarray(x), **options)
    assert out.get().tobytes() == dropout(x, **options).tobytes()


def test_other_noise_shapes_are_left_to_the_reference(cupy):
    x = numbers((4, 5, 6))
    options = {"rate": 0.4, "seed": SEED, "noise_shape": (1, None, 1)}
    assert dropout.version("cupy")(cupy.asarray(x), **options) is NotImplemented
    assert np.array_equal(dropout(cupy.asarray(x), **options).get(), dropout(x, **options))


def test_what_is_dropped_is_zero_whatever_it_was(cupy):
    x = np.full(100, np.nan, "f4")
    out = dropout(cupy.asarray(x), rate=0.5, seed=SEED).get()
    kept = random.keep((100,), 0.5, *SEED)
    assert np.isnan(out[kept]).all()
    assert (out[~kept] == 0).all()


@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_the_gradient_has_the_same_mask(cupy, noise_shape):
    x, g = numbers((30, 20)), numbers((20, 30)).T
    there = cupy.asarray(x)
    with Tape() as tape:
        out = dropout(tape.watch(there), rate=0.3, noise_shape=noise_shape, seed=SEED)
    dx = tape.gradient(out, there, cupy.asarray(g))
    expected = dropout(np.ascontiguousarray(g), rate=0.3, noise_shape=noise_shape, seed=SEED)
    assert np.array_equal(dx.get(), expected)


@pytest.mark.parametrize("start", [1, 2, 3])
def test_arrays_that_no_vector_fits(cupy, start):
    x = numbers(70)
    out = dropout(cupy.asarray(x)[start:], rate=0.3, seed=SEED)
    assert np.array_equal(out.get(), dropout(x[start:], rate=0.3, seed=SEED))


def test_views(cupy):
    x = numbers((30, 20))
    out = dropout(cupy.asarray(x).T, rate=0.3, seed=SEED)
    assert np.array_equal(out.get(), dropout(x.T, rate=0.3, seed=SEED))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 4096, 4099])
def test_masks(cupy, count):
    mask = kernels.mask(count, 0.3, SEED)
    assert mask.dtype == bool
    assert np.array_equal(mask.get(), random.keep((count,), 0.3, *SEED))
