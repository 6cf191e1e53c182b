"""Convolution and its two gradients by gathered products."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import rig
from convolution_checks import ATOL, check, numbers
from kernel_checks import FLOATS, check_version, kind

from gpulayers import config
from gpulayers.cuda import convolution as kernels
from gpulayers.cuda import products
from gpulayers.cuda.geometry import geometry
from gpulayers.ops import activation as smooth
from gpulayers.ops import convolution as ops
from gpulayers.ops.rectifier import leaky_relu

# Rounding the factors of some 100 products of size 1 to TF32, each by 2**-11 at most.
TF32 = 1e-2


@contextmanager
def high_precision():
    config.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        config.set_float32_matmul_precision("highest")


@pytest.fixture(params=[(128, 128), (128, 64)], ids=str)
def large_tiles(monkeypatch, request):
    tile = request.param
    monkeypatch.setattr(kernels, "tiling", lambda rows, columns, depth, *_: (*tile, 1, depth + 32))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [(8, 16), (5, 3), (8, 3), (3, 8)])
@pytest.mark.parametrize("strides", [1, 2, (3, 1)])
def test_strides(cupy, strides, channels, dtype):
    check(cupy, (2, 7, 6, channels[0]), (3, 3, *channels), strides, dtype=dtype)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("strides", "dilations"), [(1, 1), (2, 1), (1, 2), (3, 1), (2, 2), (4, 6)])
def test_windows(cupy, rank, padding, strides, dilations):
    sizes, windows = ((9,), (8, 9), (4, 5, 8))[rank - 1], ((3,), (2, 3), (1, 3, 2))[rank - 1]
    if padding == "valid" and dilations * 2 >= min(sizes):
        sizes = tuple(n + 2 * dilations for n in sizes)
    check(cupy, (2, *sizes, 4), (*windows, 4, 4), strides, padding, dilations)


@pytest.mark.parametrize("padding", [((0, 3),), ((-1, 0),), ((2, -2),), ((-2, 4),)])
@pytest.mark.parametrize("strides", [1, 2])
def test_any_margins(cupy, padding, strides):
    check(cupy, (2, 9, 4), (3, 4, 4), strides, padding)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("groups", "channels", "filters"), [(2, 16, 16), (3, 6, 9), (4, 8, 4)])
def test_groups(cupy, groups, channels, filters, dtype):
    kernel = (3, 2, channels // groups, filters)
    check(cupy, (2, 5, 6, channels), kernel, (2, 1), groups=groups, dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("bias", [False, True])
def test_bias_and_activation(cupy, bias, activation, dtype):
    check(cupy, (2, 5, 4), (3, 4, 6), bias=bias, activation=activation, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("window", [3, 1])
def test_activations_whose_gradient_needs_what_they_are_given(cupy, window, bias, dtype):
    check(cupy, (2, 5, 4), (window, 4, 6), bias=bias, activation=smooth.silu, dtype=dtype)


@pytest.mark.parametrize("shape", [(2, 9, 4), (1, 3, 600), (2, 70, 8)])
def test_they_have_parameters_and_finish_split_sums(cupy, shape):
    leaky = partial(leaky_relu, negative_slope=0.3)
    check(cupy, shape, (3, shape[-1], 5), activation=leaky, atol=4e-5)
    check(cupy, shape, (3, shape[-1] // 2, 4), groups=2, activation=smooth.gelu, atol=4e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("channels", [1, 3, 7, 8, 9, 33, 64, 65])
def test_channels_around_tiles(cupy, channels, dtype):
    check(cupy, (1, 4, 17, channels), (2, 3, channels, 4), dtype=dtype)
    check(cupy, (1, 4, 17, 8), (1, 2, 8, channels), dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("channels", [(8, 72), (6, 131)])
def test_large_tiles(cupy, large_tiles, channels, dtype):
    check(
        cupy, (2, 8, 9, channels[0]), (3, 3, *channels), 2 if channels[0] == 8 else 1, dtype=dtype
    )


@pytest.mark.parametrize("channels", [(8, 72), (5, 3)])
def test_tf32(cupy, channels):
    with high_precision():
        check(cupy, (2, 7, 6, channels[0]), (3, 3, *channels), 2, atol=TF32)


def test_tf32_in_large_tiles(cupy, large_tiles):
    with high_precision():
        check(cupy, (2, 7, 10, 8), (3, 3, 8, 72), atol=TF32)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize("capability", [70, 75])
def test_older_gpus(cupy, monkeypatch, capability, dtype):
    monkeypatch.setattr(products, "capability", lambda: capability)
    check(cupy, (2, 5, 6, 8), (3, 3, 8, 8), 2, dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_split_depth(cupy, order, monkeypatch, dtype):
    """Of the window and channels in the convolution, of places in the kernel's gradient."""
    monkeypatch.setattr(kernels, "multiprocessors", lambda: 132)
    monkeypatch.setattr(products, "LEAST_DEPTH", 64)
    assert kernels.tiling.__wrapped__(30, 9, 400, 1, "32 bits", 132)[2] > 3
    kernels.tiling.cache_clear()
    check(cupy, (2, 8, 16, 40), (3, 3, 40, 24), 2, dtype=dtype)
    kernels.tiling.cache_clear()


def test_no_races(cupy):
    with rig.schedule("random", sanitize="thread"):
        check(cupy, (1, 3, 30, 8), (2, 3, 8, 8), 2, dtype="float16")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_views_and_arrays_that_no_vector_fits(cupy, dtype):
    check(cupy, (2, 5, 6, 8), (3, 3, 8, 8), dtype=dtype, order="view")
    x, kernel = (a.astype(kind(dtype)) for a in (numbers(2 * 6 * 8 + 1), numbers(3 * 8 * 8 + 1)))
    options = {"strides": (1,), "padding": ((1, 1),), "dilations": (1,)}
    shifted = [
        cupy.asarray(a)[1:].reshape(shape) for a, shape in ((x, (2, 6, 8)), (kernel, (3, 8, 8)))
    ]
    wide = [a.astype("f8")[1:].reshape(b.shape) for a, b in ((x, shifted[0]), (kernel, shifted[1]))]
    found = ops.convolution(*shifted, **options).get().astype("f8")
    np.testing.assert_allclose(
        found, ops.convolution.reference(*wide, **options), rtol=ATOL[dtype], atol=ATOL[dtype]
    )


@pytest.mark.parametrize("x", [(0, 5, 4), (2, 2, 4)])
def test_nothing_to_compute(cupy, x):
    """No images, or no places of the window: gradients of zeros."""
    check(cupy, x, (3, 4, 4), padding=((0, 0),))


@pytest.mark.parametrize(("strides", "window"), [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_windows_that_leave_gaps(cupy, strides, window, dtype):
    check(cupy, (2, 7, 8, 8), (window, window, 8, 16), strides, "valid", dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_transposed(cupy, dtype):
    """The input's gradient by itself, with sizes that no convolution asks for; and its own."""
    options = {"strides": (2, 3), "padding": ((1, 0), (0, 0)), "dilations": (1, 1)}
    check_version(
        cupy, ops.convolution_input_gradient, numbers(2, 4, 3, 8), numbers(3, 3, 4, 8, seed=1) / 8,
        dtype=dtype, atol=ATOL[dtype] * 4, rtol=ATOL[dtype], gradients=False, sizes=(9, 11),
        **options,
    )  # fmt: skip
    check_version(
        cupy, ops.convolution_kernel_gradient, numbers(2, 9, 11, 4), numbers(2, 4, 3, 8, seed=1),
        dtype=dtype, atol=ATOL[dtype] * 4, rtol=ATOL[dtype], gradients=False, windows=(3, 3),
        **options,
    )  # fmt: skip


def test_the_same_bits_each_time(cupy):
    x, g = (cupy.asarray(numbers(2, 30, 30, 4, seed=i).astype("f4")) for i in (0, 1))
    options = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilations": (1, 1)}
    run = ops.convolution_kernel_gradient.version("cupy")
    first, second = (run(x, g, windows=(3, 3), **options).get() for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_products_need_no_window(cupy, monkeypatch):
    monkeypatch.setattr(kernels, "_launch", None)
    check(cupy, (2, 3, 4, 8), (1, 1, 8, 5), activation="tanh")


def test_what_is_left_to_the_reference(cupy):
    version = ops.convolution.version("cupy")
    options = {"strides": (1,), "padding": ((0, 0),), "dilations": (1,)}
    whole = cupy.asarray(np.ones((1, 4, 2), "i4"))
    assert version(whole, cupy.asarray(np.ones((1, 2, 2), "i4")), **options) is NotImplemented
    four = {"strides": (1,) * 4, "padding": ((0, 0),) * 4, "dilations": (1,) * 4}
    x, kernel = np.ones((1, 2, 2, 2, 2, 1), "f4"), np.ones((2, 2, 2, 2, 1, 1), "f4")
    assert version(cupy.asarray(x), cupy.asarray(kernel), **four) is NotImplemented
    assert ops.convolution(cupy.asarray(x), cupy.asarray(kernel), **four).get().item() == 16


def test_tiles():
    def tiling(*sizes, kind="16 bits"):
        return kernels.tiling(*sizes, 1, kind, 132)

    assert tiling(100_000, 256, 1152)[:3] == (128, 128, 1)
    assert tiling(100_000, 64, 576)[:3] == (128, 64, 1)
    assert tiling(100_000, 256, 576, kind="32 bits")[:3] == (128, 64, 1)
    assert tiling(100_000, 64, 576, kind="64 bits")[:3] == (64, 64, 1)
    tall, wide, splits, each = tiling(576, 64, 100_000)
    assert (tall, wide) == (64, 64)
    assert splits > 20
    assert (splits - 1) * each < 100_000 <= splits * each


def test_sizes_that_32_bits_count():
    geo = geometry(1, 8, 8, (2**20,), (2**20,), (3,), (1,), ((1, 1),), (1,), 1)
    assert geo.is_small
    assert not geo._replace(sizes=(1, 1, 2**31)).is_small
    assert not geo._replace(dilations=(1, 1, 2**30)).is_small
