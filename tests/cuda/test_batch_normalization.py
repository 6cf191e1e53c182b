"""Kernels that normalize channels: by the moments of a batch, by given ones, and in groups."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, check_version, kind

from gpulayers.arrays import Tape
from gpulayers.cuda import batch_normalization as kernels
from gpulayers.ops.batch_normalization import (
    batch_moments,
    followed,
    normalized_by,
    normalized_in_batch,
)
from gpulayers.ops.normalization import normalized_in_groups


def numbers(*shape, seed=0, mean=0.5):
    return np.random.default_rng(seed).normal(mean, 1.0, size=shape)


def weights(n):
    return numbers(n, seed=1, mean=1), numbers(n, seed=2)


def check(cupy, op, *arrays, dtype="float32", gradients=True, **options):
    """Gradients that are sums of many numbers are compared with the size of these sums."""
    options = {"epsilon": 1e-2, "dtype": dtype} | options
    if op is batch_moments:
        del options["epsilon"]
    tolerance = {"float32": 4e-6, "float16": 4e-3, "bfloat16": 3e-2}.get(dtype, 2e-12)
    check_version(cupy, op, *arrays, gradients=False, atol=tolerance, rtol=tolerance, **options)
    if gradients:
        atol = tolerance * max(arrays[0].size // arrays[0].shape[options["axis"]], 4) ** 0.5
        check_version(cupy, op, *arrays, atol=atol, rtol=tolerance, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((7, 3), -1), ((5, 4, 33), 2), ((3, 5, 4), 1), ((4, 6), 0)]
)
def test_batches(cupy, shape, axis, dtype):
    x, (gamma, beta), n = numbers(*shape), weights(shape[axis]), shape[axis]
    check(cupy, batch_moments, x, axis=axis, dtype=dtype)
    check(cupy, normalized_in_batch, x, gamma, beta, axis=axis, dtype=dtype)
    check(cupy, normalized_in_batch, x, axis=axis, dtype=dtype)
    given = numbers(n, seed=3), np.abs(numbers(n, seed=4)) + 0.5
    check(cupy, normalized_by, x, *given, beta, gamma, axis=axis, dtype=dtype)
    check(cupy, normalized_by, x, *given, axis=axis, dtype=dtype)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("shape", "axis"), [((6, 4, 10), -1), ((3, 10, 5), 1)])
def test_what_follows_in_the_same_pass(cupy, shape, axis, activation):
    x, (gamma, beta) = numbers(*shape), weights(10)
    options = {"axis": axis, "activation": activation}
    check(cupy, normalized_in_batch, x, gamma, beta, **options)
    check(cupy, normalized_by, x, beta, np.abs(gamma) + 0.5, gamma, beta, **options)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("shape", "axis"), [((6, 4, 10), -1), ((3, 10, 5), 1)])
def test_short_floats_have_statistics_in_float32(cupy, shape, axis, dtype):
    x, (gamma, beta) = numbers(*shape).astype(kind(dtype)), weights(10)
    gamma, beta = gamma.astype("f4"), beta.astype("f4")
    g = numbers(*shape, seed=5).astype(kind(dtype))
    given = [cupy.asarray(a) for a in (x, gamma, beta)]
    with Tape() as tape:
        watched = [tape.watch(a) for a in given]
        out, mean, variance = normalized_in_batch(*watched, axis=axis, epsilon=1e-2)
    assert out.dtype == x.dtype
    assert mean.dtype == variance.dtype == np.float32
    found = [out.value, *tape.gradient(out, watched, cupy.asarray(g))]
    wide = [a.astype("f8") for a in (x, gamma, beta)]
    with Tape() as tape:
        watched = [tape.watch(a) for a in wide]
        out, *_ = normalized_in_batch(*watched, axis=axis, epsilon=1e-2)
    expected = [out.value, *tape.gradient(out, watched, g.astype("f8"))]
    tolerance = 1e-2 if dtype == "bfloat16" else 2e-3
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.get().astype("f8"), b, rtol=tolerance, atol=2 * tolerance)


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 300, 1030])
@pytest.mark.parametrize("channels", [1, 4, 10, 130])
def test_sizes_with_channels_last(cupy, order, rows, channels):
    x, own = numbers(rows, channels), weights(channels)
    gradients = rows > 1  # Else all are 0, but for rounding.
    check(cupy, normalized_in_batch, x, *own, axis=1, gradients=gradients)


@pytest.mark.parametrize("inner", [2, 1023, 1024, 1025, 16384, 16385])
def test_sizes_with_channels_first(cupy, order, inner):
    check(cupy, normalized_in_batch, numbers(2, 3, inner), *weights(3), axis=1)


def test_an_empty_array_is_left_to_the_reference(cupy):
    x = cupy.asarray(np.zeros((0, 3), "f4"))
    ones = cupy.asarray(np.ones(3, "f4"))
    assert normalized_by.version("cupy")(x, ones, ones, axis=1, epsilon=0.1) is NotImplemented
    assert normalized_by(x, ones, ones, axis=1, epsilon=0.1).shape == (0, 3)


@pytest.mark.parametrize("shape", [(40, 5), (2, 13, 5), (3, 300, 9)])
def test_masks(cupy, shape):
    x, own = numbers(*shape), weights(shape[-1])
    mask = np.random.default_rng(3).random(shape[:-1]) < 0.6
    check(cupy, batch_moments, x, mask, axis=-1)
    check(cupy, normalized_in_batch, x, *own, mask, axis=-1)
    nothing = np.zeros(shape[:-1], bool)
    mean, variance = batch_moments(cupy.asarray(x.astype("f4")), cupy.asarray(nothing), axis=-1)
    assert not mean.get().any()
    assert not variance.get().any()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize(("shape", "axis"), [((3, 5, 4, 6), -1), ((3, 6, 7), 1), ((4, 6), 1)])
def test_groups(cupy, shape, axis, groups, dtype):
    options = {"groups": groups, "axis": axis}
    if len(shape) == 2 and groups == 6:
        options["epsilon"] = 1.0  # A group of one number: its gradient is 0.
    check(cupy, normalized_in_groups, numbers(*shape), *weights(6), dtype=dtype, **options)


def test_groups_in_any_order(cupy, order):
    check(cupy, normalized_in_groups, numbers(2, 70, 24), *weights(24), groups=4, axis=-1)
    check(cupy, normalized_in_groups, numbers(2, 24, 70), groups=4, axis=1)


def test_groups_with_channels_between_are_left_to_the_reference(cupy):
    x = numbers(2, 3, 4, 2)
    there = cupy.asarray(x)
    options = {"groups": 2, "axis": 2, "epsilon": 0.1}
    assert normalized_in_groups.version("cupy")(there, **options) is NotImplemented
    out, expected = (normalized_in_groups(a, **options) for a in (there, x))
    np.testing.assert_allclose(out.get(), expected)


def test_many_parts_have_a_fixed_order(cupy, monkeypatch):
    monkeypatch.setattr(kernels, "multiprocessors", lambda: 132)
    for shape, axis in (((3000, 6), -1), ((2, 3, 40000), 1)):
        x, own = numbers(*shape), weights(shape[axis])

        def run(x=x, own=own, axis=axis):
            with Tape() as tape:
                watched = [tape.watch(cupy.asarray(a.astype("f4"))) for a in (x, *own)]
                outs = normalized_in_batch(*watched, axis=axis, epsilon=0.1)
            gradients = tape.gradient(outs[0], watched, outs[0].value ** 2)
            return [a.get().tobytes() for a in (*(o.value for o in outs), *gradients)]

        assert run() == run()
        check(cupy, normalized_in_batch, x, *own, axis=axis)


@pytest.mark.parametrize("shape", [(4000, 3), (3, 4000)])
def test_channels_far_from_zero(cupy, shape):
    x = numbers(*shape, mean=1000).astype("f4")
    axis = shape.index(3)
    mean, variance = batch_moments(cupy.asarray(x), axis=axis)
    wide = x.astype("f8")
    np.testing.assert_allclose(mean.get(), wide.mean(1 - axis), rtol=2e-7)
    np.testing.assert_allclose(variance.get(), wide.var(1 - axis), rtol=2e-4)


def test_views_and_arrays_that_no_vector_fits(cupy):
    x = numbers(6, 8, 5)
    check(cupy, normalized_in_batch, x, *weights(5), axis=-1, order="view")
    shifted = cupy.asarray(numbers(257).astype("f4"))[1:].reshape(64, 4)
    mean, _ = batch_moments(shifted, axis=1)
    np.testing.assert_allclose(mean.get(), shifted.get().mean(0), atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_a_layer_in_training(cupy, policy, axis):
    """16-bit floats are read and written as such; the statistics are those of float32."""
    from gpulayers.layers import BatchNormalization

    x = numbers(4, 6, 5)
    short = policy.removeprefix("mixed_")
    there = x.astype(kind(short))
    layer = BatchNormalization(axis, momentum=0.0, dtype=policy)
    y = layer(cupy.asarray(there), training=True)
    assert y.dtype == kind(short)
    assert layer.moving_variance.dtype == np.float32
    wide, others = there.astype("f8"), (0, 3 - axis % 3)
    np.testing.assert_allclose(layer.moving_mean.numpy(), wide.mean(others), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), wide.var(others), rtol=1e-5)
    expected = BatchNormalization(axis)(wide.astype("f4"), training=True)
    tolerance = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}[short]
    np.testing.assert_allclose(y.get().astype("f4"), expected, rtol=tolerance, atol=tolerance)
    layer = BatchNormalization(axis, dtype=policy, activation="relu")
    y, expected = layer(cupy.asarray(there), training=True), np.maximum(expected, 0)
    np.testing.assert_allclose(y.get().astype("f4"), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("count", [1, 255, 256, 257])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moving_statistics(cupy, launched, count, dtype):
    arrays = [np.random.default_rng(i).normal(size=count).astype(dtype) for i in range(4)]
    found = followed(*map(cupy.asarray, arrays), momentum=0.9)
    assert launched == ["follow"]
    for a, b in zip(found, followed.reference(*arrays, momentum=0.9), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a.get(), b, rtol=1e-6, atol=1e-7)
