"""Products and convolutions by warpgroups: TMA, gathered tiles, wgmma, on the rig."""

from __future__ import annotations

import convolution_checks
import numpy as np
import pytest
from product_checks import TRANSPOSED, check, factors, high_precision, numbers, on_device

from gpulayers.cuda import gemm, hopper, matrices, products, warpgroups
from gpulayers.cuda.activation import Curve
from gpulayers.ops import convolution as ops
from gpulayers.ops.activation import silu


@pytest.fixture
def always(cupy, monkeypatch):
    """Warpgroups take whatever they can, in tiles of the given width."""
    if not hopper.runs_here():
        pytest.skip("needs sm_90a, or the rig")
    launched = []

    def take(width=128, splits=1):
        launched.clear()

        def tiling(rows, columns, depth, batch, itemsize, most, widest=256):
            step = warpgroups.LINE // itemsize
            each = -(-depth // splits // step) * step
            launched.append(min(width, widest))
            return launched[-1], -(-depth // each), each

        monkeypatch.setattr(warpgroups, "tiling", tiling)
        return launched

    return take


def check_own(cupy, rows, columns, depth, dtype="float16", transposed=(False, False), **how):
    a, b = factors(rows, columns, depth, dtype, transposed)
    y, _ = gemm.affine(on_device(cupy, a), on_device(cupy, b), fused=True)
    check(y, a, b, **how)


# TMA wants lines of whole 16 bytes: the last size of each operand is a multiple of 8.
SIZES = [(8, 8, 8), (128, 64, 64), (120, 136, 56), (136, 264, 328)]


@pytest.mark.parametrize("width", [64, 128, 256])
@pytest.mark.parametrize("transposed", TRANSPOSED)
@pytest.mark.parametrize("sizes", SIZES)
def test_sizes_around_tiles(cupy, always, sizes, transposed, width):
    launched = always(width)
    check_own(cupy, *sizes, "bfloat16" if width == 128 else "float16", transposed)
    assert launched


@pytest.mark.parametrize("sizes", [(1, 1, 64), (127, 129, 64), (129, 65, 72), (5, 3, 200)])
def test_any_rows_and_columns(cupy, always, sizes):
    launched = always()
    check_own(cupy, *sizes, transposed=(False, True))
    assert launched


@pytest.mark.parametrize("sizes", [(2, 3, 4), (127, 65, 32), (129, 130, 100)])
def test_tf32(cupy, always, sizes):
    launched = always()
    with high_precision():
        check_own(cupy, *sizes, "float32", (False, True), precision="cut to tf32")
        assert launched == [128]
        check_own(cupy, *sizes, "float32", (False, False), precision="tf32")
        assert launched == [128]  # Lines across the depth are for the other path.


@pytest.mark.parametrize("transposed", TRANSPOSED)
def test_any_order_of_threads(cupy, always, order, transposed):
    always(128)
    check_own(cupy, 136, 136, 640, "float16", transposed)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_split_depth(cupy, always, dtype):
    always(64, splits=3)
    check_own(cupy, 16, 24, 520, dtype)


@pytest.mark.parametrize(
    "shapes", [((3, 16, 64), (3, 64, 24)), ((3, 16, 64), (64, 24)), ((16, 64), (3, 64, 24))]
)
def test_batches(cupy, always, monkeypatch, shapes):
    monkeypatch.setattr(gemm, "capturing", lambda: True)
    launched = always()
    a, b = (numbers(*shape, dtype="float16", seed=i) for i, shape in enumerate(shapes))
    check(gemm.matmul(cupy.asarray(a), cupy.asarray(b)), a, b)
    assert launched


def test_what_follows(cupy, always):
    always(64)
    a, b = factors(72, 40, 128, "float16")
    bias = numbers(40, dtype="float16", seed=3)
    y, saved = gemm.affine(
        cupy.asarray(a), cupy.asarray(b), cupy.asarray(bias), Curve("RELU"), keep=True, fused=True
    )
    check(saved, a, b)
    np.testing.assert_allclose(
        y.get().astype("f8"),
        np.maximum(a.astype("f8") @ b.astype("f8") + bias, 0), atol=2e-2, rtol=2e-3,
    )  # fmt: skip
    before = numbers(72, 40, dtype="float16", seed=4)
    y = cupy.asarray(before)
    ((left, right, result, _),) = matrices.batches(cupy.asarray(a), cupy.asarray(b), y)
    products.launch(left, right, result, alpha=0.5, added=y)
    check(y, a * np.float16(0.5), b, more=before.astype("f8"))


def test_what_lies_badly_goes_another_way(cupy, always):
    always()
    for cut in [(slice(None), slice(1, None)), (slice(None), slice(None, -3))]:
        a, b = factors(68, 68, 68, "float16")
        x, y = cupy.asarray(a)[cut], cupy.asarray(b)[: a[cut].shape[1]]
        check(gemm.affine(x, y, fused=True)[0], a[cut], b[: a[cut].shape[1]])
    check_own(cupy, 33, 31, 7)
    check_own(cupy, 33, 31, 7, "float64")


def test_the_same_bits_each_time(cupy, always):
    always(128, splits=4)
    a, b = (on_device(cupy, x) for x in factors(24, 40, 1024, "float16"))
    first, second = (gemm.affine(a, b, fused=True)[0].get() for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_which_products():
    """Deep ones with tiles for half of the multiprocessors, or more."""

    def tiling(rows, columns, depth, itemsize=2):
        return warpgroups.tiling(rows, columns, depth, 1, itemsize, 132)

    assert tiling(8192, 4096, 4096) == (256, 1, 4096)
    assert tiling(50176, 128, 1152) == (128, 1, 1152)
    assert tiling(200704, 64, 576) == (64, 1, 576)
    assert tiling(3136, 512, 4608) == (128, 1, 4608)
    assert tiling(576, 64, 200704) == (64, 26, 7744)  # A kernel's gradient.
    assert tiling(8192, 4096, 256) is None
    assert tiling(8192, 4096, 256, itemsize=4) == (128, 1, 256)
    assert tiling(32, 4096, 4096) is None
    assert tiling(128, 256, 1024) is None
    for rows, columns, depth in [(999, 77, 99999), (128, 64, 10**6)]:
        _, splits, each = tiling(rows, columns, depth)
        assert each % 64 == 0 and (splits - 1) * each < depth <= splits * each


def test_without_what_makes_maps(cupy, monkeypatch):
    monkeypatch.setattr(hopper, "_encode", lambda: None)
    assert not warpgroups.serves(np.dtype("f2"))
    check_own(cupy, 136, 136, 640)


# ------------------------------------------------------------------------------------ convolution
def convolve(cupy, always, x, kernel, *how, width=64, splits=1, dtype="float16", passes=4, **more):
    launched = always(width, splits)
    convolution_checks.check(cupy, x, kernel, *how, dtype=dtype, **more)
    assert len(launched) == passes


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize(("channels", "filters"), [(8, 8), (72, 136), (64, 64)])
@pytest.mark.parametrize("strides", [1, 2])
def test_convolution(cupy, always, strides, channels, filters, width):
    x, kernel = (2, 9, 8, channels), (3, 3, channels, filters)
    convolve(cupy, always, x, kernel, strides, width=width, activation="relu")


def test_an_activation_whose_gradient_needs_what_it_is_given(cupy, always):
    given = (2, 9, 8, 72), (3, 3, 72, 136)
    convolve(cupy, always, *given, width=128, activation=silu, dtype="bfloat16")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("strides", "dilations"), [(1, 2), (3, 1), (2, 2), (4, 6)])
def test_windows(cupy, always, rank, strides, dilations, dtype):
    sizes, windows = ((19,), (8, 9), (4, 5, 8))[rank - 1], ((3,), (2, 3), (1, 3, 2))[rank - 1]
    convolve(
        cupy, always, (2, *sizes, 16), (*windows, 16, 24), strides, "same", dilations, dtype=dtype
    )


def test_groups(cupy, always):
    convolve(cupy, always, (2, 5, 6, 32), (3, 2, 16, 48), (2, 1), groups=2)


@pytest.mark.parametrize("order_of_depth", [1, 3])
def test_convolution_in_any_order_of_threads(cupy, always, order, order_of_depth):
    x, kernel = (2, 8, 9, 24), (3, 3, 24, 72)
    convolve(cupy, always, x, kernel, 2, width=128, splits=order_of_depth)


def test_convolution_in_wide_tiles(cupy, always):
    convolve(cupy, always, (1, 6, 7, 40), (3, 3, 40, 264), width=256)


def test_tf32_convolution(cupy, always):
    with high_precision():
        x, kernel = (2, 7, 6, 12), (3, 3, 12, 20)
        convolve(cupy, always, x, kernel, 2, width=128, dtype="float32", passes=3, atol=2e-2)
        x, kernel = (2, 7, 6, 16), (3, 3, 8, 24)
        convolve(cupy, always, x, kernel, groups=2, width=128, dtype="float32", passes=3, atol=2e-2)


def test_infinite_elements_stay_where_they_are(cupy, always):
    """Zeros in the place of what is not there meet no infinity of another group, or behind it."""
    always(64)
    x, kernel = np.ones((1, 5, 16), "f2"), np.ones((2, 8, 16), "f2")
    kernel[..., 8:] = np.inf
    y = ops.convolution(
        cupy.asarray(x), cupy.asarray(kernel), strides=(1,), padding=((0, 0),), dilations=(1,),
        groups=2,
    ).get()  # fmt: skip
    assert (y[..., :8] == 16).all() and np.isinf(y[..., 8:]).all()
