"""Recurrent layers in plans of inference on CuPy arrays: kernels find weights as they want them."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_plan_checks import check, in_full, model_of, numbers

from gpulayers import layers as L
from gpulayers.cuda import recurrent, recurrent_scan, recurrent_sequences

LAYERS = {
    "LSTM": lambda x: L.LSTM(5)(x),
    "outputs of all steps": lambda x: L.LSTM(5, return_sequences=True)(x),
    "without a bias": lambda x: L.LSTM(5, use_bias=False)(x),
    "backwards": lambda x: L.LSTM(5, go_backwards=True, return_sequences=True)(x),
    "GRU": lambda x: L.GRU(5)(x),
    "GRU, reset first": lambda x: L.GRU(5, reset_after=False, return_sequences=True)(x),
    "SimpleRNN": lambda x: L.SimpleRNN(5, "relu")(x),
    "dropped in training": lambda x: L.LSTM(5, dropout=0.5, recurrent_dropout=0.5)(x),
    "other activations": lambda x: L.GRU(5, "relu", "tanh")(x),
}


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_all_steps_are_one_piece(cupy, name, policy):
    model = model_of(LAYERS[name], (7, 3), policy)
    tolerance = {"mixed_float16": 2e-3, "mixed_bfloat16": 2e-2}.get(policy, 1e-5)
    plan = check(cupy, model, numbers(4, 7, 3), rtol=tolerance)
    casts = policy != "float32"
    assert len(plan.steps) == 1 + casts
    assert "full call" not in repr(plan) and " with 3 x 5" in repr(plan)


def test_two_launches_for_each(cupy, launched):
    model = model_of(lambda x: L.GRU(6)(L.LSTM(5, return_sequences=True)(x)), (7, 3))
    plan = check(cupy, model, numbers(4, 7, 3), steps=2)
    for rows in (4, 1, 4):
        x = cupy.asarray(numbers(rows, 7, 3))
        launched.clear()
        found = plan.run(x).get()
        assert launched == ["recurrent_scan_forward"] * 2  # And cuBLAS.
        np.testing.assert_allclose(found, in_full(model, x).get(), rtol=1e-5, atol=1e-6)


def test_assigned_weights_count(cupy, launched):
    model, x = model_of(LAYERS["LSTM"], (7, 3)), cupy.asarray(numbers(2, 7, 3))
    for _ in range(3):
        model(x)
    for weight in model.weights:
        weight.assign(weight.numpy() * -0.5 + 0.1)
        np.testing.assert_allclose(model(x).get(), in_full(model, x).get(), rtol=1e-5, atol=1e-6)
    launched.clear()
    model(x)
    assert launched == ["recurrent_scan_forward"]


def test_steps_in_parts(cupy, monkeypatch):
    """Long sequences, whose gates are in memory for some steps at a time."""
    monkeypatch.setattr(recurrent_sequences, "AT_ONCE", 1)
    monkeypatch.setattr(recurrent_sequences, "LEAST_STEPS", 3)
    check(cupy, model_of(LAYERS["outputs of all steps"], (7, 3)), numbers(4, 7, 3))


OTHERS = {
    "states": lambda x: L.LSTM(5, return_state=True)(x)[1],
    "a first state": lambda x: L.GRU(3)(x, initial_state=x[:, 0]),
    "several cells": lambda x: L.RNN([L.LSTMCell(4), L.GRUCell(5)])(x),
    "from both ends": lambda x: L.Bidirectional(L.LSTM(4))(x),
    "an activation of another kind": lambda x: L.SimpleRNN(4, "gelu")(x),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_called_as_ever(cupy, name):
    check(cupy, model_of(OTHERS[name], (7, 3)), numbers(4, 7, 3))


def test_with_masks(cupy):
    def build(x):
        return L.LSTM(4)(L.Masking()(x))

    model, x = model_of(build, (5, 3)), numbers(3, 5, 3)
    x[1, 2:] = 0
    expected = model.predict(x, verbose=0)
    for _ in range(3):
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", ["scan", "grid", "steps", "products"])
def test_steps_are_remembered_where_they_can_be(cupy, monkeypatch, way):
    """By one launch for all steps; other ways copy or fill arrays on their way."""
    if way == "grid":
        monkeypatch.setattr(recurrent_scan, "MOST", {"grid": {4: 1024}})
    elif way != "scan":
        monkeypatch.setattr(recurrent, "way", lambda run: way)
    model, runs = model_of(lambda x: L.LSTM(5)(x), (7, 3)), []
    whole = recurrent.run_forward
    monkeypatch.setattr(recurrent, "run_forward", lambda *about: runs.append(1) or whole(*about))
    for i in range(6):
        x = cupy.asarray(numbers(2, 7, 3))
        expected = in_full(model, x).get()
        runs.clear()
        np.testing.assert_allclose(model(x).get(), expected, rtol=1e-5, atol=1e-6)
        assert len(runs) == (i < 4 or way != "scan")
