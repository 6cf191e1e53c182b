"""Kernels of cross-entropies, from logits and from probabilities, over any axis."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest
from kernel_checks import FLOATS, kind

from gpulayers import losses
from gpulayers.arrays import Tape
from gpulayers.cuda import cross_entropy as kernels
from gpulayers.ops.cross_entropy import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)

RNG = np.random.default_rng(0)
SHAPES = [((37, 10), -1), ((5, 64), -1), ((3, 1500), -1), ((2, 2051), -1), ((3, 6, 5), 1)]
LABELS = ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "bool", *FLOATS]


def predictions(shape, from_logits):
    return RNG.normal(scale=3, size=shape) if from_logits else RNG.uniform(0.05, 1, size=shape)


def labels(shape, axis, dtype="int32"):
    rest = list(shape)
    classes = rest.pop(axis)
    return RNG.integers(0, classes, rest).astype(dtype)


def check(cupy, op, target, output, *options, dtype="float32"):
    """Against the reference in float64, and the gradient of the predictions only."""
    tolerance = {"float64": 1e-12, "float32": 4e-6, "float16": 4e-3, "bfloat16": 2e-2}[dtype]
    x = output.astype(kind(dtype))
    if target.dtype.kind == "f":
        target = target.astype(kind(dtype))
    wide = target if target.dtype.kind in "iu" else target.astype("f8")
    with np.errstate(all="ignore"):
        size = op.reference(wide, x.astype("f8"), *options).size
    g = np.cos(np.arange(size)).astype(kind(dtype))
    there = cupy.asarray(target), cupy.asarray(x), cupy.asarray(g)
    version = op.version("cupy")
    out = version(there[0], there[1], *options)
    assert out.dtype == x.dtype
    again, pullback = version(there[0], there[1], *options, needs=(False, True))
    assert again.get().tobytes() == out.get().tobytes()
    nothing, dx = pullback(there[2].reshape(out.shape))
    assert nothing is None
    wide_x = strict.asarray(x.astype("f8"))
    wide = strict.asarray(wide)
    with np.errstate(all="ignore"):
        expected = op.reference(wide, wide_x, *options)
        rules = op._vjp(strict, expected, wide, wide_x, *options)
        slope = rules[1](strict.reshape(strict.asarray(g.astype("f8")), expected.shape))
    for found, right in ((out, expected), (dx, slope)):
        right = np.asarray(right._array)
        assert found.shape == right.shape
        found = found.get().astype("f8")
        np.testing.assert_allclose(found, right, rtol=tolerance, atol=tolerance)
    for a, b in zip(there, (target, x, g)):
        assert a.get().tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_sparse(cupy, shape, axis, from_logits, dtype):
    target, output = labels(shape, axis), predictions(shape, from_logits)
    check(cupy, sparse_categorical_crossentropy, target, output, from_logits, axis, dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_categorical(cupy, shape, axis, from_logits, dtype):
    output, target = predictions(shape, from_logits), RNG.uniform(size=shape)
    target *= RNG.uniform(size=shape) < 5 / shape[axis]  # Few of many classes.
    check(cupy, categorical_crossentropy, target, output, from_logits, axis, dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 43), (2, 1025)])
def test_binary(cupy, shape, from_logits, dtype):
    output = predictions(shape, from_logits)
    output = np.asarray(output if from_logits else np.minimum(output, 0.9))
    target = np.asarray(RNG.uniform(size=shape))
    check(cupy, binary_crossentropy, target, output, from_logits, dtype=dtype)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("op", [sparse_categorical_crossentropy, categorical_crossentropy])
def test_rows_of_a_block_in_any_order(cupy, order, op, from_logits):
    output = predictions((2, 1301), from_logits)
    target = labels(output.shape, -1) if op is not categorical_crossentropy else output**2 / 9000
    check(cupy, op, target, output, from_logits)


@pytest.mark.parametrize("dtype", LABELS)
def test_labels_of_any_dtype(cupy, dtype):
    target = labels((6, 2), -1).astype(kind(dtype) if dtype in FLOATS else dtype)
    output = predictions((6, 2), True).astype("f4")
    op = sparse_categorical_crossentropy
    found = op.version("cupy")(cupy.asarray(target), cupy.asarray(output), True)
    assert np.allclose(found.get(), op(target.astype("i8"), output, True), rtol=4e-6)


@pytest.mark.parametrize("from_logits", [True, False])
def test_labels_that_are_no_class(cupy, from_logits):
    target = np.array([0, -1, 3, 4, 2**40, -(2**62)])
    check(
        cupy, sparse_categorical_crossentropy, target, predictions((6, 4), from_logits), from_logits
    )
    out = sparse_categorical_crossentropy(
        cupy.asarray(target), cupy.asarray(predictions((6, 4), from_logits)), from_logits
    )
    assert np.isnan(out.get()).tolist() == [False, True, False, True, True, True]


@pytest.mark.parametrize(
    ("shape", "axis"), [((3, 1), -1), ((0, 4), -1), ((4, 7, 3, 2), 1), ((9,), 0)]
)
def test_shapes_of_sparse_labels(cupy, shape, axis):
    target, output = labels(shape, axis), predictions(shape, True)
    check(cupy, sparse_categorical_crossentropy, target, output, True, axis)
    check(cupy, sparse_categorical_crossentropy, np.expand_dims(target, axis), output, True, axis)


EXTREMES = np.array(
    [
        [1, -np.inf, 2, 0],
        [-np.inf] * 4,
        [1, np.nan, 2, 0],
        [1, np.inf, 2, -np.inf],
        [60, -60, 60, 0],
        [-60, -60, -60, -60],
        [-np.inf, -np.inf, -np.inf, 7],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
        [1e-9, 1, 1e-5, 0],
    ]
)


@pytest.mark.parametrize("repeats", [1, 300])
@pytest.mark.parametrize("from_logits", [True, False])
def test_masked_and_undefined_rows(cupy, from_logits, repeats):
    x = np.repeat(EXTREMES, repeats, axis=1)
    x = x if from_logits else np.where(np.isinf(x), 0, abs(x))
    for column in (0, 1, 3):
        target = np.full(len(x), column * repeats)
        check(cupy, sparse_categorical_crossentropy, target, x, from_logits)
        hot = np.eye(x.shape[1])[target]
        check(cupy, categorical_crossentropy, hot, x, from_logits)
        binary, dtype = (x, "float32") if from_logits else (np.minimum(x, 1), "float64")
        check(cupy, binary_crossentropy, hot, binary, from_logits, dtype=dtype)


def test_large_logits_keep_their_differences(cupy):
    x, target = np.array([[6e4, -6e4, 6e4], [-6e4, -6e4, -6e4]], "f4"), np.array([0, 2])
    expected = np.log([2.0, 3.0])
    for y_true, op in (
        (target, sparse_categorical_crossentropy),
        (np.eye(3, dtype="f4")[target], categorical_crossentropy),
    ):
        assert np.allclose(
            op(cupy.asarray(y_true), cupy.asarray(x), True).get(), expected, rtol=4e-6
        )


def test_only_a_number_for_each_row_is_kept(cupy, monkeypatch):
    made = []
    monkeypatch.setattr(kernels, "empty", lambda *a: made.append(a[0]) or cupy.empty(*a))
    monkeypatch.setattr(
        kernels, "empty_like", lambda x: made.append(x.shape) or cupy.empty(x.shape, x.dtype)
    )
    op = sparse_categorical_crossentropy.version("cupy")
    target, output = cupy.asarray(labels((3, 50), -1)), cupy.asarray(predictions((3, 50), True))
    op(target, output, True)
    assert made == [(3,)]
    op(target, output, True, needs=(False, True))
    assert made[1:] == [(3,), (3, 1)]


def test_views_and_arrays_that_no_vector_fits(cupy):
    base = predictions((2, 801), True).astype("f4")
    for part in (np.s_[:, ::2], np.s_[:, 1:], np.s_[::-1]):
        x = cupy.asarray(base)[part]
        target = labels(x.shape, -1)
        out = sparse_categorical_crossentropy(cupy.asarray(target), x, True)
        assert np.allclose(
            out.get(), sparse_categorical_crossentropy(target, x.get(), True), rtol=4e-6
        )
    x = cupy.asarray(base).reshape(-1)[1:1601].reshape(4, 400)
    target = labels(x.shape, -1)
    out, pullback = sparse_categorical_crossentropy.version("cupy")(
        cupy.asarray(target), x, True, needs=(False, True)
    )
    g = cupy.asarray(np.ones(4, "f4"))
    p = np.exp(x.get() - x.get().max(1, keepdims=True))
    expected = p / p.sum(1, keepdims=True) - np.eye(400)[target]
    assert np.allclose(pullback(g)[1].get(), expected, atol=4e-6)


def test_one_gradient_for_all(cupy):
    one = cupy.asarray(np.array(0.5, "f4"))
    for op in (sparse_categorical_crossentropy, categorical_crossentropy, binary_crossentropy):
        x = predictions((5, 6), True).astype("f4")
        target = labels(x.shape, -1) if op is sparse_categorical_crossentropy else abs(x)
        out, pullback = op.version("cupy")(
            cupy.asarray(target), cupy.asarray(x), True, needs=(False, True)
        )
        each = pullback(cupy.asarray(np.full(out.shape, 0.5, "f4")))[1]
        assert np.array_equal(pullback(cupy.broadcast_to(one, out.shape))[1].get(), each.get())


def test_what_is_refused(cupy):
    x, bad = cupy.asarray(predictions((2, 3), True)), cupy.asarray(np.zeros(3, "i4"))
    with pytest.raises(ValueError, match="target must have the shape of output without axis 1"):
        sparse_categorical_crossentropy(bad, x)
    with pytest.raises(ValueError, match="needs the axis 2"):
        categorical_crossentropy(x, x, axis=2)
    with pytest.raises(ValueError, match="the same shape"):
        binary_crossentropy(bad, x)
    version = categorical_crossentropy.version("cupy")
    assert version(x, x, True, needs=(True, True)) is NotImplemented


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("name", ["Sparse", "Categorical", "Binary"])
def test_losses(cupy, name, from_logits, dtype):
    """Whole losses, recorded: the same as on the CPU in float64, without a look from the host."""
    kinds = {"Sparse": "SparseCategoricalCrossentropy", "Categorical": "CategoricalCrossentropy"}
    loss = getattr(losses, kinds.get(name, "BinaryCrossentropy"))
    x = np.minimum(predictions((6, 5), from_logits), 0.9 if not from_logits else 9)
    target = labels(x.shape, -1) if name == "Sparse" else np.eye(5)[labels(x.shape, -1)]
    there = [
        cupy.asarray(target if name == "Sparse" else target.astype(dtype)),
        cupy.asarray(x.astype(dtype)),
    ]
    ours = loss(from_logits=from_logits, dtype=dtype)
    assert ours.directly(*there) is not None
    found, dx = gradient(ours, *there)
    expected, right = gradient(loss(from_logits=from_logits, dtype="float64"), target, x)
    rtol = {"float32": 1e-5, "float16": 1e-2}[dtype]
    assert type(dx) is type(there[1])
    assert found.dtype == dx.dtype == dtype
    np.testing.assert_allclose(found.get(), expected, rtol=rtol)
    np.testing.assert_allclose(dx.get(), right, rtol=rtol, atol=rtol / 10)


def gradient(loss, y_true, y_pred):
    with Tape() as tape:
        recorded = tape.watch(y_pred)
        value = loss(y_true, recorded)
    return value.value, tape.gradient(value, y_pred)
