"""Sample weights, masks and reductions."""

import numpy as np
import pytest

from gpulayers import losses
from gpulayers.arrays import Tape, get_mask, set_mask

TRUE = np.zeros((2, 3, 1), dtype="float32")
PRED = np.array([[[1], [2], [3]], [[4], [5], [6]]], dtype="float32")  # Squares: 1 4 9, 16 25 36.
MASK = np.array([[True, False, True], [False, False, True]])


def masked(xp):
    y = xp.asarray(PRED.copy())
    set_mask(y, xp.asarray(MASK))
    return y


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("sum_over_batch_size", 46 / 3), ("mean", 46 / 3), ("sum", 46.0)]
    + [("mean_with_sample_weight", 46 / 3)],
)
def test_a_mask_leaves_steps_out(reduction, expected, xp):
    loss = losses.MeanSquaredError(reduction=reduction)
    assert float(loss(xp.asarray(TRUE), masked(xp))) == pytest.approx(expected)


def test_a_mask_without_reduction(xp):
    values = losses.MeanSquaredError(reduction="none")(xp.asarray(TRUE), masked(xp))
    np.testing.assert_array_equal(xp.to_numpy(values), [[1, 0, 9], [0, 0, 36]])


def test_a_mask_that_leaves_nothing(xp):
    y = xp.asarray(PRED.copy())
    set_mask(y, xp.asarray(np.zeros((2, 3), bool)))
    assert float(losses.MeanSquaredError()(xp.asarray(TRUE), y)) == 0


def test_mask_times_weights(xp):
    weights = xp.asarray(np.array([[1, 5, 2], [7, 7, 0.5]], dtype="float32"))
    value = losses.MeanSquaredError()(xp.asarray(TRUE), masked(xp), weights)
    assert float(value) == pytest.approx((1 + 18 + 18) / 3)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (2.0, 182 / 6),
        (np.array([[1.0], [0.0]]), 14 / 6),
        (np.array([[1, 0, 0], [0, 0, 2]]), 73 / 6),
        (np.array([[[1], [0], [0]], [[0], [0], [2]]]), 73 / 6),
    ],
)
def test_shapes_of_weights(weights, expected):
    assert float(losses.MeanSquaredError()(TRUE, PRED, weights)) == pytest.approx(expected)


def test_weights_of_samples_with_a_column():
    loss = losses.MeanSquaredError(reduction="sum")
    value = loss(np.zeros((3, 1)), np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [0], [2]]))
    assert float(value) == 19


def test_weights_that_are_all_zero():
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    assert float(loss(TRUE, PRED, np.zeros((2, 3)))) == 0


def test_the_gradient_of_what_a_mask_leaves_out_is_zero(xp):
    with Tape() as tape:
        x = tape.watch(xp.asarray(PRED.copy()))
        set_mask(x, xp.asarray(MASK))
        value = losses.MeanSquaredError()(xp.asarray(TRUE), x)
    g = xp.to_numpy(tape.gradient(value, x))[..., 0]
    np.testing.assert_allclose(g, np.where(MASK, 2 * PRED[..., 0] / 3, 0), rtol=1e-6)


@pytest.mark.parametrize("from_logits", [False, True])
def test_ignored_classes_do_not_count(from_logits, xp):
    y_true = np.array([0, -1, 2, -1])
    y_pred = np.array([[5, 2, 3], [1, 1, 1], [1, 1, 8], [0, 0, 0]], dtype="float32")
    make = losses.SparseCategoricalCrossentropy
    loss = make(from_logits=from_logits, ignore_class=-1)
    with Tape() as tape:
        x = tape.watch(xp.asarray(y_pred))
        value = loss(xp.asarray(y_true), x)
    kept = make(from_logits=from_logits)(y_true[::2], y_pred[::2])
    assert float(value) == pytest.approx(float(kept), rel=1e-6)
    g = xp.to_numpy(tape.gradient(value, x))
    assert not g[1::2].any()
    assert g[::2].any()
    values = losses.sparse_categorical_crossentropy(y_true, y_pred, ignore_class=-1)
    np.testing.assert_array_equal(get_mask(values), [True, False, True, False])


def test_targets_are_cast_but_class_numbers_are_kept():
    """2^24 + 1 is no float32."""
    classes = np.array([2**24 + 1])
    seen = []

    def look(y_true, y_pred):
        seen.append(y_true.dtype)
        return y_pred[..., 0]

    losses.LossFunctionWrapper(look)(classes, np.ones((1, 1), "float32"))
    look.keeps_integers = True
    losses.LossFunctionWrapper(look)(classes, np.ones((1, 1), "float32"))
    assert seen == [np.float32, classes.dtype]


def test_lists_and_integers_become_float32():
    assert losses.mean_squared_error([1, 2], [[1], [4]]).tolist() == [0, 4]
    value = losses.MeanSquaredError()([[0, 1]], [[1, 1]])
    assert (value.dtype, float(value)) == (np.float32, 0.5)


def test_structures_go_to_call_whole():
    class Both(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_true["a"] - y_pred["a"]) ** 2 + (y_true["b"] - y_pred["b"]) ** 2

    x = np.arange(3, dtype="float64")
    assert float(Both()({"a": x, "b": x}, {"a": x + 1, "b": x + 2})) == 5


def test_a_wrapped_function_of_structures():
    def first(y_true, y_pred):
        return abs(y_true["a"] - y_pred["a"])

    x = np.arange(3.0)
    loss = losses.LossFunctionWrapper(first)
    assert float(loss({"a": x}, {"a": x[:, None] + 1})) == 1


def test_empty_batches():
    assert float(losses.MeanSquaredError()(np.zeros((0, 2, 3)), np.zeros((0, 2, 3)))) == 0
    assert losses.MeanSquaredError()(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)
