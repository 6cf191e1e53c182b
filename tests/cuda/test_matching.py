"""Kernels that tell whether predictions are right."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, kind

from gpulayers import metrics
from gpulayers.cuda import matching as kernels
from gpulayers.ops import matching as ops

WIDTHS = (1, 7, 8, 100, 2047, 2048, 2051)


def scores(rows, width, dtype="float32"):
    """Numbers of which several are equal, and some NaN or infinite."""
    x = np.random.default_rng(width).integers(-5, 5, (rows, width)).astype("f4")
    x[1 % rows, width // 2] = np.nan
    x[2 % rows] = -np.inf
    return x.astype(kind(dtype))


def check(cupy, op, x, y, **options):
    out = op.version("cupy")(cupy.asarray(x), cupy.asarray(y), dtype="float32", **options)
    wide = x.astype("f8")
    expected = op.reference(
        wide, y.astype("f8") if y.dtype.kind in "fV" else y, dtype="float32", **options
    )
    assert out.dtype == np.float32
    assert np.array_equal(out.get(), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_highest(cupy, width, dtype):
    x = scores(9, width, dtype)
    right = np.argmax(x.astype("f4"), axis=-1)
    for classes in (right, (right + np.arange(9) % 2) % width):
        check(cupy, ops.highest_is, x, classes)
        check(cupy, ops.highest_alike, x, np.eye(width, dtype="f4")[classes])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bfloat16"])
def test_classes_of_any_dtype(cupy, dtype):
    x, classes = scores(40, 9), (np.arange(40) % 9).astype(kind(dtype))
    check(cupy, ops.highest_is, x, classes)
    check(cupy, ops.among_highest, x, classes, k=4)


@pytest.mark.parametrize("width", [30, 3000])
def test_in_any_order(cupy, order, width):
    x = scores(5, width)
    classes = np.random.default_rng(0).integers(-1, width + 1, 5)
    check(cupy, ops.highest_is, x, classes)
    check(cupy, ops.highest_alike, x, scores(5, width)[::-1].copy())
    check(cupy, ops.among_highest, x, classes, k=width // 2)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("k", [0, 1, 5])
def test_among_the_highest(cupy, width, k, dtype):
    classes = np.random.default_rng(k).integers(-2, width + 2, 12)
    check(cupy, ops.among_highest, scores(12, width, dtype), classes, k=k)


@pytest.mark.parametrize(
    ("dtype", "kind_of_target"), [*zip(FLOATS, ["int64", "bool", "int64", "float32"])]
)
@pytest.mark.parametrize("shape", [(0,), (257,), (3, 5), ()])
def test_elements(cupy, shape, kind_of_target, dtype):
    random = np.random.default_rng(0)
    y_pred = np.asarray(random.integers(0, 4, shape) / 4).astype(kind(dtype))
    y_true = np.asarray(random.integers(0, 2, shape)).astype(kind_of_target)
    check(cupy, ops.equal_in_dtype, y_pred, y_true)
    check(cupy, ops.on_its_side, y_pred, y_true, threshold=0.5)


def test_views_and_no_rows(cupy):
    x, classes = cupy.asarray(scores(8, 20)), cupy.asarray(np.arange(8))
    out = ops.highest_is.version("cupy")(x[::2, ::2], classes[::2], dtype="float32")
    assert np.array_equal(out.get(), (np.argmax(x.get()[::2, ::2], -1) == classes.get()[::2]))
    assert ops.highest_is(x[:0], classes[:0], dtype="float32").shape == (0,)


def test_what_the_kernels_leave(cupy):
    whole = cupy.asarray(np.arange(6).reshape(2, 3)), cupy.asarray(np.array([2, 0]))
    assert ops.highest_is.version("cupy")(*whole, dtype="float32") is NotImplemented
    assert ops.highest_is(*whole, dtype="float32").get().tolist() == [1, 0]


def one_hot_targets(random):
    return np.eye(6)[random.integers(0, 6, 20)], random.random((20, 6))


def class_numbers(random):
    return random.integers(0, 6, 20), random.random((20, 6))


CASES = [
    (metrics.Accuracy, {}, lambda r: (r.integers(0, 2, (20, 3)), r.integers(0, 2, (20, 3)))),
    (metrics.BinaryAccuracy, {"threshold": 0.3}, lambda r: (r.integers(0, 2, 20), r.random(20))),
    (metrics.CategoricalAccuracy, {}, one_hot_targets),
    (metrics.SparseCategoricalAccuracy, {}, class_numbers),
    (metrics.TopKCategoricalAccuracy, {"k": 2}, one_hot_targets),
    (metrics.SparseTopKCategoricalAccuracy, {"k": 3}, class_numbers),
]


@pytest.mark.parametrize(("kind_of", "options", "make"), CASES, ids=[c[0].__name__ for c in CASES])
def test_metrics_use_them_and_copy_nothing_to_the_host(cupy, monkeypatch, kind_of, options, make):
    launched = []
    launch = kernels._launch
    monkeypatch.setattr(kernels, "_launch", lambda *a: launched.append(a[0]) or launch(*a))
    y_true, y_pred = make(np.random.default_rng(0))
    y_pred = y_pred.astype("f4")
    here, there = kind_of(**options), kind_of(**options)
    here.update_state(y_true, y_pred)
    arrays = cupy.asarray(y_true), cupy.asarray(y_pred)
    copies = _copies()
    there.update_state(*arrays)
    assert _copies() == copies
    assert len(launched) == 1
    np.testing.assert_allclose(there.result().get(), here.result(), rtol=1e-6)


def _copies():
    import stand_in_arrays

    return len(stand_in_arrays.host_copies)
