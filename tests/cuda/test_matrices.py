"""Products of CuPy arrays as layers ask for them: batches, views, dtypes, and who computes them."""

from __future__ import annotations

import numpy as np
import pytest
import stand_in_cublas
from kernel_checks import FLOATS
from product_checks import TRANSPOSED, check, factors, high_precision, numbers, on_device

from gpulayers import config
from gpulayers.arrays import namespace
from gpulayers.cuda import gemm, products
from gpulayers.ops import einsum


@pytest.fixture
def calls(cupy):
    """What cuBLAS is asked for; on a GPU nobody notes it."""
    if cupy.cuda.cublas is not stand_in_cublas:
        pytest.skip("needs the stand-in for cuBLAS")
    stand_in_cublas.calls.clear()
    return stand_in_cublas.calls


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


def test_bfloat16_on_older_gpus_is_ours(cupy, calls, monkeypatch):
    a, b = factors(3, 4, 5, "bfloat16")
    for module in (gemm, products):
        monkeypatch.setattr(module, "capability", lambda: 75)
    check(gemm.matmul(cupy.asarray(a), cupy.asarray(b)), a, b)
    assert not calls


def test_sizes_beyond_cublas_are_ours(cupy, calls, monkeypatch):
    a, b = factors(3, 4, 5)
    monkeypatch.setattr(gemm.cublas, "LARGEST", 4)
    check(gemm.matmul(cupy.asarray(a), cupy.asarray(b)), a, b)
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
