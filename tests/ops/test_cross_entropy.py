"""Cross-entropies: values, gradients, label kinds, clipping, bad input."""

import array_api_strict
import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers.arrays import Tape, namespace, plain
from gpulayers.ops import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(2, 3, 4)) * 2
PROBABILITIES = RANDOM.uniform(0.05, 0.95, size=(2, 3, 4))
TARGET = RANDOM.uniform(size=(2, 3, 4))


def softmax(x, axis):
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def beside(array, x):
    """A NumPy array in the library of `x`."""
    return namespace(plain(x)).asarray(array)


@pytest.mark.parametrize("from_logits", [False, True])
def test_binary(from_logits, xp):
    output = LOGITS if from_logits else PROBABILITIES
    p = 1 / (1 + np.exp(-LOGITS)) if from_logits else PROBABILITIES
    expected = -(TARGET * np.log(p) + (1 - TARGET) * np.log(1 - p))
    given = (xp.asarray(TARGET), xp.asarray(output))
    out = binary_crossentropy(*given, from_logits=from_logits)
    np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=1e-12)
    check_gradient(
        lambda t, o: binary_crossentropy(t, o, from_logits=from_logits), TARGET, output, xp=xp
    )
    check_primitive(
        binary_crossentropy, TARGET, output, differentiable=[1], from_logits=from_logits
    )


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("from_logits", [False, True])
def test_categorical(from_logits, axis, xp):
    output = LOGITS if from_logits else PROBABILITIES
    p = softmax(LOGITS, axis)
    if not from_logits:
        p = PROBABILITIES / PROBABILITIES.sum(axis=axis, keepdims=True)
    options = {"from_logits": from_logits, "axis": axis}
    out = categorical_crossentropy(xp.asarray(TARGET), xp.asarray(output), **options)
    np.testing.assert_allclose(xp.to_numpy(out), -(TARGET * np.log(p)).sum(axis), rtol=1e-12)
    check_gradient(lambda t, o: categorical_crossentropy(t, o, **options), TARGET, output, xp=xp)
    check_primitive(categorical_crossentropy, TARGET, output, differentiable=[1], **options)


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("from_logits", [False, True])
def test_sparse_categorical(from_logits, axis, xp):
    output = LOGITS if from_logits else PROBABILITIES
    labels = RANDOM.integers(0, output.shape[axis], size=np.delete(output.shape, axis))
    hot = np.moveaxis(np.eye(output.shape[axis])[labels], -1, axis)
    options = {"from_logits": from_logits, "axis": axis}
    expected = categorical_crossentropy(hot, output, **options)
    for kind in (labels, labels.astype("float32"), np.expand_dims(labels, axis).astype("uint8")):
        out = sparse_categorical_crossentropy(xp.asarray(kind), xp.asarray(output), **options)
        np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=1e-12)
        check_gradient(
            lambda o, kind=kind: sparse_categorical_crossentropy(beside(kind, o), o, **options),
            output,
            xp=xp,
        )
    check_primitive(sparse_categorical_crossentropy, labels, output, **options)


def test_labels_and_predictions_may_be_lists():
    expected = [-np.log(0.9), -np.log(0.8)]
    np.testing.assert_allclose(
        sparse_categorical_crossentropy([0, 1], [[0.9, 0.1], [0.2, 0.8]]), expected, rtol=1e-6
    )
    np.testing.assert_allclose(
        binary_crossentropy([1, 0], np.array([0.9, 0.2])), expected, rtol=1e-6
    )


def test_probabilities_are_clipped_and_have_no_gradient_there(xp):
    output, target = np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])
    with Tape([]) as tape:
        watched = tape.watch(xp.asarray(output))
        losses = [
            binary_crossentropy(xp.asarray(target), watched),
            categorical_crossentropy(xp.asarray(target), watched),
            sparse_categorical_crossentropy(xp.asarray(np.array([0])), watched),
        ]
    for loss in losses:
        np.testing.assert_allclose(xp.to_numpy(plain(loss)).max(), -np.log(1e-7), rtol=1e-6)
    (grad,) = tape.gradient(losses, [watched])
    np.testing.assert_array_equal(xp.to_numpy(grad), 0)


@pytest.mark.parametrize(
    "loss", [binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy]
)
def test_huge_logits_stay_finite(loss, xp):
    logits = np.array([[1e4, -1e4, 3.0]], np.float32)
    target = np.array([1]) if loss is sparse_categorical_crossentropy else np.array([[0.0, 1, 0]])
    with Tape([]) as tape:
        watched = tape.watch(xp.asarray(logits))
        out = loss(xp.asarray(target), watched, from_logits=True)
    (grad,) = tape.gradient(out, [watched])
    assert str(xp.to_numpy(grad).dtype) == "float32"
    assert np.isfinite(xp.to_numpy(plain(out))).all()
    np.testing.assert_allclose(xp.to_numpy(plain(out)).max(), 2e4 if target.ndim == 1 else 2e4 / 2
                               if loss is binary_crossentropy else 2e4)  # fmt: skip
    assert np.isfinite(xp.to_numpy(grad)).all()


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_a_label_that_is_no_class(labels):
    message = "class numbers from 0 to 2 in y_true, as y_pred has 3 classes; got"
    with pytest.raises(ValueError, match=message):
        sparse_categorical_crossentropy(np.array(labels), np.ones((2, 3)))
    xp = array_api_strict
    out = sparse_categorical_crossentropy(xp.asarray(labels), xp.ones((2, 3)))
    np.testing.assert_array_equal(
        np.isnan(np.asarray(out._array)), [not 0 <= n < 3 for n in labels]
    )


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"binary_crossentropy: .*\(2,\) and \(2, 1\)"):
        binary_crossentropy(np.ones(2), np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"categorical_crossentropy: .*\(2, 3\) and \(2, 4\)"):
        categorical_crossentropy(np.ones((2, 3)), np.ones((2, 4)), from_logits=True)
    with pytest.raises(ValueError, match=r"target must have the shape .*\(2,\), got \(3,\)"):
        sparse_categorical_crossentropy(np.ones(3), np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"needs the axis 2, got the shape \(2, 3\)"):
        categorical_crossentropy(np.ones((2, 3)), np.ones((2, 3)), axis=2)


def test_a_record_can_be_read_twice():
    labels = np.array([0, 2])
    logits = LOGITS[:, 0].astype("float32")
    with Tape([], persistent=True) as tape:
        watched = tape.watch(logits)
        out = sparse_categorical_crossentropy(labels, watched, from_logits=True)
    first, second = (tape.gradient(out, [watched])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, softmax(logits, -1) - np.eye(4)[labels], atol=1e-6)
