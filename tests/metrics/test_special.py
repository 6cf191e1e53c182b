"""Corners of single metrics."""

import numpy as np
import pytest

from gpulayers import metrics


def value(metric, *args):
    metric.update_state(*args)
    return float(metric.result())


def test_classes_that_count_for_nothing():
    iou = metrics.MeanIoU(3, ignore_class=255)
    assert value(iou, np.array([0, 255, -1, 1, 7]), np.array([0, 1, 1, 1, 0])) == pytest.approx(1)


def test_float_weights_in_integer_counts():
    with pytest.warns(UserWarning, match="MeanIoU: float weights are cut to int32"):
        value(metrics.MeanIoU(2), np.array([0, 1]), np.array([0, 1]), np.array([0.5, 1.5]))
    assert value(
        metrics.MeanIoU(2, dtype="float32"),
        np.array([0, 1]),
        np.array([1, 1]),
        np.array([0.5, 1.5]),
    ) == pytest.approx(0.375)


def test_top_k_of_class_numbers():
    metric = metrics.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True)
    ids = np.array([[4, 2, 0], [1, 3, 2]])
    assert value(metric, np.array([2, 2]), ids) == 0.5
    assert metric.get_config()["from_sorted_ids"] is True
    assert "from_sorted_ids" not in metrics.SparseTopKCategoricalAccuracy().get_config()


def test_top_k_with_equal_scores_nan_and_unknown_classes():
    scores = np.array([[1, 1, 1, 0], [np.nan, 1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4]])
    found = metrics.sparse_top_k_categorical_accuracy(np.array([2, 0, 9, -1]), scores, k=1)
    np.testing.assert_array_equal(found, [1, 0, 0, 0])


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_sparse_accuracy_of_either_shape(shape, xp):
    y_true = xp.asarray(np.array([0, 1, 1, 0], dtype="uint8").reshape(shape))
    y_pred = xp.asarray(np.array([[2, 1], [1, 2], [2, 1], [2, 1]], dtype="float32"))
    found = metrics.sparse_categorical_accuracy(y_true, y_pred)
    np.testing.assert_array_equal(xp.to_numpy(found), [1, 1, 0, 1])


def test_scores_of_constant_targets():
    ones = np.ones((4, 1), "float32")
    assert np.isnan(value(metrics.R2Score(), ones, ones))
    assert value(metrics.R2Score(), ones, 0 * ones) == 0


def test_too_many_regressors():
    metric = metrics.R2Score(num_regressors=4)
    metric.update_state(np.arange(4.0)[:, None], np.arange(4.0)[:, None])
    with pytest.warns(UserWarning, match="4 regressors are too many for 4 samples"):
        assert float(metric.result()) == 1


def test_constants_do_not_correlate():
    assert np.isnan(metrics.pearson_correlation(np.ones((1, 3)), np.arange(3.0)[None]))[0]
    assert metrics.concordance_correlation(np.ones((1, 3)), np.ones((1, 3))).tolist() == [0]


def test_precision_without_positives():
    assert value(metrics.Precision(), np.array([1, 1]), np.array([0.1, 0.2])) == 0


def test_several_thresholds_give_several_results():
    metric = metrics.Recall(thresholds=[0.8, 0.2])
    metric.update_state(np.array([1, 1]), np.array([0.5, 0.9]))
    assert metric.result().tolist() == [0.5, 1]


BAD = [
    (lambda: metrics.AUC(curve="area"), r"AUC: curve must be one of ROC, PR, PRGAIN, got 'area'"),
    (lambda: metrics.AUC(summation_method="x"), "AUC: summation_method must be one of"),
    (lambda: metrics.AUC(num_thresholds=1), "AUC: num_thresholds must be above 1, got 1"),
    (lambda: metrics.AUC(num_labels=2), "AUC: num_labels needs multi_label=True"),
    (lambda: metrics.Precision(thresholds=[0.5, 2]), r"Precision: thresholds must be between"),
    (lambda: metrics.RecallAtPrecision(2), "RecallAtPrecision: precision must be between 0 and 1"),
    (lambda: metrics.PrecisionAtRecall(0.5, 0), "num_thresholds must be positive, got 0"),
    (lambda: metrics.FBetaScore(beta=1), "FBetaScore: beta must be a float above 0, got 1"),
    (lambda: metrics.F1Score(average="mean"), "F1Score: average must be None"),
    (lambda: metrics.F1Score(threshold=1.5), r"F1Score: threshold must be a float in \(0, 1\]"),
    (lambda: metrics.IoU(2, [2]), r"IoU: target_class_ids must be from 0 to 1, got \[2\]"),
    (lambda: metrics.R2Score("mean"), "R2Score: class_aggregation must be one of"),
    (lambda: metrics.R2Score(num_regressors=-1), "num_regressors must be at least 0, got -1"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


SHAPES = [
    (metrics.SparseCategoricalAccuracy(), (3, 2), (3, 4), r"\(3, 2\).*\(3, 4\)"),
    (metrics.CategoricalAccuracy(), (3,), (4, 2), r"categorical_accuracy.*\(3,\).*\(4, 2\)"),
    (metrics.Precision(), (3, 2), (3, 4), r"Precision: y_true of shape \(3, 2\)"),
    (metrics.MeanIoU(3), (3, 2), (4,), r"MeanIoU.*\(3, 2\).*\(4,\)"),
    (metrics.F1Score(), (3,), (3,), r"F1Score: expected .*\(batch, classes\), got \(3,\)"),
    (metrics.R2Score(), (3,), (3,), r"R2Score: expected .*\(batch, outputs\), got \(3,\)"),
    (metrics.AUC(multi_label=True), (3,), (3,), r"AUC: multi_label=True needs .*\(3,\)"),
    (metrics.Recall(class_id=4), (3, 2), (3, 2), r"Recall: class_id=4 .*\(3, 2\)"),
    (metrics.MeanSquaredError(), (3, 2), (3, 4), r"mean_squared_error.*\(3, 2\).*\(3, 4\)"),
]


@pytest.mark.parametrize(("metric", "true", "pred", "message"), SHAPES)
def test_shapes(metric, true, pred, message):
    with pytest.raises(ValueError, match=message):
        metric.update_state(np.zeros(true, "int64"), np.zeros(pred, "float32"))
