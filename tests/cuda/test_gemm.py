"""Matrix products: kernels of our own, cuBLAS as it is asked, and which of them is taken."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import rig
import stand_in_cublas
from kernel_checks import FLOATS, kind

from gpulayers import config
from gpulayers.arrays import namespace
from gpulayers.cuda import gemm, matrices, products
from gpulayers.ops import activation as smooth
from gpulayers.ops import einsum

# Of a sum of products, as a part of the sum of their sizes: half a unit in the last place, and what
# adding up costs; for TF32 half a unit of each factor.
ROUNDING = {
    "float64": 1e-15, "float32": 5e-7, "float16": 5e-4, "bfloat16": 4e-3, "tf32": 2**-10 + 1e-6,
}  # fmt: skip
TRANSPOSED = [(a, b) for a in (False, True) for b in (False, True)]
# How one operand lies does not matter to the other: two of four cases have all that there is, where
# each costs a compilation.
HALF_OF_THEM = [(False, False), (True, True)]


def numbers(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(kind(dtype))


def factors(rows, columns, depth, dtype="float32", transposed=(False, False)):
    """Two matrices, held as their transposes or not."""
    shapes = (rows, depth), (depth, columns)
    return [
        numbers(*(shape[::-1] if turned else shape), dtype=dtype, seed=i).T
        if turned
        else numbers(*shape, dtype=dtype, seed=i)
        for i, (shape, turned) in enumerate(zip(shapes, transposed, strict=True))
    ]


def on_device(cupy, x):
    """An array there, with the layout that it has here if that is C or Fortran order."""
    if x.ndim == 2 and x.flags.f_contiguous and not x.flags.c_contiguous:
        return cupy.asarray(np.ascontiguousarray(x.T)).T
    return cupy.asarray(x)


def check(found, a, b, precision=None, more=0.0):
    """`found` is a @ b + more, up to the rounding of its dtype."""
    wide_a, wide_b = a.astype("f8"), b.astype("f8")
    expected = wide_a @ wide_b + more
    scale = np.abs(wide_a) @ np.abs(wide_b) + np.abs(more) + 1e-30
    assert found.dtype == a.dtype
    assert found.shape == expected.shape
    error = np.abs(found.get().astype("f8") - expected) / scale
    assert error.max(initial=0) <= ROUNDING[precision or found.dtype.name]


def check_own(cupy, rows, columns, depth, dtype="float32", transposed=(False, False), **how):
    a, b = factors(rows, columns, depth, dtype, transposed)
    y, _ = gemm.affine(on_device(cupy, a), on_device(cupy, b), fused=True)
    check(y, a, b, **how)


@pytest.fixture
def large_tiles(monkeypatch):
    """Blocks take 128 x 128 elements."""
    monkeypatch.setattr(products, "multiprocessors", lambda: 1)


@pytest.fixture
def calls(cupy):
    """What cuBLAS is asked for; on a GPU nobody notes it."""
    if cupy.cuda.cublas is not stand_in_cublas:
        pytest.skip("needs the stand-in for cuBLAS")
    stand_in_cublas.calls.clear()
    return stand_in_cublas.calls


@contextmanager
def high_precision():
    config.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        config.set_float32_matmul_precision("highest")


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


def test_no_races(cupy, calls):
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
        y, saved = gemm.affine(*given, activation, keep=True, fused=fused)
        alone, nothing = gemm.affine(*given, activation, fused=fused)
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
    y, _ = gemm.affine(
        *map(cupy.asarray, (a, b)), None, "LEAKY_RELU", (0.25, 0.0, 0.0), fused=fused
    )
    z = a @ b
    np.testing.assert_allclose(y.get(), np.where(z > 0, z, z / 4), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [33, 1100])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_scaled_and_added(cupy, depth, dtype):
    a, b = factors(17, 9, depth, dtype)
    before = numbers(17, 9, dtype=dtype, seed=3)
    y = cupy.asarray(before)
    ((left, right, result, _),) = matrices.batches(cupy.asarray(a), cupy.asarray(b), y)
    products.launch(left, right, result, alpha=0.5, accumulate=True)
    check(y, (a * np.asarray(0.5, a.dtype)), b, more=before.astype("f8"))


def test_what_wins(cupy, monkeypatch):
    def wins(rows, columns, depth, dtype="float32", bias=True, activation="RELU"):
        shapes = (rows, depth), (depth, columns)
        a, b = (np.broadcast_to(np.zeros((), kind(dtype)), shape) for shape in shapes)
        return gemm.fusing_wins(a, b, True if bias else None, activation)

    monkeypatch.setattr(gemm, "capability", lambda: 90)
    assert wins(64, 128, 784)  # Little work: one launch rather than two.
    assert not wins(8192, 4096, 4096, "bfloat16")
    assert wins(8192, 4096, 128, "bfloat16")
    assert not wins(8192, 4096, 512, "bfloat16")
    assert not wins(64, 10, 64, bias=False, activation="LINEAR")  # Nothing follows.
    monkeypatch.setattr(gemm, "capability", lambda: 80)
    assert wins(8192, 4096, 512, "bfloat16")
    monkeypatch.setattr(gemm, "capturing", lambda: True)
    assert wins(8192, 4096, 4096)


# ----------------------------------------------------------------------------------------- cuBLAS
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transposed", TRANSPOSED)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 4, 5), (1, 7, 3), (7, 1, 3), (7, 3, 1)])
def test_matrices(cupy, sizes, transposed, dtype):
    a, b = factors(*sizes, dtype, transposed)
    check(gemm.matmul(on_device(cupy, a), on_device(cupy, b)), a, b)


@pytest.mark.parametrize("transposed", TRANSPOSED)
def test_transposed_views_are_not_copied(cupy, calls, transposed, monkeypatch):
    monkeypatch.setattr(type(cupy.asarray(1)), "copy", None)
    a, b = factors(3, 4, 5, transposed=transposed)
    check(gemm.matmul(on_device(cupy, a), on_device(cupy, b)), a, b)
    assert calls[-1]["trans"] == (transposed[1], transposed[0])


BATCHES = [
    ((6, 3, 4), (6, 4, 5), 1),
    ((6, 3, 4), (4, 5), 1),
    ((2, 3, 3, 4), (4, 5), 1),
    ((3, 4), (6, 4, 5), 1),
    ((1, 3, 4), (6, 4, 5), 1),
    ((2, 6, 3, 4), (2, 6, 4, 5), 1),
    ((2, 1, 3, 4), (2, 6, 4, 5), 2),
    ((2, 6, 3, 4), (6, 4, 5), 2),
    ((5, 1, 3, 4), (1, 6, 4, 5), 5),
    ((20, 1, 3, 4), (1, 18, 4, 5), 1),
    ((2, 3, 1, 2, 3, 4), (3, 5, 1, 4, 5), 12),
    ((1, 1, 3, 4), (1, 4, 5), 1),
    ((4,), (6, 4, 5), 1),
    ((6, 3, 4), (4,), 1),
    ((4,), (4,), 1),
    ((4,), (4, 5), 1),
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("first", "second", "launches"), BATCHES)
def test_batches(cupy, calls, first, second, launches, dtype):
    a, b = numbers(*first, dtype=dtype), numbers(*second, dtype=dtype, seed=1)
    check(gemm.matmul(cupy.asarray(a), cupy.asarray(b)), a, b)
    assert len(calls) == launches


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("axes", "launches"),
    [((0, 2, 1, 3), 2), ((0, 1, 3, 2), 1), ((2, 0, 1, 3), 2), ((1, 2, 3, 0), 1)],
)
def test_batches_of_views(cupy, calls, monkeypatch, axes, launches, dtype, own):
    """As in attention: heads lie between the elements of a sequence."""
    monkeypatch.setattr(gemm, "capturing", lambda: own)
    a = numbers(2, 3, 4, 5, dtype=dtype)
    x, y = cupy.asarray(a).transpose(axes), np.transpose(a, axes)
    check(gemm.matmul(x, x.swapaxes(-1, -2)), y, y.swapaxes(-1, -2))
    assert len(calls) == (0 if own else launches)


@pytest.mark.parametrize("own", [False, True])
def test_unusual_views(cupy, monkeypatch, own):
    monkeypatch.setattr(gemm, "capturing", lambda: own)
    a, b = numbers(6, 8, 10), numbers(10, 12, seed=1)
    x, y = cupy.asarray(a), cupy.asarray(b)
    for cut in (
        np.s_[::2, :, ::2], np.s_[::-1], np.s_[:, ::-1], np.s_[..., ::-1], np.s_[2:3, 1:2],
        np.s_[:, ::3],
    ):  # fmt: skip
        depth = a[cut].shape[-1]
        check(gemm.matmul(x[cut], y[:depth]), a[cut], b[:depth])
        check(gemm.matmul(x[cut], y[:depth, ::2]), a[cut], b[:depth, ::2])
    row = cupy.broadcast_to(x[:, :1], a.shape)
    check(gemm.matmul(row, y), np.broadcast_to(a[:, :1], a.shape), b)


def test_many_small_batches_take_a_copy_instead_of_many_launches(cupy, calls):
    a = numbers(20, 3, 17, 2)
    x, y = cupy.asarray(a).swapaxes(1, 2), a.swapaxes(1, 2)
    check(gemm.matmul(x, x.swapaxes(-1, -2)), y, y.swapaxes(-1, -2))
    assert len(calls) == 1


def test_float32_is_exact_unless_it_need_not_be(cupy, calls):
    a, b = factors(3, 4, 500)
    x, y = cupy.asarray(a), cupy.asarray(b)
    check(gemm.matmul(x, y), a, b)
    with high_precision():
        check(gemm.matmul(x, y), a, b, precision="tf32")
        check(gemm.matmul(x.astype("f8"), y.astype("f8")), a.astype("f8"), b.astype("f8"))
    gemm.matmul(x, y)
    fast = stand_in_cublas.CUBLAS_COMPUTE_32F_FAST_TF32
    assert [c["compute"] == fast for c in calls] == [False, True, False, False]


def test_unknown_precisions_are_refused():
    with pytest.raises(ValueError, match="expected one of highest, high, got 'low'"):
        config.set_float32_matmul_precision("low")


def test_short_floats_are_summed_in_float32(cupy, calls):
    x = cupy.asarray(np.ones((1, 5000), "f2"))
    assert float(gemm.matmul(x, x.T).get()[0, 0]) == 5000
    assert calls[-1]["math_mode"] == stand_in_cublas.DISALLOW_REDUCED_PRECISION_REDUCTION
    assert stand_in_cublas.getMathMode(stand_in_cublas.HANDLE) == 0


@pytest.mark.parametrize("own", [False, True])
def test_results_in_place(cupy, monkeypatch, own):
    monkeypatch.setattr(gemm, "capturing", lambda: own)
    a, b, before = numbers(2, 3, 4), numbers(4, 5, seed=1), numbers(2, 3, 5, seed=2)
    out = cupy.asarray(before)
    x, y = cupy.asarray(a), cupy.asarray(b)
    assert gemm.matmul(x, y, out=out, accumulate=True) is out
    check(out, a, b, more=before)
    gemm.matmul(x, y, out=out)
    check(out, a, b)


def test_results_that_do_not_fit_are_refused(cupy):
    x = cupy.asarray(numbers(3, 3))
    for out in (cupy.empty((3, 4), "f4"), cupy.empty((3, 3), "f8"), cupy.empty((3, 3), "f4").T):
        with pytest.raises(ValueError, match="matmul: out must be"):
            gemm.matmul(x, x, out=out)


@pytest.mark.parametrize("own", [False, True])
def test_nothing_to_sum(cupy, monkeypatch, own):
    monkeypatch.setattr(gemm, "capturing", lambda: own)
    for a, b in (((3, 0), (0, 4)), ((0, 3), (3, 4)), ((2, 3, 0), (2, 0, 1)), ((0, 2, 3), (3, 1))):
        x, y = (cupy.asarray(numbers(*shape)) for shape in (a, b))
        found = gemm.matmul(x, y)
        assert np.array_equal(found.get(), np.zeros(a) @ np.zeros(b))
    y, _ = gemm.affine(
        cupy.asarray(numbers(3, 0)), cupy.asarray(numbers(0, 2)), cupy.asarray(np.ones(2, "f4")),
    )  # fmt: skip
    assert np.array_equal(y.get(), np.ones((3, 2)))


@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (5, 4)), ((4,), (5,)), ((2, 3, 4), (3, 4, 5)), ((), (3,)), ((3, 4), (3,))]
)
def test_sizes_that_do_not_match_are_refused(cupy, a, b):
    with pytest.raises(ValueError, match="match|broadcast"):
        gemm.matmul(cupy.asarray(numbers(*a)), cupy.asarray(numbers(*b)))


def test_other_dtypes_are_left_to_cupy(cupy, calls):
    whole = cupy.asarray(np.arange(6).reshape(2, 3))
    assert gemm.matmul(whole, whole.T).get().tolist() == [[5, 14], [14, 50]]
    assert gemm.matmul(whole.astype("c16") * 1j, whole.T).get()[0, 0] == 5j
    assert not calls
    with pytest.raises(TypeError, match="out is for floats"):
        gemm.matmul(whole, whole.T, out=cupy.empty((2, 2), whole.dtype))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("float16", "float32", "float32"),
        ("bfloat16", "float16", "float32"),
        ("float32", "float64", "float64"),
    ],
)
def test_two_kinds_of_floats(cupy, one, other, both):
    a, b = numbers(3, 4, dtype=one), numbers(4, 5, dtype=other, seed=1)
    found = gemm.matmul(cupy.asarray(a), cupy.asarray(b))
    check(found, a.astype(both), b.astype(both))


def test_captured_streams_get_our_kernels(cupy, calls, monkeypatch):
    a, b = factors(3, 4, 5)
    x, y = cupy.asarray(a), cupy.asarray(b)
    monkeypatch.setattr(type(cupy.cuda.get_current_stream()), "is_capturing", lambda self: True)
    check(gemm.matmul(x, y), a, b)
    check(gemm.affine(x, y)[0], a, b)
    assert not calls


def test_without_cublas_ours_are_taken(cupy, calls, monkeypatch):
    monkeypatch.setattr(gemm.cublas, "library", lambda: None)
    a, b = factors(3, 4, 5)
    check(gemm.matmul(cupy.asarray(a), cupy.asarray(b)), a, b)
    assert not calls


# -------------------------------------------------------------------------------- other functions
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("first", "second", "axes"),
    [
        ((3, 4), (4, 5), 1),
        ((2, 3, 4), (3, 4, 5), 2),
        ((2, 3), (4, 5), 0),
        ((3, 4), (3, 5), ((0,), (0,))),
        ((3, 4, 2), (5, 2, 3), ((0, 2), (2, 1))),
        ((3, 4, 2), (5, 2, 3), ((2, 0), (1, 2))),
        ((3, 4, 2), (2, 5, 3), ((-3,), (-1,))),
    ],
)
def test_tensordot(cupy, calls, first, second, axes, dtype):
    a, b = numbers(*first, dtype=dtype), numbers(*second, dtype=dtype, seed=1)
    x, y = cupy.asarray(a), cupy.asarray(b)
    found = namespace(x).tensordot(x, y, axes=axes)
    expected = np.tensordot(a.astype("f8"), b.astype("f8"), axes)
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found.get().astype("f8"), expected, rtol=2e-2, atol=5e-2)
    assert calls


def test_tensordot_refuses_other_sizes(cupy):
    x = cupy.asarray(numbers(3, 4))
    with pytest.raises(ValueError, match="tensordot: sizes do not match"):
        gemm.tensordot(x, x, axes=1)


@pytest.mark.parametrize("axis", [-1, -2])
def test_vecdot(cupy, axis):
    a, b = numbers(3, 4, 5), numbers(3, 1, 5, seed=1) if axis == -1 else numbers(4, 1, seed=1)
    x, y = cupy.asarray(a), cupy.asarray(b)
    found = namespace(x).vecdot(x, y, axis=axis)
    np.testing.assert_allclose(found.get(), (a * b).sum(axis), rtol=1e-5, atol=1e-5)
    z = cupy.asarray(a + 1j * a)
    np.testing.assert_allclose(gemm.vecdot(z, z).get(), (2 * a * a).sum(-1), rtol=1e-5)
    with pytest.raises(ValueError, match="vecdot: sizes do not match"):
        gemm.vecdot(x, cupy.asarray(a[..., :2]))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("equation", ["bthd,bshd->bhts", "btd,dhk->bthk", "ij,ij->i", "ij,jk"])
def test_einsum_ends_in_our_products(cupy, calls, equation, dtype):
    terms = equation.partition("->")[0].split(",")
    size = dict(zip("bthdskij", (2, 3, 4, 5, 6, 7, 8, 9), strict=True))
    arrays = [
        numbers(*(size[c] for c in term), dtype=dtype, seed=i) for i, term in enumerate(terms)
    ]
    found = einsum(equation, *map(cupy.asarray, arrays))
    expected = np.einsum(equation, *(a.astype("f8") for a in arrays))
    np.testing.assert_allclose(found.get().astype("f8"), expected, rtol=2e-2, atol=8e-2)
    assert calls


def test_the_namespace_takes_them(cupy, calls):
    x = cupy.asarray(numbers(3, 3))
    xp = namespace(x)
    for name in ("matmul", "tensordot", "vecdot"):
        getattr(xp, name)(x, x)
        getattr(xp.linalg, name)(x, x)
    assert len(calls) == 6
    assert xp.linalg.inv(x).shape == (3, 3)
