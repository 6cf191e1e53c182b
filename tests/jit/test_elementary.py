"""exp, tanh and sigmoid of loops, over all that float32 holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpulayers.jit import elementary, kernel

exp_of, tanh_of, sigmoid_of = elementary.exp, elementary.tanh, elementary.sigmoid
normal_of = elementary.normal


@kernel("y")
def exp(x, y):
    for i in range(len(y)):
        y[i] = exp_of(x[i])


@kernel("y")
def tanh(x, y):
    for i in range(len(y)):
        y[i] = tanh_of(x[i])


@kernel("y")
def sigmoid(x, y):
    for i in range(len(y)):
        y[i] = sigmoid_of(x[i])


@kernel("y")
def normal(x, y):
    for i in range(len(y)):
        y[i] = normal_of(x[i])


def made(kernel, x):
    y = np.empty_like(x)
    kernel(x, y)
    return y


EVERYWHERE = np.concatenate(
    [np.linspace(-110, 90, 200_001), np.linspace(-1, 1, 50_001), np.logspace(-30, 0, 301)]
).astype("f4")


@pytest.mark.parametrize(
    ("kernel", "function"),
    [(exp, np.exp), (tanh, np.tanh), (sigmoid, lambda x: 1 / (1 + np.exp(-x)))],
    ids=["exp", "tanh", "sigmoid"],
)
def test_two_units_in_the_last_place(kernel, function):
    with np.errstate(over="ignore"):
        expected = function(EVERYWHERE.astype("f8"))
        y = made(kernel, EVERYWHERE)
        np.testing.assert_allclose(y, expected.astype("f4"), rtol=2.4e-7, atol=1e-38)
        single = np.array([np.nan, np.inf, -np.inf, 0, 89, 3e38, -3e38], "f4")
        np.testing.assert_array_equal(made(kernel, single), function(single))


def test_exp_of_the_smallest_results():
    x = np.array([-87.4, -95, -100, -103, -103.9], "f4")
    np.testing.assert_allclose(made(exp, x), np.exp(x), rtol=1e-6, atol=1.5e-45)


def test_the_normal_distribution():
    expected = [0.5 * (1 + math.erf(x * 0.5**0.5)) for x in EVERYWHERE]
    np.testing.assert_allclose(made(normal, EVERYWHERE), expected, rtol=0, atol=2e-7)
    single = np.array([np.nan, np.inf, -np.inf, 0, 3e38, -3e38], "f4")
    np.testing.assert_array_equal(made(normal, single), np.array([np.nan, 1, 0, 0.5, 1, 0], "f4"))
