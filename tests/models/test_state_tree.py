"""The state of a model as one nested dictionary."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers.layers import Dense, Input


@pytest.fixture
def model():
    model = gl.Sequential([Input((2,)), Dense(1, name="dense")], name="stack")
    model.compile("adam", "mse")
    model.fit(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32), verbose=0)
    return model


def test_there_and_back(model):
    state = model.get_state_tree("numpy_array")
    assert set(state["trainable_variables"]["stack"]["dense"]) == {"kernel", "bias"}
    assert state["non_trainable_variables"] == {}
    assert int(state["optimizer_variables"]["adam"]["iteration"]) == 1
    assert set(state["metrics_variables"]["loss"]) == {"total", "count"}
    model.layers[0].kernel.assign(np.zeros((2, 1)))
    model.set_state_tree(state)
    kernel = state["trainable_variables"]["stack"]["dense"]["kernel"]
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)


def test_parts_and_what_does_not_fit(model):
    model.set_state_tree({"optimizer_variables": {"adam": {"iteration": 7}}})
    assert int(model.optimizer.iterations) == 7
    before = model.get_weights()
    for wrong, message in (
        ({"weights": {}}, "unknown key 'weights'"),
        ({"trainable_variables": {"stack": {"other": [1.0]}}}, "has no variable 'stack/other'"),
        (
            {"trainable_variables": {"stack": {"dense": {"bias": [9.0], "kernel": [1.0]}}}},
            r"has the shape \(2, 1\), got \(1,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            model.set_state_tree(wrong)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="value_format must be"):
        model.get_state_tree("list")
