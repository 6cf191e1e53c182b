"""What is said about bad input."""

import numpy as np
import pytest

from gpulayers import losses


def zeros(*shape):
    return np.zeros(shape, dtype="float32")


BAD_CALLS = [
    (
        losses.MeanSquaredError(),
        zeros(3, 4),
        zeros(3, 5),
        r"mean_squared_error.*\(3, 4\).*\(3, 5\)",
    ),
    (losses.KLDivergence(), zeros(2, 4), zeros(3, 4), r"kl_divergence.*\(2, 4\).*\(3, 4\)"),
    (losses.BinaryCrossentropy(), zeros(3, 4), zeros(3, 1), r"binary_crossentropy.*\(3, 4\)"),
    (losses.CategoricalCrossentropy(), zeros(2), zeros(2, 4), r"categorical_.*\(2,\).*\(2, 4\)"),
    (
        losses.SparseCategoricalCrossentropy(),
        zeros(2, 4),
        zeros(2, 4),
        r"\(2, 4\).*expected one class number for each row, \(2,\).*categorical_crossentropy",
    ),
    (losses.CTC(), zeros(3), zeros(3, 4, 2), r"ctc: expected labels.*\(3,\)"),
    (losses.CTC(), zeros(3, 2), zeros(3, 4), r"ctc: expected logits.*\(3, 4\)"),
]


@pytest.mark.parametrize(("loss", "y_true", "y_pred", "message"), BAD_CALLS)
def test_shapes(loss, y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        loss(y_true, y_pred)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "float32"])
@pytest.mark.parametrize("classes", [[0, 4], [9, 1]])
def test_class_numbers_above(dtype, classes):
    with pytest.raises(ValueError, match=r"sparse_cat.*from 0 to 3.*4 classes; got numbers from"):
        losses.sparse_categorical_crossentropy(np.array(classes, dtype), zeros(2, 4) + 0.25)


def test_class_numbers_below():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match=r"from 0 to 3 in y_true.*got numbers from -1 to 3"):
        loss(np.array([[3, -1], [0, 1]]), zeros(2, 2, 4))
    with pytest.raises(ValueError, match=r"generalized.*from 0 to 3"):
        losses.CategoricalGeneralizedCrossEntropy()(np.array([-1, 0]), zeros(2, 4))


def test_weights():
    with pytest.raises(ValueError, match=r"huber_loss: sample_weight.*\(3,\).*\(3, 5\)"):
        losses.Huber()(zeros(3, 5, 2), zeros(3, 5, 2), np.ones(3))


def test_options():
    with pytest.raises(ValueError, match=r"reduction: expected one of .* got 'average'"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(ValueError, match=r"q must be between 0 and 1, got 1\.5"):
        losses.CategoricalGeneralizedCrossEntropy(q=1.5)
    with pytest.raises(ValueError, match="axis must be an integer, got True"):
        losses.categorical_crossentropy(zeros(2, 2), zeros(2, 2), axis=True)


def test_one_class_is_suspicious():
    with pytest.warns(SyntaxWarning, match=r"\(2, 1\).*binary_crossentropy"):
        losses.categorical_crossentropy(zeros(2, 1), zeros(2, 1) + 1)


def test_names():
    with pytest.raises(ValueError, match=r"mean_sqared_error.*mean_squared_error"):
        losses.get("mean_sqared_error")
    with pytest.raises(TypeError, match="got int"):
        losses.get(3)


def test_a_loss_without_call():
    with pytest.raises(NotImplementedError, match="Loss must define call"):
        losses.Loss()(zeros(2), zeros(2))
