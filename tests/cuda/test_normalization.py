"""Kernels that normalize rows."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, TOLERANCE, check_version

from gpulayers.arrays import Tape
from gpulayers.cuda import normalization as kernels
from gpulayers.ops import layer_normalization
from gpulayers.ops.normalization import normalized_along, normalized_sum

KINDS = ["layer", "rms", "deviation", "length"]
LAST = {"axes": (1,), "epsilon": 1e-3}


def numbers(*shape, seed=0, mean=0.5):
    return np.random.default_rng(seed).normal(mean, 1.0, size=shape)


def given(rows, width, weights=2):
    """x, gamma and beta."""
    own = numbers(width, seed=1, mean=1), numbers(width, seed=2)
    return numbers(rows, width), *own[:weights]


def check(cupy, *arrays, dtype="float32", **options):
    """Gradients that are sums of many rows are compared with the size of these sums."""
    tolerance = {"float32": 4e-6, "float16": 4e-3, "bfloat16": 3e-2}.get(dtype, 2e-12)
    given, options = (cupy, normalized_along, *arrays), LAST | options | {"dtype": dtype}
    check_version(*given, gradients=False, atol=tolerance, rtol=tolerance, **options)
    atol = tolerance * max(arrays[0].size // arrays[0].shape[-1], 4) ** 0.5
    check_version(*given, atol=atol, rtol=tolerance, **options)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", [0, 2])
def test_rows(cupy, dtype, kind, weights):
    check(cupy, *given(7, 37, weights), dtype=dtype, kind=kind)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8, 31, 63, 64, 65, 127, 128, 129])
def test_rows_of_a_warp_or_less(cupy, order, width):
    check(cupy, *given(5, width))


@pytest.mark.parametrize("width", [256, 260, 511, 512, 513, 516, 1024, 1536])
def test_rows_of_several_warps(cupy, order, width):
    check(cupy, *given(3, width))


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 300])
def test_numbers_of_rows(cupy, order, rows):
    check(cupy, *given(rows, 32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [8192, 8196, 16384, 16385])
def test_long_rows(cupy, kind, width):
    check(cupy, *given(2, width), kind=kind)


def test_long_rows_in_any_order(cupy, order):
    check(cupy, *given(2, 16400))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("width", [250, 1024, 16400])
def test_other_dtypes_in_every_kernel(cupy, dtype, width):
    check(cupy, *given(3, width), dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "width", "kind"),
    [
        ("float32", 37, "layer"), ("float32", 513, "rms"), ("float32", 8196, "layer"),
        ("float32", 16385, "deviation"), ("float16", 64, "layer"), ("bfloat16", 1024, "rms"),
        ("float64", 16400, "layer"), ("float32", 65, "length"),
    ],
)  # fmt: skip
def test_sums(cupy, dtype, width, kind):
    """Each with what others give back to the sum, in the same pass; 16-bit sums are rounded."""
    x, gamma, beta = given(5, width)
    tolerance = {"float32": 2e-5, "float16": 2e-2, "bfloat16": 1.2e-1, "float64": 1e-11}[dtype]
    check_version(
        cupy, normalized_sum, x, numbers(5, width, seed=4), gamma, beta, dtype=dtype,
        atol=tolerance, rtol=tolerance, kind=kind, **LAST,
    )  # fmt: skip


@pytest.mark.parametrize("needs", [(True, False), (False, True), (False, False)])
def test_gradients_of_one_summand_or_of_weights_alone(cupy, order, needs):
    x, gamma, beta = (cupy.asarray(a.astype("f4")) for a in given(9, 70))
    version = normalized_sum.version("cupy")
    _, pullback = version(x, x, gamma, beta, needs=(*needs, True, True), **LAST)
    _, whole = version(x, x, gamma, beta, needs=(True,) * 4, **LAST)
    g = x, cupy.asarray(numbers(9, 70, seed=3).astype("f4"))
    found, expected = pullback(g), whole(g)
    assert (found[0] is not None) == any(needs)
    for a, b in zip(found, expected, strict=True):
        assert a is None or a.get().tobytes() == b.get().tobytes()


def test_gradients_of_one_result_alone(cupy, launched):
    x, gamma, beta = (cupy.asarray(a.astype("f4")) for a in given(9, 70))
    with Tape(persistent=True) as tape:
        watched = [tape.watch(a) for a in (x, gamma, beta)]
        total, y = normalized_sum(watched[0], x, *watched[1:], **LAST)
        alone = normalized_along(watched[0] + x, *watched[1:], **LAST)
    found, expected = (tape.gradient(out, watched) for out in (y, alone))
    assert "normalize_sum_backward" not in launched
    for a, b in zip(found, expected, strict=True):
        assert a.get().tobytes() == b.get().tobytes()
    by_x, by_gamma, by_beta = tape.gradient(total, watched)
    assert np.array_equal(by_x.get(), np.ones((9, 70))) and by_gamma is by_beta is None


def test_many_blocks_have_a_fixed_order(cupy, monkeypatch):
    monkeypatch.setattr(kernels, "multiprocessors", lambda: 3)
    x, gamma, beta = (cupy.asarray(a.astype("f4")) for a in given(200, 65))

    def gradients():
        with Tape() as tape:
            watched = [tape.watch(a) for a in (x, gamma, beta)]
            out = normalized_along(*watched, **LAST)
        return [a.get().tobytes() for a in tape.gradient(out, watched)]

    assert gradients() == gradients()
    check(cupy, *given(200, 65))


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2), (1, 2), (0, 1, 2)])
def test_axes(cupy, axes):
    x = numbers(3, 4, 5)
    sizes = [x.shape[axis] for axis in axes]
    check(cupy, x, numbers(*sizes, seed=1), numbers(*sizes, seed=2), axes=axes)


def test_views_and_arrays_that_no_vector_fits(cupy):
    check_version(cupy, normalized_along, *given(3, 40), order="view", atol=2e-5, rtol=5e-6, **LAST)
    x = cupy.asarray(numbers(4, 33).astype("f4")).reshape(-1)[1:129].reshape(4, 32)
    expected = normalized_along.reference(x.get(), **LAST)
    np.testing.assert_allclose(normalized_along(x, **LAST).get(), expected, atol=2e-6)


def test_rows_far_from_zero(cupy):
    for width in (64, 1000, 20000):
        x = numbers(2, width, mean=1000).astype("f4")
        wide = x.astype("f8")
        expected = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)
        out = normalized_along(cupy.asarray(x), axes=(1,), epsilon=1e-9)
        np.testing.assert_allclose(out.get(), expected, atol=2e-4)


def test_zeros_have_no_direction(cupy):
    x, options = np.zeros((2, 5), "f4"), {"axes": (1,), "epsilon": 1e-12, "kind": "length"}
    x[1, 2] = -2
    with Tape() as tape:
        watched = tape.watch(cupy.asarray(x))
        out = normalized_along(watched, **options)
    assert np.array_equal(out.value.get(), [[0] * 5, [0, 0, -1, 0, 0]])
    grad = tape.gradient(out, watched).get()
    np.testing.assert_allclose(grad, [[1e12] * 5, [0.5, 0.5, 0, 0.5, 0.5]])


def test_nan_stays_in_its_row(cupy):
    x = numbers(3, 40).astype("f4")
    x[1, 7] = np.nan
    for kind in KINDS:
        out = normalized_along(cupy.asarray(x), **LAST, kind=kind).get()
        assert np.isnan(out[1]).all()
        assert np.isfinite(out[[0, 2]]).all()


def test_weights_of_other_dtypes(cupy):
    """Those of layers with 16-bit policies are float32."""
    x, gamma, beta = given(3, 16)
    there = cupy.asarray(x.astype("f2"))
    out = layer_normalization(there, cupy.asarray(gamma.astype("f4")), cupy.asarray(beta))
    assert out.dtype == np.float16
    expected = layer_normalization(x.astype("f2").astype("f8"), gamma, beta)
    np.testing.assert_allclose(out.get(), expected, atol=TOLERANCE["float16"], rtol=2e-3)
