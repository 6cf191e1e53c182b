"""Sums and means of values, with weights and masks."""

import numpy as np
import pytest

from gpulayers import losses, metrics
from gpulayers.arrays import set_mask

STEPS = np.arange(12, dtype="float32").reshape(2, 3, 2)


def test_mean_over_batches_of_different_sizes(xp):
    mean = metrics.Mean()
    mean.update_state(xp.asarray(np.array([1, 2, 3], "float32")))
    mean.update_state(xp.asarray(np.array([6], "float32")))
    assert float(mean.result()) == 3


@pytest.mark.parametrize(
    ("weights", "mean", "total"),
    [
        (None, 5.5, 66),
        (np.array([1, 3]), 7, 15 + 3 * 51),
        (np.array([[1, 0, 0], [0, 0, 1]]), 5.5, 1 + 21),
        (np.ones((2, 3, 2)), 5.5, 66),
        (2.0, 5.5, 132),
    ],
)
def test_weights_of_leading_axes(weights, mean, total):
    for metric, expected in ((metrics.Mean(), mean), (metrics.Sum(), total)):
        metric.update_state(STEPS, weights)
        assert float(metric.result()) == pytest.approx(expected)


def test_numbers_and_batch_sizes():
    """What a training loop does with its losses."""
    mean = metrics.Mean()
    mean.update_state(np.float32(1.0), sample_weight=32)
    mean.update_state(np.float32(4.0), sample_weight=16)
    mean.update_state(2.0, 0)
    assert float(mean.result()) == 2
    assert float(mean.count) == 48


def test_nothing_yet():
    assert float(metrics.Mean().result()) == 0
    assert float(metrics.Sum().result()) == 0


def test_a_mask_is_a_weight(xp):
    y_pred = xp.asarray(np.array([[0, 1, 1], [1, 1, 0]], "float32")[..., None])
    set_mask(y_pred, xp.asarray(np.array([[True, True, False], [True, False, False]])))
    metric = metrics.MeanSquaredError()
    metric.update_state(xp.asarray(np.ones((2, 3, 1), "float32")), y_pred)
    # Masked steps count as 0 in a sample's mean, and a sample as its share of valid steps.
    assert float(metric.result()) == pytest.approx((1 / 3 + 0) / 1)


def test_a_function_of_ones_own():
    def double(y_true, y_pred, by=1.0):
        return (y_true + y_pred) * by

    metric = metrics.MeanMetricWrapper(double, name="double", by=2.0)
    metric.update_state(np.ones(3, "float32"), np.full(3, 2, "float32"), np.array([1, 0, 0]))
    assert float(metric.result()) == 6
    assert metric._direction is None
    assert metrics.MeanMetricWrapper(losses.huber)._direction == "down"


def test_a_wrapped_function_survives_a_file():
    metric = metrics.MeanMetricWrapper(losses.huber, name="h", delta=0.5)
    again = metrics.deserialize(metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    args = np.zeros((2, 1)), np.ones((2, 1))
    assert float(again(*args)) == float(metric(*args)) == 0.375


def test_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"mean: sample_weight of shape \(3,\).*\(2,\)"):
        metrics.Mean().update_state(np.ones(2), np.ones(3))
