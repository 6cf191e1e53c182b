"""Matrix products by kernels of our own, and what follows a product in their launch."""

from __future__ import annotations

import numpy as np
import pytest
import rig
import stand_in_cublas
from kernel_checks import FLOATS, kind
from product_checks import TRANSPOSED, check, factors, high_precision, numbers, on_device

from gpulayers.cuda import gemm, matrices, products, warpgroups
from gpulayers.cuda.activation import Curve
from gpulayers.ops import activation as smooth

# How one operand lies does not matter to the other: two of four cases have all that there is, where
# each costs a compilation.
HALF_OF_THEM = [(False, False), (True, True)]


def check_own(cupy, rows, columns, depth, dtype="float32", transposed=(False, False), **how):
    a, b = factors(rows, columns, depth, dtype, transposed)
    y, _ = gemm.affine(on_device(cupy, a), on_device(cupy, b), fused=True)
    check(y, a, b, **how)


@pytest.fixture
def large_tiles(monkeypatch):
    """Blocks take 128 x 128 elements."""
    monkeypatch.setattr(products, "multiprocessors", lambda: 1)


# ------------------------------------------------------------------------------------ own kernels
SIZES = [(1, 1, 1), (63, 65, 31), (64, 64, 32), (65, 63, 33), (3, 130, 97), (64, 8, 1)]


@pytest.mark.parametrize(
    ("dtype", "transposed"),
    [(d, t) for d in ("float32", "float16") for t in TRANSPOSED]
    + [(d, t) for d in ("bfloat16", "float64") for t in HALF_OF_THEM],
)
@pytest.mark.parametrize("sizes", SIZES)
def test_sizes_around_tiles(cupy, sizes, transposed, dtype):
    check_own(cupy, *sizes, dtype, transposed)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("transposed", HALF_OF_THEM)
@pytest.mark.parametrize("sizes", [(128, 128, 40), (129, 8, 65), (120, 136, 24)])
def test_large_tiles(cupy, large_tiles, sizes, transposed, dtype):
    check_own(cupy, *sizes, dtype, transposed)


@pytest.mark.parametrize("transposed", HALF_OF_THEM)
@pytest.mark.parametrize("sizes", SIZES)
def test_tf32(cupy, sizes, transposed):
    with high_precision():
        check_own(cupy, *sizes, "float32", transposed, precision="tf32")


def test_tf32_in_large_tiles(cupy, large_tiles):
    with high_precision():
        check_own(cupy, 130, 120, 37, transposed=(True, True), precision="tf32")
        check_own(cupy, 130, 120, 37, transposed=(False, False), precision="tf32")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("transposed", HALF_OF_THEM)
def test_any_order_of_threads(cupy, order, transposed, dtype):
    check_own(cupy, 70, 66, 100, dtype, transposed)


def test_no_races(cupy):
    if cupy.cuda.cublas is not stand_in_cublas:
        pytest.skip("the rig finds races")
    with rig.schedule("random", sanitize="thread"):
        check_own(cupy, 65, 20, 70, "float16")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("multiprocessors", [4, 132])
def test_a_split_depth(cupy, order, monkeypatch, multiprocessors, dtype):
    monkeypatch.setattr(products, "multiprocessors", lambda: multiprocessors)
    rows, columns, depth = 9, 21, 1300
    _, splits, each = products.tiling(rows, columns, depth, 1, kind(dtype))
    assert splits > 3
    assert (splits - 1) * each < depth <= splits * each
    check_own(cupy, rows, columns, depth, dtype)


def test_a_split_depth_of_a_batch(cupy, monkeypatch):
    monkeypatch.setattr(gemm, "capturing", lambda: True)
    a, b = numbers(2, 5, 1200), numbers(2, 1200, 6, seed=1)
    assert products.tiling(5, 6, 1200, 2, a.dtype)[1] == 4
    check(gemm.matmul(cupy.asarray(a), cupy.asarray(b)), a, b)


def test_the_same_bits_each_time(cupy):
    a, b = (on_device(cupy, x) for x in factors(7, 5, 3000))
    first, second = (gemm.affine(a, b, fused=True)[0].get() for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "cut",
    [
        (slice(1, None), slice(None)),
        (slice(None), slice(1, None)),
        (slice(None, None, 2), slice(8, None)),
        (slice(None), slice(None, -3)),
    ],
)
def test_parts_of_arrays(cupy, cut, dtype):
    """Lines that begin anywhere, and more elements from one to the next than each has."""
    for turned in (False, True):
        a, b = (x[cut] for x in factors(68, 68, 68, dtype))
        a, b = (a[:, : b.shape[0]], b[: a.shape[1]])
        whole = [cupy.asarray(x) for x in factors(68, 68, 68, dtype)]
        x, y = (w[cut] for w in whole)
        x, y = x[:, : b.shape[0]], y[: a.shape[1]]
        if turned:
            a, b, x, y = b.T, a.T, y.T, x.T
        check(gemm.affine(x, y, fused=True)[0], a, b)


@pytest.mark.parametrize("capability", [70, 75])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_older_gpus(cupy, monkeypatch, dtype, capability):
    monkeypatch.setattr(products, "capability", lambda: capability)
    with high_precision():
        assert (products.path(kind(dtype)) == products.SIMT) == (
            dtype != "float16" or capability == 70
        )
        check_own(cupy, 66, 12, 50, dtype)


def test_which_instructions_multiply(cupy):
    def path(dtype):
        return products.path(kind(dtype))

    assert path("float32") == path("float64") == products.SIMT
    assert path("float16") == path("bfloat16") == products.TENSOR
    with high_precision():
        assert path("float32") == products.TENSOR_TF32
        assert path("float64") == products.SIMT


# ------------------------------------------------------------------------------------- the epilogue
RELU = Curve("RELU")
EPILOGUES = {
    "LINEAR": None,
    "RELU": lambda z: np.maximum(z, 0),
    "TANH": np.tanh,
    "GELU": lambda z: smooth.gelu.reference(z, False),
    "SILU": smooth.silu.reference,
}


@pytest.mark.parametrize(
    ("activation", "dtype"),
    [(name, "float32") for name in EPILOGUES] + [("GELU", d) for d in FLOATS if d != "float32"],
)
@pytest.mark.parametrize("depth", [20, 700])
def test_bias_and_activation(cupy, depth, activation, dtype):
    """In the product's launch, or by cuBLAS and another one: the same results."""
    a, b = factors(5, 19, depth, dtype)
    b = (b / np.sqrt(depth)).astype(b.dtype)
    bias = numbers(19, dtype=dtype, seed=2)
    product = a.astype("f8") @ b.astype("f8")
    function = EPILOGUES[activation] or (lambda z: z)
    expected = function(product + bias.astype("f8"))
    tolerance = {"float64": 1e-12, "float32": 5e-6, "float16": 8e-3, "bfloat16": 6e-2}[dtype]
    for fused in (True, False):
        given = [on_device(cupy, x) for x in (a, b, bias)]
        y, saved = gemm.affine(*given, Curve(activation), keep=True, fused=fused)
        alone, nothing = gemm.affine(*given, Curve(activation), fused=fused)
        assert nothing is None
        assert alone.get().tobytes() == y.get().tobytes()
        for found, wanted in ((y, expected), (saved, product)):
            assert found.dtype == a.dtype
            np.testing.assert_allclose(
                found.get().astype("f8"), wanted, rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("fused", [True, False])
def test_activation_without_bias_and_its_parameters(cupy, fused):
    a, b = factors(5, 6, 7)
    leaky = Curve("LEAKY_RELU", (0.25, 0.0, 0.0))
    y, _ = gemm.affine(*map(cupy.asarray, (a, b)), None, leaky, fused=fused)
    z = a @ b
    np.testing.assert_allclose(y.get(), np.where(z > 0, z, z / 4), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [33, 1100])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_scaled_and_added(cupy, depth, dtype):
    a, b = factors(17, 9, depth, dtype)
    before = numbers(17, 9, dtype=dtype, seed=3)
    y = cupy.asarray(before)
    ((left, right, result, _),) = matrices.batches(cupy.asarray(a), cupy.asarray(b), y)
    products.launch(left, right, result, alpha=0.5, added=y)
    check(y, (a * np.asarray(0.5, a.dtype)), b, more=before.astype("f8"))


def test_what_wins(cupy, monkeypatch):
    def wins(rows, columns, depth, dtype="float32", bias=True, curve=RELU, keep=False):
        shapes = (rows, depth), (depth, columns)
        a, b = (np.broadcast_to(np.zeros((), kind(dtype)), shape) for shape in shapes)
        return gemm.fusing_wins(a, b, True if bias else None, curve, keep)

    monkeypatch.setattr(gemm, "capability", lambda: 90)
    assert wins(64, 128, 784)  # Little work: one launch rather than two.
    assert not wins(8192, 4096, 4096, "bfloat16")
    assert wins(8192, 4096, 128, "bfloat16")
    assert wins(8192, 4096, 2048, "bfloat16")  # By warpgroups.
    assert not wins(8192, 4096, 2048, "bfloat16", keep=True)  # Less is saved.
    assert wins(8192, 4096, 1024, "bfloat16", keep=True)
    monkeypatch.setattr(warpgroups, "serves", lambda dtype: False)
    assert not wins(8192, 4096, 512, "bfloat16")
    assert not wins(64, 10, 64, bias=False, curve=Curve("LINEAR"))  # Nothing follows.
    monkeypatch.setattr(gemm, "capability", lambda: 80)
    assert wins(8192, 4096, 512, "bfloat16")
    monkeypatch.setattr(gemm, "capturing", lambda: True)
    assert wins(8192, 4096, 4096)
