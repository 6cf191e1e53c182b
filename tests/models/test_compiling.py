"""What compile() is given: which loss and metric belongs to which output, and what logs call it."""

from collections import namedtuple

import numpy as np
import pytest

from gpulayers import losses, metrics
from gpulayers.models.compiling import CompileLoss, CompileMetrics, LossTracker
from gpulayers.models.outputs import Outputs

A = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], "float32")
B = np.array([[0.7, 0.8], [0.9, 1.0], [1.1, 1.2]], "float32")
P = np.array([[1.2, 1.1], [1.0, 0.9], [0.8, 0.7]], "float32")
Q = np.array([[0.6, 0.5], [0.4, 0.3], [0.2, 0.1]], "float32")
MSE_AP, MSE_BQ, MAE_AP, MAE_BQ = 0.47666666, 0.47666666, 0.6, 0.6
Point = namedtuple("Point", "x y")


def mean_error(y_true, y_pred):
    return abs(y_true - y_pred)


@pytest.mark.parametrize(
    ("loss", "y", "expected"),
    [
        ("mse", [A, B], MSE_AP + MSE_BQ),
        (["mse", "mae"], [A, B], MSE_AP + MAE_BQ),
        (("mse", "mae"), (A, B), MSE_AP + MAE_BQ),
        ({"a": "mse", "b": "mae"}, [A, B], MSE_AP + MAE_BQ),
        ({"b": "mae", "a": "mse"}, {"a": A, "b": B}, MSE_AP + MAE_BQ),
        (["mse", ["mae"]], [A, B], MSE_AP + MAE_BQ),
        ({"a": ["mse"], "b": None}, [A, B], MSE_AP),
        (["mse", None], [A, B], MSE_AP),
        (["mse", None], A, MSE_AP),
        ([None, "mse"], B, MSE_BQ),
        ({"b": "mse"}, B, MSE_BQ),
        ([mean_error, losses.MeanSquaredError()], [A, B], MAE_AP + MSE_BQ),
        (["MeanSquaredError", {"class_name": "MeanSquaredError", "config": {}}], [A, B], 0.953333),
    ],
)
def test_losses_of_a_list_of_outputs(loss, y, expected):
    compiled = CompileLoss(loss, output_names=["a", "b"])
    for _ in range(2):  # The second call finds everything built.
        np.testing.assert_allclose(compiled(y, [P, Q]), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "y", "expected"),
    [
        ("mse", {"u": A, "v": B}, MSE_AP + MSE_BQ),
        ({"u": "mse", "v": "mae"}, {"u": A, "v": B}, MSE_AP + MAE_BQ),
        ({"v": "mae"}, {"u": A, "v": B}, MAE_BQ),
        ({"v": "mae"}, {"v": B}, MAE_BQ),
        (["mse", "mae"], {"u": A, "v": B}, MSE_AP + MAE_BQ),
        ({"u": "mse", "v": "mae"}, [A, B], MSE_AP + MAE_BQ),
    ],
)
def test_losses_of_a_dict_of_outputs(loss, y, expected):
    compiled = CompileLoss(loss, output_names=["x1", "x2"])
    np.testing.assert_allclose(compiled(y, {"u": P, "v": Q}), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "wrap", "names"),
    [
        ({"a": {"c": "mse", "d": "mae"}}, lambda c, d: {"c": c, "d": d}, ["a/c_loss", "a/d_loss"]),
        ({"a": ["mse", "mae"]}, lambda c, d: [c, d], ["a/n1_loss", "a/n2_loss"]),
        ({"a": ("mse", "mae")}, lambda c, d: (c, d), ["a/n1_loss", "a/n2_loss"]),
        ({"a": Point("mse", "mae")}, Point, ["a/n1_loss", "a/n2_loss"]),
    ],
)
def test_losses_of_nested_outputs(loss, wrap, names):
    y, y_pred = {"a": wrap(A, B), "b": B}, {"a": wrap(P, Q), "b": Q}
    compiled = CompileLoss(loss, output_names=["n1", "n2", "n3"])
    np.testing.assert_allclose(compiled(y, y_pred), MSE_AP + MAE_BQ, rtol=1e-5)
    assert [metric.name for metric in compiled.metrics] == names


@pytest.mark.parametrize(
    ("loss", "weights", "y_pred", "expected", "names"),
    [
        (["mse", "mae"], None, P, MSE_AP + MAE_AP, ["o_loss", "o_loss"]),
        (["mse", "mae"], [0.5, 2.0], P, 0.5 * MSE_AP + 2 * MAE_AP, ["o_loss", "o_loss"]),
        ({"o": ["mse", None]}, 0.5, P, 0.5 * MSE_AP, []),
        (
            [["mse", "mae"], "mae"],
            None,
            [P, Q],
            MSE_AP + 2 * MAE_AP,
            ["a_loss", "a_loss", "b_loss"],
        ),
        ([("mse", "mae"), None], [0.5, 2], [P, Q], 0.5 * MSE_AP + 0.5 * MAE_AP, ["a_loss"] * 2),
        ({"b": ["mse", "mae"]}, {"b": [2, 3]}, [P, Q], 2 * MSE_BQ + 3 * MAE_BQ, ["b_loss"] * 2),
        ([["mse", "mae"], "mae"], [1, 2, 3], [P, Q], MSE_AP + 5 * MAE_AP, None),
        ([["mse", "mae"], "mae"], {"a": [1, 2], "b": 3}, [P, Q], MSE_AP + 5 * MAE_AP, None),
        ({"u": ["mse", "mae"]}, None, {"u": P, "v": Q}, MSE_AP + MAE_AP, ["u_loss", "u_loss"]),
    ],
)
def test_several_losses_of_one_output(loss, weights, y_pred, expected, names):
    output_names = ["a", "b"] if isinstance(y_pred, list) else ["o"]
    y = {"u": A, "v": B} if isinstance(y_pred, dict) else [A, B] if output_names[1:] else A
    compiled = CompileLoss(loss, weights, output_names)
    for _ in range(2):
        np.testing.assert_allclose(compiled(y, y_pred), expected, rtol=1e-5)
    if names is not None:
        assert [metric.name for metric in compiled.metrics] == names


def spread(y_true, y_pred):
    """A loss of two outputs that no sum of losses of one is."""
    first, second = y_pred.values() if isinstance(y_pred, dict) else y_pred
    assert type(y_true) is type(y_pred)
    return (first * second) ** 2


@pytest.mark.parametrize(
    ("loss", "y", "y_pred", "names"),
    [
        ({"p": spread, "q": "mae"}, {"p": [A, B], "q": A}, {"p": [P, Q], "q": P}, ["p", "q"]),
        ([spread, "mae"], [{"c": A, "d": B}, A], [{"c": P, "d": Q}, P], ["0", "n3"]),
    ],
)
def test_a_loss_of_several_outputs_is_given_all_of_them(loss, y, y_pred, names):
    compiled = CompileLoss(loss, None, ["n1", "n2", "n3"])
    value = compiled(y, y_pred)
    np.testing.assert_allclose(value, np.mean((P * Q) ** 2) + MAE_AP, rtol=1e-6)
    assert [metric.name for metric in compiled.metrics] == [f"{name}_loss" for name in names]


def test_a_list_of_one_loss_for_a_dict_is_a_loss_of_the_dict():
    value = CompileLoss([spread])({"c": A, "d": B}, {"c": P, "d": Q})
    np.testing.assert_allclose(value, np.mean((P * Q) ** 2), rtol=1e-6)


def test_the_librarys_losses_of_several_outputs_stack_them():
    compiled = CompileLoss({"p": "mse", "q": "mae"}, {"p": 2.0}, ["a", "b", "c"])
    y, y_pred = {"p": [A, B], "q": A}, {"p": [P, Q], "q": P}
    np.testing.assert_allclose(compiled(y, y_pred), MSE_AP + MSE_BQ + MAE_AP, rtol=1e-6)
    weight = np.array([1, 0, 2], "float32")
    alone = CompileLoss("mse")(A, P, weight) + CompileLoss("mse")(B, Q, weight)
    expected = alone + CompileLoss("mae")(A, P, weight)
    np.testing.assert_allclose(compiled(y, y_pred, weight), expected, rtol=1e-6)


def test_containers_of_several_kinds_match():
    y = ([{"a": A}, {"b": ([B], A)}],)
    y_pred = [({"a": A}, {"b": [(B,), A]})]
    compiled = CompileLoss("mse", output_names=["a", "b", "c"])
    assert compiled(y, y_pred) == 0.0


@pytest.mark.parametrize(
    ("names", "y_pred", "expected"),
    [
        (["a", "b"], [P, Q], ["a_loss", "b_loss"]),
        (["b", "a"], {"u": P, "v": Q}, ["u_loss", "v_loss"]),
        (None, [P, Q], ["mse_loss", "mean_error_loss"]),
    ],
)
def test_names_of_losses(names, y_pred, expected):
    compiled = CompileLoss(["mse", mean_error], output_names=names)
    compiled([A, B], y_pred)
    assert [metric.name for metric in compiled.metrics] == expected


@pytest.mark.parametrize(
    ("weights", "factors"),
    [
        (None, (1, 1)),
        (0.5, (0.5, 0.5)),
        ([0.5, 2], (0.5, 2)),
        ({"a": 0.5, "b": 2.0}, (0.5, 2)),
        ({"b": 2.0}, (1, 2)),
        ([None, np.float64(2)], (1, 2)),
    ],
)
def test_loss_weights_count_in_the_sum_only(weights, factors):
    compiled = CompileLoss(["mse", "mae"], weights, output_names=["a", "b"])
    value = compiled([A, B], [P, Q])
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, factors[0] * MSE_AP + factors[1] * MAE_BQ, rtol=1e-5)
    results = [float(metric.result()) for metric in compiled.metrics]
    np.testing.assert_allclose(results, [MSE_AP, MAE_BQ], rtol=1e-5)


def test_sample_weights_of_outputs():
    compiled = CompileLoss("mse")
    first, second = np.array([1, 2, 3], "float32"), np.array([3, 2, 1], "float32")
    value = compiled({"a": A, "b": B}, {"a": P, "b": Q}, {"a": first, "b": second})
    np.testing.assert_allclose(value, 1.266666, rtol=1e-5)
    both = compiled({"a": A, "b": B}, {"a": P, "b": Q}, first)
    alone = CompileLoss("mse")(A, P, first) + CompileLoss("mse")(B, Q, first)
    np.testing.assert_allclose(both, alone, rtol=1e-6)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "task"),
    [
        (np.ones((3, 1)), np.full((3, 1), 0.5), "binary"),
        (np.array([0, 1, 1]), np.full((3, 2), 0.5), "sparse_categorical"),
        (np.array([[0], [1], [1]]), np.full((3, 2), 0.5), "sparse_categorical"),
        (np.eye(3), np.full((3, 3), 1 / 3), "categorical"),
    ],
)
@pytest.mark.parametrize("name", ["crossentropy", "ce"])
def test_crossentropy_is_chosen_by_the_shapes(name, y_true, y_pred, task):
    y_pred = y_pred.astype("float32")
    expected = losses.get(f"{task}_crossentropy")(y_true, y_pred)
    value = CompileLoss(name)(y_true, y_pred)
    np.testing.assert_allclose(value, np.mean(expected), rtol=1e-5)
    accuracies = {
        "binary": metrics.BinaryAccuracy,
        "categorical": metrics.CategoricalAccuracy,
        "sparse_categorical": metrics.SparseCategoricalAccuracy,
    }
    compiled = CompileMetrics(["accuracy", "acc"])
    compiled.update_state(y_true, y_pred)
    assert [type(metric) for metric in compiled.metrics] == [accuracies[task]] * 2
    assert list(compiled.result()) == ["accuracy", "acc"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"loss": "mean_sqared_error"}, ValueError, "compile: loss: .*mean_squared_error"),
        ({"loss": ["mse", 3]}, TypeError, "compile: loss: .*int"),
        ({"loss": "mse", "loss_weights": "half"}, TypeError, "compile: loss_weights .*'half'"),
        ({"loss": ["mse"]}, ValueError, r"loss has 1 entries, but the model has 2 outputs \['a'"),
        ({"loss": ["mse"] * 3}, ValueError, "loss has 3 entries, but the model has 2 outputs"),
        ({"loss": {"c": "mse"}}, ValueError, r"loss has the key 'c', .*outputs are \['a', 'b'\]"),
        ({"loss": "mse", "loss_weights": [1.0]}, ValueError, "loss_weights has 1 entries"),
    ],
)
def test_wrong_losses_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        CompileLoss(**given, output_names=["a", "b"])([A, B], [P, Q])


@pytest.mark.parametrize(
    ("loss", "y", "y_pred", "message"),
    [
        ("mse", None, P, "y: there are no targets for the output, but compile"),
        ("mse", None, [P, Q], "y: there are no targets for 'a'"),
        ("mse", [A, None], [P, Q], "y: there are no targets for 'b'"),
        ("mse", [A], [P, Q], r"y has the structure \['\*'\], but the model's output"),
        ("mse", [A, B, B], [P, Q], "y has the structure"),
        ({"a": {"x": "mse"}}, {"a": A, "b": B}, {"a": P, "b": Q}, r"loss\['a'\]\['x'\] can't be"),
        (losses.MeanSquaredError(reduction=None), A, P, r"shape \(3,\), but training needs one"),
        (
            [["mse"], ["mae"], "mse"],
            [A, B],
            [P, Q],
            r"loss has 3 entries, .* 2 outputs \['a', 'b'\]",
        ),
        (
            {"a": ["mse"] * 3},
            {"a": [A, B]},
            {"a": [P, Q]},
            r"loss\['a'\] has 3 entries, .* 2 output",
        ),
        (
            {"a": "mse"},
            {"a": {"c": A}},
            {"a": {"c": P}},
            "loss 'mse' was given for several outputs",
        ),
        ({"a": "mse"}, {"a": [A, B[:, :1]]}, {"a": [P, Q[:, :1]]}, "for several outputs at once"),
    ],
)
def test_wrong_targets_are_refused(loss, y, y_pred, message):
    names = ["a", "b"] if isinstance(y_pred, list) else None
    with pytest.raises((TypeError, ValueError), match=message):
        CompileLoss(loss, output_names=names)(y, y_pred)


@pytest.mark.parametrize(
    ("unweighted", "weighted", "expected"),
    [
        (["mae", "mse"], None, ["mae", "mse"]),
        (["mae", metrics.MeanSquaredError()], None, ["mae", "mean_squared_error"]),
        ([mean_error, "MeanSquaredError"], None, ["mean_error", "MeanSquaredError"]),
        (["mae", "mae", "mae"], None, ["mae", "mae_1", "mae_2"]),
        (["mae"], ["mae", "mse"], ["mae", "weighted_mae", "mse"]),
        (["mae"], ["mae", "mae"], ["mae", "weighted_mae", "weighted_mae_1"]),
        (None, ["mae"], ["mae"]),
        ({"o": ["mae"]}, None, ["mae"]),
        ([["mae"]], None, ["mae"]),
        ([], [], []),
    ],
)
def test_names_of_metrics_of_one_output(unweighted, weighted, expected):
    compiled = CompileMetrics(unweighted, weighted, output_names=["o"])
    compiled.update_state(A, P)
    assert list(compiled.result()) == expected


@pytest.mark.parametrize(
    ("given", "y_pred", "names", "expected"),
    [
        ([["mae"], ["mse", "mae"]], [P, Q], ["a", "b"], ["a_mae", "b_mse", "b_mae"]),
        (["mae", "mse"], [P, Q], ["a", "b"], ["a_mae", "b_mse"]),
        ([None, "mse"], [P, Q], ["a", "b"], ["b_mse"]),
        (["mae", "mae"], [P, Q], None, ["mae", "mae_1"]),
        ({"b": "mse", "a": ["mae"]}, [P, Q], ["a", "b"], ["a_mae", "b_mse"]),
        ({"v": "mse"}, {"u": P, "v": Q}, ["a", "b"], ["v_mse"]),
        ({"u": "mae", "v": "mse"}, {"u": P, "v": Q}, ["v", "u"], ["v_mse", "u_mae"]),
        ({"a": {"c": "mae"}}, {"a": {"c": P, "d": Q}}, ["n1", "n2"], ["n1_mae"]),
    ],
)
def test_names_of_metrics_of_several_outputs(given, y_pred, names, expected):
    compiled = CompileMetrics(given, output_names=names)
    compiled.update_state(y_pred, y_pred)
    assert list(compiled.result()) == expected


def test_targets_by_name_reach_their_metrics():
    compiled = CompileMetrics({"b": "mse", "a": "mse"}, output_names=["b", "a"])
    y_pred = [np.zeros((3, 5), "float32"), np.ones((3, 2), "float32")]
    compiled.update_state({"a": np.zeros((3, 2)), "b": np.zeros((3, 5))}, y_pred)
    assert {name: float(value) for name, value in compiled.result().items()} == {
        "b_mse": 0.0,
        "a_mse": 1.0,
    }


def test_only_weighted_metrics_are_weighted():
    compiled = CompileMetrics(["mse"], ["mse"])
    y_pred = np.array([[0.4, 0.1], [0.2, 0.6], [0.6, 0.1]], "float32")
    compiled.update_state(A, y_pred, np.array([1, 0, 1], "float32"))
    results = compiled.result()
    errors = np.mean((A - y_pred) ** 2, axis=1)
    np.testing.assert_allclose(results["mse"], errors.mean(), rtol=1e-5)
    np.testing.assert_allclose(results["weighted_mse"], errors[[0, 2]].mean(), rtol=1e-5)
    compiled.reset_state()
    assert all(value == 0.0 for value in compiled.result().values())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("mae", TypeError, "compile: metrics must be a list, tuple or dict of metrics, got 'mae'"),
        (["accurracy"], ValueError, "compile: metrics: .*accuracy"),
        ([3.0], TypeError, "compile: metrics: .*float"),
        (["mae"], ValueError, r"metrics has 1 entries, but the model has 2 outputs \['a', 'b'\]"),
        ({"c": "mae"}, ValueError, "metrics has the key 'c'"),
    ],
)
def test_wrong_metrics_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        CompileMetrics(given, output_names=["a", "b"]).update_state([A, B], [P, Q])


@pytest.mark.parametrize("given", [["accuracy"], ["mae"]])
def test_metrics_need_targets(given):
    with pytest.raises(ValueError, match=f"y: there are no targets .* the metric '{given[0]}'"):
        CompileMetrics(given).update_state(None, P)


def test_metrics_of_an_output_without_targets():
    compiled = CompileMetrics([["mae"], None], output_names=["a", "b"])
    compiled.update_state([A, None], [P, Q])
    np.testing.assert_allclose(compiled.result()["a_mae"], MAE_AP, rtol=1e-6)


@pytest.mark.parametrize(("loss", "y"), [(["mse", None], A), ([None, "mse"], A), ("mse", [A, A])])
def test_targets_reach_the_outputs_that_have_a_loss(loss, y):
    both = CompileLoss(loss, output_names=["a", "b"])
    index = 1 if loss[0] is None else 0
    compiled = CompileMetrics([["mae"], None][:: 1 - 2 * index], None, ["a", "b"], both)
    for _ in range(2):
        both(y, [P, P])
        compiled.update_state(y, [P, P])
    np.testing.assert_allclose(list(compiled.result().values()), [MAE_AP], rtol=1e-6)


def test_losses_of_a_dict_are_in_its_own_order():
    compiled = CompileLoss("mse")
    compiled({"z": A, "y": B}, {"z": P, "y": Q})
    assert [metric.name for metric in compiled.metrics] == ["z_loss", "y_loss"]


def test_the_mean_loss_counts_samples():
    tracker = LossTracker(name="loss")
    tracker.record(np.float32(1.0), 30)
    tracker.record(np.asarray(4.0, "float32"), 10)
    assert tracker.result() == 1.75
    tracker.record(np.asarray(0.25, "float64"), 10)
    np.testing.assert_allclose(tracker.result(), 1.45)
    tracker.reset_state()
    assert tracker.result() == 0.0


def test_labels_of_outputs():
    assert Outputs(P).label(0) == "the output"
    assert Outputs({"u": [P, Q]}).label(1) == "output['u'][1]"
    assert Outputs([P, Q], ["a", "b"]).label(1) == "'b'"
