"""Values of all metrics, as real Keras 3.15.1 gives them."""

import numpy as np
import pytest

from gpulayers import metrics, registry


def wave(*shape, start=0.0):
    n = int(np.prod(shape))
    return np.cos(np.arange(n) * 0.7 + start).reshape(shape).astype("float32")


def shares(*shape, start=0.0):
    e = np.exp(2 * wave(*shape, start=start))
    return (e / e.sum(-1, keepdims=True)).astype("float32")


CLASSES = np.array([2, 0, 1, 2, 1, 0])
HOT = np.eye(3, dtype="float32")[CLASSES]
BITS = (wave(6, 3, start=1) > 0).astype("float32")
WEIGHTS = np.array([1, 0.5, 0, 2, 1, 0.25], dtype="float32")
EIGHT = np.array([1, 2, 0.5, 1, 0, 1, 3, 0.25], dtype="float32")
INPUTS = {  # (y_true, y_pred, sample_weight)
    "numbers": (wave(6, 3, start=0.3), wave(6, 3), WEIGHTS),
    "shares": (shares(6, 3, start=1), shares(6, 3), WEIGHTS),
    "bits": (BITS, shares(6, 3), WEIGHTS),
    "bits, logits": (BITS, wave(6, 3), WEIGHTS),
    "one-hot": (HOT, shares(6, 3), WEIGHTS),
    "one-hot, logits": (HOT, wave(6, 3), WEIGHTS),
    "classes": (CLASSES, shares(6, 3), WEIGHTS),
    "ranking": (
        np.array([0, 1, 1, 0, 1, 0, 1, 1]),
        np.array([0.1, 0.4, 0.35, 0.8, 0.9, 0.5, 0.5, 0.0], dtype="float32"),
        EIGHT,
    ),
    "regions": (np.array([0, 1, 2, 2, 1, 0, 2, 1]), np.array([0, 2, 2, 1, 1, 0, 0, 1]), EIGHT),
}
# Metric, its arguments, its inputs, its value after one batch, and after the same one weighted.
VALUES = [
    ("MeanSquaredError", {}, "numbers", 0.044543, 0.043185),
    ("RootMeanSquaredError", {}, "numbers", 0.211051, 0.20781),
    ("MeanAbsoluteError", {}, "numbers", 0.190718, 0.185412),
    ("MeanAbsolutePercentageError", {}, "numbers", 59.466904, 61.826626),
    ("MeanSquaredLogarithmicError", {}, "numbers", 0.010356, 0.010025),
    ("CosineSimilarity", {}, "numbers", 0.952805, 0.957648),
    ("LogCoshError", {}, "numbers", 0.022027, 0.021355),
    ("PearsonCorrelation", {}, "numbers", 0.879298, 0.880635),
    ("ConcordanceCorrelation", {}, "numbers", 0.762016, 0.761644),
    ("R2Score", {}, "numbers", 0.911169, 0.905414),
    (
        "R2Score",
        {"class_aggregation": "variance_weighted_average", "num_regressors": 2},
        "numbers",
        0.899327,
        0.906176,
    ),
    ("KLDivergence", {}, "shares", 0.253919, 0.23546),
    ("Poisson", {}, "shares", 0.706663, 0.68664),
    ("BinaryCrossentropy", {}, "bits", 0.789469, 0.64113),
    ("CategoricalCrossentropy", {"from_logits": True}, "one-hot, logits", 1.406329, 1.441787),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0}, "classes", 1.253234, 1.581149),
    ("Hinge", {}, "bits, logits", 0.670884, 0.69327),
    ("SquaredHinge", {}, "bits, logits", 0.842907, 0.916223),
    ("CategoricalHinge", {}, "one-hot, logits", 1.829958, 1.838911),
    ("Accuracy", {}, "regions", 0.625, 0.462687),
    ("BinaryAccuracy", {}, "ranking", 0.375, 0.298507),
    ("BinaryAccuracy", {"threshold": 0.3}, "bits", 0.555556, 0.596899),
    ("CategoricalAccuracy", {}, "one-hot", 0.166667, 0.139535),
    ("SparseCategoricalAccuracy", {}, "classes", 0.166667, 0.139535),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot", 0.333333, 0.232558),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "classes", 0.333333, 0.232558),
    ("TruePositives", {}, "ranking", 1.0, 1.0),
    ("TrueNegatives", {}, "ranking", 2.0, 4.0),
    ("FalsePositives", {"thresholds": 0.2}, "ranking", 2.0, 4.0),
    ("FalseNegatives", {}, "ranking", 4.0, 9.75),
    ("Precision", {}, "ranking", 0.5, 0.333333),
    ("Precision", {"top_k": 2}, "bits", 0.5, 0.44186),
    ("Recall", {}, "ranking", 0.2, 0.093023),
    ("Recall", {"class_id": 1}, "bits", 0.0, 0.0),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, "ranking", 0.2, 0.093023),
    ("SpecificityAtSensitivity", {"sensitivity": 0.4}, "ranking", 0.333333, 0.333333),
    ("PrecisionAtRecall", {"recall": 0.5}, "ranking", 0.666667, 0.703704),
    ("RecallAtPrecision", {"precision": 0.6}, "ranking", 0.8, 0.883721),
    ("AUC", {}, "ranking", 0.433333, 0.418605),
    ("AUC", {"curve": "PR"}, "ranking", 0.657695, 0.613679),
    ("AUC", {"curve": "PRGAIN", "summation_method": "majoring"}, "ranking", 0.097222, 0.13338),
    ("AUC", {"summation_method": "minoring", "num_thresholds": 5}, "ranking", 0.333333, 0.325581),
    ("AUC", {"multi_label": True, "label_weights": [0.2, 0.3, 0.5]}, "bits", 0.6, 0.637931),
    ("AUC", {"from_logits": True}, "bits, logits", 0.85, 0.859886),
    ("FBetaScore", {"average": "macro", "beta": 2.0}, "one-hot", 0.138889, 0.128205),
    ("F1Score", {"average": "micro", "threshold": 0.3}, "one-hot", 0.142857, 0.113208),
    ("F1Score", {"average": "weighted"}, "one-hot", 0.111111, 0.068217),
    (
        "IoU",
        {"num_classes": 3, "target_class_ids": [0, 2], "dtype": "float32"},
        "regions",
        0.458333,
        0.321429,
    ),
    (
        "MeanIoU",
        {"num_classes": 3, "ignore_class": 1, "dtype": "float32"},
        "regions",
        0.333333,
        0.233333,
    ),
    ("BinaryIoU", {"threshold": 0.45, "dtype": "float32"}, "ranking", 0.22619, 0.254598),
    (
        "OneHotIoU",
        {"num_classes": 3, "target_class_ids": [1], "dtype": "float32"},
        "one-hot",
        0.0,
        0.0,
    ),
    ("OneHotMeanIoU", {"num_classes": 3, "dtype": "float32"}, "one-hot", 0.066667, 0.051282),
]


@pytest.mark.parametrize(("name", "options", "inputs", "once", "twice"), VALUES)
def test_value(name, options, inputs, once, twice, xp):
    metric = getattr(metrics, name)(**options)
    args = [xp.asarray(a) for a in INPUTS[inputs]]
    metric.update_state(*args[:2])
    np.testing.assert_allclose(float(metric.result()), once, rtol=2e-5, atol=2e-6)
    metric.update_state(*args)
    np.testing.assert_allclose(float(metric.result()), twice, rtol=2e-5, atol=2e-6)
    assert all(isinstance(v.value, xp.kind) for v in metric.variables)
    metric.reset_state()
    assert all(not np.any(v.numpy()) for v in metric.variables)
    metric(*args[:2])
    np.testing.assert_allclose(float(metric.result()), once, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "options", "inputs", "once", "twice"), VALUES)
def test_config_round_trip(name, options, inputs, once, twice):
    metric = getattr(metrics, name)(**options)
    again = registry.deserialize(registry.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    lost = name == "CosineSimilarity"  # Keras does not save its axis.
    assert lost or float(again(*INPUTS[inputs][:2])) == pytest.approx(once, abs=2e-5)


def test_every_metric_has_a_value():
    classes = {cls.__name__ for cls in metrics.CLASSES}
    others = {"Mean", "Sum", "MeanMetricWrapper", "Metric"}
    assert classes == {row[0] for row in VALUES} | others
