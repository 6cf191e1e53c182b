"""What users' own metrics, and all others, can rely on."""

import numpy as np
import pytest

from gpulayers import metrics
from gpulayers.arrays import Tape, Variable, get_mask, is_recorded, namespace, set_mask


class Positives(metrics.Metric):
    """A metric as Keras users write it."""

    def __init__(self, name="positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_variable(shape=(), initializer="zeros", name="total")
        self.inner = metrics.Mean()
        self.parts = [metrics.Sum(name="part")]
        self.seen = []

    def update_state(self, y_true, y_pred, sample_weight=None):
        xp = namespace(y_pred)
        self.seen.append((is_recorded(y_pred), get_mask(y_pred)))
        self.total.assign(self.total + xp.sum(xp.astype(y_pred > 0, xp.float32)))
        self.inner.update_state(y_pred)
        self.parts[0].update_state(y_pred)

    def result(self):
        return self.total


X = np.array([1, -1, 2], dtype="float32")


def test_state_follows_the_arrays(xp):
    metric = Positives()
    for _ in range(2):
        metric.update_state(xp.asarray(X), xp.asarray(X))
    assert float(metric.result()) == 4
    assert float(metric.inner.result()) == pytest.approx(2 / 3)
    assert all(isinstance(v.value, xp.kind) for v in metric.variables)
    metric.update_state(X, X)  # And back.
    assert float(metric.result()) == 6
    assert all(isinstance(v.value, np.ndarray) for v in metric.variables)


def test_variables_of_metrics_within():
    names = [v.path for v in Positives().variables]
    assert names == ["positives/total", "mean/total", "mean/count", "part/total"]


def test_variables_in_attributes():
    metric = Positives()
    metric.more = {"a": [Variable(1.0, name="a")], "b": Variable(2.0, name="b")}
    assert [v.path for v in metric.variables[-2:]] == ["a", "b"]


def test_reset():
    metric = Positives()
    metric.update_state(X, X)
    metric.reset_state()
    assert [float(v) for v in metric.variables] == [0, 0, 0, 0]


def test_results_stay_what_they_were():
    metric = Positives()
    before = metric(X, X)
    metric.update_state(X, X)
    assert float(before) == 2
    assert not isinstance(before, Variable)


def test_no_metric_sees_the_tape():
    metric, mask = Positives(), np.array([True, False, True])
    with Tape() as tape:
        x = tape.watch(X)
        set_mask(x, mask)
        metric.update_state(x, y_pred=x)
        loss = namespace(x).sum(x)
    metric.update_state(X, x)
    assert [recorded for recorded, _ in metric.seen] == [False, False]
    assert all(found is mask for _, found in metric.seen)
    np.testing.assert_array_equal(tape.gradient(loss, x), [1, 1, 1])


def test_stateless_updates_leave_the_metric():
    metric = Positives()
    metric.update_state(X, X)
    zeros = metric.stateless_reset_state()
    assert [float(v) for v in zeros] == [0, 0, 0, 0]
    after = metric.stateless_update_state(zeros, X[:1], X[:1])
    assert [float(v) for v in after] == [1, 1, 1, 1]
    assert float(metric.stateless_result(after)) == 1
    assert float(metric.result()) == 2
    with pytest.raises(ValueError, match=r"expected 4 values in metric_variables.*got 1"):
        metric.stateless_update_state([0.0], X, X)


def test_a_subclass_that_forgets_its_base():
    class Forgetful(metrics.Metric):
        def __init__(self):
            self.total = self.add_variable((), "zeros")

    with pytest.raises(RuntimeError, match=r"Forgetful: call super\(\).__init__\(\) first"):
        Forgetful()


def test_methods_that_are_missing():
    with pytest.raises(NotImplementedError, match="Metric must define update_state"):
        metrics.Metric()(X, X)
    with pytest.raises(NotImplementedError, match="Metric must define result"):
        metrics.Metric().result()


def test_dtypes_and_names():
    assert metrics.Mean(dtype="float64").total.value.dtype == np.float64
    assert metrics.Mean(dtype="mixed_float16").dtype == "float16"
    assert metrics.MeanIoU(2).dtype == "int32"
    assert [metrics.AUC().name, metrics.AUC().name] == ["auc", "auc_1"]


@pytest.mark.parametrize("make", [metrics.F1Score, metrics.R2Score, metrics.AUC])
def test_results_before_the_first_batch(make):
    options = {"multi_label": True} if make is metrics.AUC else {}
    with pytest.raises(ValueError, match=r"result\(\) needs at least one update_state\(\)"):
        make(**options).result()
