"""Names, and what compile makes of its arguments."""

import pytest

from gpulayers import losses, metrics


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("mse", metrics.MeanSquaredError),
        ("MAE", metrics.MeanAbsoluteError),
        ("bce", metrics.BinaryCrossentropy),
        ("mean_squared_error", metrics.MeanSquaredError),
        ("sparse_categorical_crossentropy", metrics.SparseCategoricalCrossentropy),
        ("binary_accuracy", metrics.BinaryAccuracy),
        ("auc", metrics.AUC),
        ("AUC", metrics.AUC),
        ("f1_score", metrics.F1Score),
        ("r2_score", metrics.R2Score),
        ("precision", metrics.Precision),
        ("hinge", metrics.Hinge),
    ],
)
def test_strings_give_metrics(name, cls):
    assert type(metrics.get(name)) is cls


def test_all_of_keras_is_there():
    assert len(metrics.CLASSES) == 46
    assert metrics.hinge is losses.hinge
    assert metrics.get(metrics.hinge) is losses.hinge
    assert metrics.get(None) is None


@pytest.mark.parametrize(
    ("true", "pred", "kind"),
    [
        ((None,), (None, 1), "Binary"),
        ((None, 1), (None, 1), "Binary"),
        ((None,), (None, 3), "SparseCategorical"),
        ((None, 1), (None, 3), "SparseCategorical"),
        ((None, 3), (None, 3), "Categorical"),
        ((None, 7, 1), (None, 7, 3), "SparseCategorical"),
    ],
)
def test_accuracy_is_chosen_by_shapes(true, pred, kind):
    for name, what in (("accuracy", "Accuracy"), ("acc", "Accuracy"), ("ce", "Crossentropy")):
        metric = metrics.resolve(name, true, pred)
        assert type(metric).__name__ == kind + what
        assert metric.name == name


def test_resolving_other_things():
    auc = metrics.AUC(name="area")
    assert metrics.resolve(auc, (1,), (1,)) is auc
    assert metrics.resolve("mse", (1,), (1,)).name == "mse"
    wrapped = metrics.resolve(losses.huber, (1,), (1,))
    assert (type(wrapped), wrapped.name) == (metrics.MeanMetricWrapper, "huber")
    assert metrics.resolve(losses.Huber(), (1,), (1,)).name == "huber_loss"
    with pytest.raises(ValueError, match="expected a metric, got None"):
        metrics.resolve(None, (1,), (1,))
    with pytest.raises(ValueError, match="acuracy"):
        metrics.resolve("acuracy", (1,), (1,))


def test_a_better_value_is_higher_or_lower():
    assert metrics.AUC()._direction == metrics.MeanIoU(2)._direction == "up"
    assert metrics.MeanSquaredError()._direction == metrics.Poisson()._direction == "down"
