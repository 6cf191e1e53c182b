"""Counts at many thresholds against counting one by one."""

import numpy as np
import pytest

from gpulayers import metrics
from gpulayers.metrics.counting import Thresholds, count

THRESHOLDS = [
    [0.5],
    [0.9, 0.2, 0.5],
    [0.0, 0.25, 0.5, 0.75, 1.0],
    [0.0, 0.1, 1.0],
    list(np.linspace(0, 1, 50)),
]


def one_by_one(y_true, y_pred, thresholds, weight):
    def total(positive, above):
        chosen = (y_true != 0) == positive
        return [
            (weight * (chosen & ((y_pred > np.float32(t)) == above))).sum(axis=0)
            for t in thresholds
        ]

    return total(True, True), total(False, True), total(False, False), total(True, False)


@pytest.mark.parametrize("thresholds", THRESHOLDS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_counts(thresholds, multi_label, xp):
    draw = np.random.default_rng(5)
    shape = (40, 3) if multi_label else (40,)
    y_true = draw.integers(0, 2, shape)
    y_pred = draw.choice(np.linspace(0.001, 0.999, 21), shape).astype("float32")
    weight = draw.choice([0.25, 0.5, 1, 2], shape).astype("float32")
    arrays = [xp.asarray(a) for a in (y_true, y_pred, weight)]
    got = count("test", *arrays[:2], Thresholds(thresholds), arrays[2], multi_label=multi_label)
    expected = one_by_one(y_true, y_pred, thresholds, weight)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(xp.to_numpy(ours), np.array(theirs))


@pytest.mark.parametrize("number", [2, 3, 9, 11])
def test_what_equals_a_threshold_is_not_above_it(number):
    grid = np.arange(number, dtype="float32") / np.float32(number - 1)
    even = Thresholds([i / (number - 1) for i in range(number)])
    assert even.above(grid).tolist() == list(range(number))


def test_padded_thresholds_leave_out_nothing():
    """The first threshold of AUC is below all predictions, the last above."""
    limits = Thresholds([-1e-7, 0.5, 1 + 1e-7], padded=True)
    assert limits.above(np.array([0, 0.4, 0.6, 1], "float32")).tolist() == [1, 1, 2, 2]


def test_equal_predictions_rank_by_their_place():
    precision = metrics.Precision(top_k=1)
    precision.update_state(np.array([[0, 1, 0]]), np.array([[0.5, 0.5, 0.1]]))
    assert float(precision.result()) == 0
    precision.reset_state()
    precision.update_state(np.array([[1, 0, 0]]), np.array([[0.5, 0.5, 0.1]]))
    assert float(precision.result()) == 1


def test_auc_is_the_share_of_pairs_in_order():
    """Exact where all predictions lie in buckets of their own."""
    draw = np.random.default_rng(0)
    scores = draw.permutation(np.arange(100) / 100 + 0.005).astype("float32")
    labels = (scores + draw.normal(size=100) > 0.5).astype(int)
    auc = metrics.AUC(num_thresholds=2001)
    auc.update_state(labels, scores)
    pairs = scores[labels == 1][:, None] > scores[labels == 0]
    assert float(auc.result()) == pytest.approx(pairs.mean(), abs=1e-6)


def test_a_class_of_images():
    """Classes lie last, whatever stands before."""
    y_true = np.eye(3)[np.array([[[0, 1], [2, 1]]])]
    recall = metrics.Recall(class_id=1)
    recall.update_state(y_true, y_true * [1, 0.4, 1])
    assert float(recall.result()) == 0
    recall.update_state(y_true, y_true)
    assert float(recall.result()) == 0.5
