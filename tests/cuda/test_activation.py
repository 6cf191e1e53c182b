"""Kernels of activation functions, with and without a bias."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest
from kernel_checks import FLOATS, TOLERANCE, check_version, kind

from gpulayers.cuda import activation as kernels
from gpulayers.ops import activation as smooth
from gpulayers.ops import rectifier as ramps

CASES = [
    *((op, ()) for op in kernels.SIMPLE),
    (smooth.celu, (0.7,)),
    (smooth.elu, (1.3,)),
    (smooth.selu, ()),
    (smooth.gelu, (True,)),
    (smooth.gelu, (False,)),
    (smooth.squareplus, (2,)),
    (ramps.hard_shrink, (0.4,)),
    (ramps.leaky_relu, (0.3,)),
    (ramps.relu, ()),
    (ramps.relu, (0.0, 6)),
    (ramps.relu, (0.1, 1.5, 0.3)),
    (ramps.relu, (0.0, None, -0.4)),
    (ramps.soft_shrink, (0.4,)),
    (ramps.threshold, (0.2, -1.0)),
]
NAMES = [f"{op.__name__}{options}" for op, options in CASES]
PER_BLOCK = {2: 4096, 4: 2048, 8: 1024}  # Elements, by the bytes of each.


def numbers(*shape, seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("op", "options"), CASES, ids=NAMES)
def test_functions_are_their_references(cupy, op, options, dtype):
    check_version(cupy, op, numbers(3, 37), *options, dtype=dtype)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 2047, 2048, 2049])
def test_any_size(cupy, size):
    check_version(cupy, smooth.silu, numbers(size))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_sizes_around_a_block(cupy, dtype, more):
    check_version(cupy, ramps.relu, numbers(PER_BLOCK[kind(dtype).itemsize] + more), dtype=dtype)


@pytest.mark.parametrize("order", ["C", "view"])
def test_views_and_numbers_without_axes(cupy, order):
    check_version(cupy, smooth.tanh, numbers(2, 5, 3), order=order)
    check_version(cupy, smooth.tanh, np.array(0.5))


@pytest.mark.parametrize("start", [1, 2, 3])
def test_arrays_that_no_vector_fits(cupy, start):
    x = cupy.asarray(numbers(50).astype("f4"))[start:]
    expected = np.maximum(x.get(), 0)
    assert np.array_equal(ramps.relu(x).get(), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("op", "options"), CASES, ids=NAMES)
def test_extremes(cupy, op, options, dtype):
    """NaN, infinities and what overflows on the way are as in the reference, or better."""
    large = 300.0 if dtype == "float16" else 1e4
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, large, -large, 40.0, -40.0, 1e-3, -1e-3])
    x = x.astype(kind(dtype))
    with np.errstate(all="ignore"):
        expected = np.asarray(op.reference(strict.asarray(x.astype("f8")), *options)._array)
        expected = expected.astype(kind(dtype)).astype("f8")
        out = op(cupy.asarray(x), *options).get().astype("f8")
    assert np.isnan(out[0]) == np.isnan(expected[0])
    defined = ~np.isnan(expected)
    rtol = 2 * TOLERANCE[dtype]
    np.testing.assert_allclose(out[defined], expected[defined], rtol=rtol, atol=1e-7)


def test_other_dtypes_are_left_to_the_reference(cupy):
    assert np.array_equal(ramps.relu(cupy.asarray([-1, 2])).get(), [0, 2])
    assert np.allclose(smooth.sigmoid(cupy.asarray([0, 0])).get(), 0.5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(4,), (1, 1, 4), (3, 4), (7, 3, 4)])
def test_prelu(cupy, shape, dtype):
    # The gradient of alpha is a sum of many: compared with its size.
    atol = {"bfloat16": 4e-2, "float16": 6e-3}.get(dtype)
    check_version(
        cupy, ramps.prelu, numbers(7, 3, 4), numbers(*shape, seed=1), dtype=dtype, atol=atol
    )


@pytest.mark.parametrize("shape", [(3, 1), (7, 1, 1), (2, 7, 3, 4), ()])
def test_other_slopes_are_left_to_the_reference(cupy, shape):
    x, alpha = (cupy.asarray(a.astype("f4")) for a in (numbers(7, 3, 4), numbers(*shape)))
    assert ramps.prelu.version("cupy")(x, alpha) is NotImplemented
    assert np.allclose(ramps.prelu(x, alpha).get(), ramps.prelu(x.get(), alpha.get()))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", ["LINEAR", "RELU", "SIGMOID", "TANH", "GELU", "SILU"])
@pytest.mark.parametrize("shape", [(5, 3), (40, 32), (2, 9, 17)])
def test_bias_and_activation(cupy, shape, activation, dtype):
    x, bias, g = (numbers(*s, seed=i, scale=1.0) for i, s in enumerate((shape, shape[-1:], shape)))
    x, bias, g = (a.astype(kind(dtype)) for a in (x, bias, g))
    y, dx, dbias = run(cupy, x, bias, g, activation)
    z = x.astype("f8") + bias.astype("f8")
    value, slope = formula(activation, z)
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(y, value, rtol=tolerance, atol=tolerance)
    expected = g.astype("f8") * slope
    rounding = max(2 * tolerance, 1e-8)  # Of the finite differences.
    np.testing.assert_allclose(dx, expected, rtol=rounding, atol=rounding)
    summed = expected.reshape(-1, shape[-1]).sum(0)
    np.testing.assert_allclose(dbias, summed, rtol=rounding, atol=5 * rounding)


def run(cupy, x, bias, g, activation):
    x, bias, g = map(cupy.asarray, (x, bias, g))
    before = x.get()
    y = kernels.bias_activation(x, bias, activation)
    assert x.get().tobytes() == before.tobytes()
    saved = y if activation in kernels.FROM_OUTPUT else x
    dx, dbias = kernels.bias_activation_backward(g, saved, bias, activation)
    assert kernels.bias_activation_backward(g, saved, bias, activation, needs=(False, False)) == (
        None, None,
    )  # fmt: skip
    kernels.bias_activation(x, bias, activation, in_place=True)
    assert x.get().tobytes() == y.get().tobytes()
    return (a.get().astype("f8") for a in (y, dx, dbias))


def formula(activation, z):
    """The value and the slope at z."""
    if activation in ("LINEAR", "RELU"):
        slope = (z > 0) | (activation == "LINEAR")
        return z * slope, slope
    op, *options = {
        "SIGMOID": (smooth.sigmoid,),
        "TANH": (smooth.tanh,),
        "GELU": (smooth.gelu, False),
        "SILU": (smooth.silu,),
    }[activation]
    step = 1e-6
    low, high = op.reference(z - step, *options), op.reference(z + step, *options)
    return op.reference(z, *options), (high - low) / (2 * step)


@pytest.mark.parametrize("rows", [0, 1, 31, 257, 1000])
@pytest.mark.parametrize("width", [1, 4, 10, 130])
def test_the_sum_of_a_bias(cupy, order, rows, width):
    g = numbers(rows, width).astype("f4")
    found = [run_sum(cupy, g) for _ in range(2)]
    assert np.array_equal(*found)
    np.testing.assert_allclose(found[0], g.sum(0, dtype="f8"), rtol=1e-5, atol=1e-4)


def run_sum(cupy, g):
    g, bias = cupy.asarray(g), cupy.asarray(np.zeros(g.shape[1], "f4"))
    dx, dbias = kernels.bias_activation_backward(g, g, bias, needs=(False, True))
    assert dx is None
    return dbias.get()


def test_large_bias_sums_use_all_multiprocessors(cupy, monkeypatch):
    monkeypatch.setattr(kernels, "multiprocessors", lambda: 132)
    g = numbers(3000, 6).astype("f4")
    np.testing.assert_allclose(run_sum(cupy, g), g.sum(0, dtype="f8"), rtol=1e-5, atol=1e-4)
