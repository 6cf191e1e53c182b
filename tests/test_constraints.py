"""Constraints: values (of Keras 3.15), norms, configs, names."""

import numpy as np
import pytest
from checks import check_gradient, check_shape

from gpulayers import constraints

W = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
CASES = [
    (
        constraints.MaxNorm(1.5),
        [[0.9999999, -0.8320503, 0.4999999], [0.25, 1.2480755, -0.9999999]],
    ),
    (
        constraints.MaxNorm(1.5, [0, 1]),
        [[0.3833259, -0.7666519, 0.191663], [0.0958315, 1.1499778, -0.3833259]],
    ),
    (constraints.NonNeg(), [[1.0, 0.0, 0.5], [0.25, 3.0, 0.0]]),
    (
        constraints.UnitNorm(1),
        [[0.4364358, -0.8728715, 0.2182179], [0.078811, 0.9457325, -0.3152442]],
    ),
    (
        constraints.MinMaxNorm(1.2, 2.0, 0.5, 0),
        [[1.0820854, -1.5547003, 0.5183281], [0.2705213, 2.3320503, -1.0366563]],
    ),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("constraint", "expected"), CASES)
def test_values(xp, constraint, expected, dtype):
    w = constraint(xp.asarray(W.astype(dtype)))
    assert isinstance(w, xp.kind)
    assert str(w.dtype).rpartition(".")[2] == dtype
    np.testing.assert_allclose(xp.to_numpy(w), expected, atol=3e-7)


@pytest.mark.parametrize(("constraint", "_"), CASES)
def test_constraints_may_stand_in_a_layer(constraint, _):
    check_shape(constraint, W)
    check_gradient(constraint, W)


def test_kernels_of_convolutions_are_constrained_by_filter():
    w = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    out = constraints.UnitNorm([0, 1, 2])(w)
    np.testing.assert_allclose(np.sqrt((out**2).sum((0, 1, 2))), 1, rtol=1e-6)
    out = constraints.MaxNorm(0.5, (0, 1, 2))(w)
    np.testing.assert_allclose(np.sqrt((out**2).sum((0, 1, 2))), 0.5, rtol=1e-6)


def test_zeros_stay_zeros():
    for constraint in (constraints.MaxNorm(), constraints.UnitNorm(), constraints.MinMaxNorm(0.5)):
        assert not constraint(np.zeros((3, 2))).any()


@pytest.mark.parametrize(
    ("constraint", "config"),
    [
        (constraints.MaxNorm(3, axis=[0, 1]), {"max_value": 3, "axis": [0, 1]}),
        (constraints.NonNeg(), {}),
        (constraints.UnitNorm(), {"axis": 0}),
        (
            constraints.MinMaxNorm(),
            {"min_value": 0.0, "max_value": 1.0, "rate": 1.0, "axis": 0},
        ),
    ],
)
def test_configs(constraint, config):
    assert constraint.get_config() == config
    described = constraints.serialize(constraint)
    assert described["module"] == "keras.constraints"
    again = constraints.deserialize(described)
    assert type(again) is type(constraint)
    assert again.get_config() == config


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("max_norm", constraints.MaxNorm),
        ("MaxNorm", constraints.MaxNorm),
        ("min_max_norm", constraints.MinMaxNorm),
        ("non_neg", constraints.NonNeg),
        ("unit_norm", constraints.UnitNorm),
        (constraints.UnitNorm, constraints.UnitNorm),
        ({"class_name": "MaxNorm", "config": {"max_value": 3}}, constraints.MaxNorm),
    ],
)
def test_names(name, cls):
    assert type(constraints.get(name)) is cls


def test_functions_of_the_user_and_unknown_names():
    assert constraints.get(abs) is abs
    assert constraints.get(None) is None
    assert constraints.Constraint()(W) is W
    with pytest.raises(ValueError, match="max_norm"):
        constraints.get("maks_norm")
