"""Pooling and its gradients: against a plain loop, and against differences."""

import itertools
import math

import numpy as np
import pytest
from checks import check_gradient, check_primitive
from function_checks import real
from hypothesis import given, settings
from hypothesis import strategies as st

from gpulayers import ops
from gpulayers.arrays import Tape
from gpulayers.ops.pooling import average_pooling, max_pooling
from gpulayers.ops.sliding import counts

pytestmark = pytest.mark.usefixtures("loops")

EXTREMUM = {max_pooling: np.max, average_pooling: np.mean}


def by_loop(operation, x, windows, strides, padding):
    """Each window on its own, cut off where the array ends."""
    count = counts(x.shape[1:-1], windows, strides, padding, (1,) * len(windows))
    y = np.zeros((len(x), *count, x.shape[-1]))
    for place in itertools.product(*map(range, count)):
        starts = [i * s - low for i, s, (low, _) in zip(place, strides, padding, strict=True)]
        seen = x[(slice(None), *(slice(max(a, 0), a + k) for a, k in zip(starts, windows)))]
        axes = tuple(range(1, x.ndim - 1))
        y[(slice(None), *place)] = EXTREMUM[operation](seen, axis=axes)
    return y


def distinct(*shape):
    """Different numbers of both signs, far enough apart for differences."""
    n = math.prod(shape)
    return (np.random.default_rng(n).permutation(n) / max(n, 1) - 0.4).reshape(shape)


@st.composite
def geometries(draw):
    """The shape of x and options; each window sees something of it."""
    rank = draw(st.integers(1, 3))
    windows, strides, more = (
        tuple(draw(st.integers(least, most)) for _ in range(rank))
        for least, most in ((1, 3), (1, 3), (0, 3))
    )
    padding = tuple(tuple(draw(st.integers(0, k - 1)) for _ in range(2)) for k in windows)
    sizes = tuple(k + m for k, m in zip(windows, more, strict=True))
    shape = (draw(st.integers(0, 2)), *sizes, draw(st.integers(1, 3)))
    return shape, {"windows": windows, "strides": strides, "padding": padding}


@settings(max_examples=300, deadline=None)
@given(geometries(), st.sampled_from([max_pooling, average_pooling]))
def test_any_geometry(geometry, operation):
    """Versions for NumPy and references, and their gradients in float32."""
    shape, options = geometry
    x = distinct(*shape).astype("float32")
    expected = by_loop(operation, x, **options)
    for call in (operation, operation.reference):
        np.testing.assert_allclose(call(x, **options), expected, rtol=1e-5, atol=1e-6)
    g = np.random.default_rng(0).normal(size=expected.shape).astype("float32")
    with Tape([]) as tape:
        watched = tape.watch(x)
        out = operation(watched, **options)
    found = tape.gradient(out, [watched], g)[0]
    (rule,) = operation._vjp(np, expected.astype("float32"), x, **options)
    np.testing.assert_allclose(found, rule(g), rtol=1e-5, atol=1e-6)
    if operation is average_pooling:  # Linear: <g, A x> = <A' g, x>.
        np.testing.assert_allclose(np.sum(found * x), np.sum(g * expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("operation", [max_pooling, average_pooling])
@pytest.mark.parametrize(
    ("shape", "windows", "strides", "padding"),
    [
        ((2, 7, 3), (3,), (2,), ((1, 1),)),
        ((2, 5, 4, 2), (2, 3), (1, 2), ((0, 1), (1, 1))),
        ((1, 3, 4, 3, 2), (2, 2, 2), (2, 1, 2), ((0, 1), (0, 0), (1, 0))),
        ((0, 4, 4, 2), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ],
)
def test_every_way(operation, shape, windows, strides, padding):
    options = {"windows": windows, "strides": strides, "padding": padding}
    check_primitive(operation, distinct(*shape), **options)


def test_the_gradient_goes_to_the_first_of_equals():
    x = np.array([1.0, 1, 0, 2, 2, 2]).reshape(1, 6, 1)
    with Tape([]) as tape:
        watched = tape.watch(x)
        y = ops.max_pool(watched, 3)
    found = tape.gradient(y, [watched], np.array([5.0, 7]).reshape(1, 2, 1))[0]
    np.testing.assert_array_equal(found[0, :, 0], [5, 0, 0, 7, 0, 0])


def test_infinities_and_integers():
    x = np.array([-np.inf, -np.inf, 1, -np.inf]).reshape(1, 4, 1)
    np.testing.assert_array_equal(ops.max_pool(x, 2)[0, :, 0], [-np.inf, 1])
    whole = np.array([-3, -7, -5], dtype="int32").reshape(1, 3, 1)
    largest = ops.max_pool(whole, 2, padding="same")
    assert largest.dtype == np.int32
    np.testing.assert_array_equal(largest[0, :, 0], [-3, -5])
    mean = ops.average_pool(whole, 2, padding="same")
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean[0, :, 0], [-5, -5])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_margins_do_not_count(data_format):
    """The mean of `same` windows is that of what they see: Keras's rule on JAX and TensorFlow."""
    x = np.arange(1.0, 6).reshape(1, 5, 1)
    x = x.swapaxes(1, 2) if data_format == "channels_first" else x
    mean = ops.average_pool(x, 2, padding="same", data_format=data_format)
    np.testing.assert_array_equal(mean.ravel(), [1.5, 3.5, 5])
    largest = ops.max_pool(-x, 4, 2, "same", data_format)
    np.testing.assert_array_equal(largest.ravel(), [-1, -2, -4])


@pytest.mark.parametrize(("size", "parts"), [(6, 3), (5, 3), (2, 5), (1, 1), (7, 7)])
def test_adaptive(size, parts):
    """Parts from floor(i n / m) to ceil((i + 1) n / m)."""
    x = distinct(2, size, 3)
    bounds = [(i * size // parts, math.ceil((i + 1) * size / parts)) for i in range(parts)]
    for call, reduce in ((ops.adaptive_average_pool, np.mean), (ops.adaptive_max_pool, np.max)):
        expected = np.stack([reduce(x[:, a:b], axis=1) for a, b in bounds], axis=1)
        np.testing.assert_allclose(call(x, parts), expected, rtol=1e-12)
        first = call(x.swapaxes(1, 2), parts, data_format="channels_first")
        np.testing.assert_allclose(first.swapaxes(1, 2), expected, rtol=1e-12)
        check_gradient(lambda a, call=call: call(a, parts), x)
    images = real(2, 5, 4, 2)
    assert ops.adaptive_max_pool(images, (3, 2)).shape == (2, 3, 2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.max_pool(np.ones((1, 3, 2)), 4), r"sizes \(3,\) are smaller"),
        (lambda: ops.max_pool(np.ones((1, 3, 2)), 0), "pool_size must be"),
        (lambda: ops.average_pool(np.ones((1, 3, 2)), 2, -1), "strides must be"),
        (lambda: ops.average_pool(np.ones((1, 3, 2)), 2, 1, "causal"), "padding must be"),
        (lambda: ops.adaptive_max_pool(np.ones((1, 3, 2)), (1, 2)), "output_size must be"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
