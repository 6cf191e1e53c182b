"""Regularizers: values (of Keras 3.15), gradients, configs, names."""

import numpy as np
import pytest
from checks import check_gradient, check_shape

from gpulayers import regularizers
from gpulayers.arrays import Tape, Variable

W = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
CASES = [
    (regularizers.L1(0.3), 2.325),
    (regularizers.L2(0.2), 3.0625),
    (regularizers.L1L2(0.1, 0.2), 3.8375),
    (regularizers.L1L2(l1=0.3), 2.325),
    (regularizers.L1L2(l2=0.2), 3.0625),
    (regularizers.L1L2(), 0.0),
    (regularizers.OrthogonalRegularizer(0.1), 0.085989885),
    (regularizers.OrthogonalRegularizer(0.1, "columns"), 0.051518157),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("regularizer", "expected"), CASES)
def test_penalties(xp, regularizer, expected, dtype):
    penalty = regularizer(xp.asarray(W.astype(dtype)))
    assert isinstance(penalty, (xp.kind, np.generic))
    assert penalty.shape == ()
    assert str(penalty.dtype).rpartition(".")[2] == dtype
    assert abs(float(penalty) - expected) < 1e-6


@pytest.mark.parametrize(("regularizer", "_"), CASES)
def test_gradients(xp, regularizer, _):
    check_gradient(regularizer, W, xp=xp)
    check_shape(regularizer, W)


def test_variables_are_regularized():
    v = Variable(W)
    with Tape() as tape:
        penalty = regularizers.L2(0.5)(v)
    np.testing.assert_allclose(tape.gradient(penalty, v), W, rtol=1e-12)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_vectors_of_zeros_and_single_vectors_are_orthogonal(mode):
    regularizer = regularizers.OrthogonalRegularizer(1.0, mode)
    v = Variable(np.zeros((3, 3)))
    with Tape() as tape:
        penalty = regularizer(v)
    assert float(penalty) == 0
    assert not tape.gradient(penalty, v).any()
    assert regularizer(np.ones((1, 1))) == 0


@pytest.mark.parametrize(
    ("regularizer", "config"),
    [
        (regularizers.L1(0.3), {"l1": 0.3}),
        (regularizers.L1(None), {"l1": 0.01}),
        (regularizers.L2(1), {"l2": 1.0}),
        (regularizers.L1L2(None, 0.2), {"l1": 0.0, "l2": 0.2}),
        (regularizers.OrthogonalRegularizer(), {"factor": 0.01, "mode": "rows"}),
    ],
)
def test_configs(regularizer, config):
    assert regularizer.get_config() == config
    described = regularizers.serialize(regularizer)
    assert described["module"] == "keras.regularizers"
    again = regularizers.deserialize(described)
    assert type(again) is type(regularizer)
    assert again.get_config() == config


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("l1", regularizers.L1),
        ("L1", regularizers.L1),
        ("l2", regularizers.L2),
        ("l1l2", regularizers.L1L2),
        ("l1_l2", regularizers.L1L2),
        ("orthogonal_regularizer", regularizers.OrthogonalRegularizer),
        (regularizers.L2, regularizers.L2),
        ({"class_name": "L2", "config": {"l2": 0.5}}, regularizers.L2),
    ],
)
def test_names(name, cls):
    assert type(regularizers.get(name)) is cls


def test_functions_and_classes_of_the_user():
    def third(w):
        return w.sum() / 3

    assert regularizers.get(third) is third
    assert regularizers.get(None) is None
    assert regularizers.l1_l2 is regularizers.L1L2
    assert regularizers.Regularizer()(W) == 0.0
    with pytest.raises(NotImplementedError, match="get_config"):
        regularizers.Regularizer().get_config()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: regularizers.L1(-1.0), ValueError, "L1: l1 must be finite and not negative"),
        (lambda: regularizers.L2(float("inf")), ValueError, "L2: l2 must be finite"),
        (lambda: regularizers.L1L2(l2=float("nan")), ValueError, "L1L2: l2 must be finite"),
        (lambda: regularizers.L2("0.1"), TypeError, "L2: l2 must be a number, got str"),
        (lambda: regularizers.OrthogonalRegularizer(mode="x"), ValueError, 'mode must be "rows"'),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones(3)), ValueError, "a matrix"),
        (lambda: regularizers.get("l3"), ValueError, "unknown name 'l3'"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
