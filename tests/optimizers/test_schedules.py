"""Schedules against Keras's values (float32), and what they are given."""

import json

import numpy as np
import pytest

from gpulayers.arrays import Variable
from gpulayers.optimizers import schedules

# Class, arguments, then (step, rate) as Keras 3.15 gives them.
CASES = [
    ("ExponentialDecay", (0.1, 3, 0.96), [(0, 0.1), (3, 0.096), (100, 0.025647251)]),
    ("ExponentialDecay", (0.1, 3, 0.96, True), [(2, 0.1), (3, 0.096), (5, 0.096)]),
    (
        "PiecewiseConstantDecay",
        ([100, 110, 120], [1.0, 0.1, 0.01, 0.001]),
        [(99, 1.0), (100, 1.0), (101, 0.1), (110, 0.1), (120, 0.01), (121, 0.001)],
    ),
    ("PiecewiseConstantDecay", ([], [0.5]), [(0, 0.5), (9, 0.5)]),
    ("PolynomialDecay", (0.05, 10, 0.001), [(0, 0.05), (5, 0.0255), (10, 0.001), (12, 0.001)]),
    ("PolynomialDecay", (0.05, 10, 0.001, 0.5), [(5, 0.03564823)]),
    ("PolynomialDecay", (0.05, 10, 0.001, 1.0, True), [(0, 0.05), (10, 0.001), (15, 0.01325)]),
    ("InverseTimeDecay", (0.1, 3, 0.96), [(0, 0.1), (3, 0.051020408)]),
    ("InverseTimeDecay", (0.1, 3, 0.96, True), [(4, 0.051020408)]),
    ("CosineDecay", (1.0, 1000), [(250, 0.85355339), (500, 0.5), (1250, 0.0)]),
    ("CosineDecay", (1.0, 1000, 0.1), [(250, 0.86819805), (1000, 0.1)]),
    (
        "CosineDecay",
        (0.5, 1000, 0.0, "x", 10.0, 1500),
        [(0, 0.5), (250, 2.0833333), (1500, 10.0), (2000, 5.0), (3000, 0.0)],
    ),
    ("CosineDecay", (1.0, 1000, 0.0, "x", 2.0, 0), [(0, 2.0), (500, 1.0)]),
    ("CosineDecayRestarts", (1.0, 1000), [(250, 0.85355339), (1000, 1.0), (1250, 0.96193977)]),
    ("CosineDecayRestarts", (1.0, 1000, 1.0), [(500, 0.5), (1000, 1.0)]),
    ("CosineDecayRestarts", (1.0, 1000, 2.0, 0.9, 0.1), [(1250, 0.87917108)]),
]


@pytest.mark.parametrize(("kind", "arguments", "rates"), CASES)
def test_rates(kind, arguments, rates, xp):
    schedule = getattr(schedules, kind)(*arguments)
    again = schedules.deserialize(schedules.serialize(schedule))
    assert again.get_config() == schedule.get_config()
    for step, rate in rates:
        for given in (step, xp.asarray(np.int32(step)), Variable(step), float(step)):
            assert float(schedule(given)) == pytest.approx(rate, rel=2e-6, abs=1e-7)
        made = again(xp.asarray(np.int32(step)))
        assert made.shape == ()
        assert str(made.dtype).endswith("float32")


def _each_number(arguments, change):
    if isinstance(arguments, (list, tuple)):
        return [_each_number(argument, change) for argument in arguments]
    return arguments if isinstance(arguments, (bool, str)) else change(arguments)


@pytest.mark.parametrize(("kind", "arguments", "rates"), CASES)
@pytest.mark.parametrize("as_variable", [False, True])
def test_numbers_may_be_arrays_and_variables(kind, arguments, rates, as_variable, xp):
    def change(number):
        made = xp.asarray(np.asarray(number))
        return Variable(made) if as_variable else made

    schedule = getattr(schedules, kind)(*_each_number(arguments, change))
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule))))
    for step, rate in rates:
        for course in (schedule, again):
            assert float(course(step)) == pytest.approx(rate, rel=2e-6, abs=1e-7)


def test_schedules_follow_variables():
    start, length = Variable(0.1), Variable(3)
    schedule = schedules.ExponentialDecay(start, length, 0.5)
    assert float(schedule(3)) == pytest.approx(0.05)
    start.assign(0.2)
    length.assign(1)
    assert float(schedule(3)) == pytest.approx(0.025)
    assert schedule.get_config()["decay_steps"] == 1


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "message"),
    [
        ("ExponentialDecay", (0.1, 0, 0.9), ValueError, "decay_steps must be positive, got 0"),
        ("CosineDecay", (0.1, -5), ValueError, "decay_steps must be 0 or more"),
        ("CosineDecay", (0.1, Variable(-5)), ValueError, "decay_steps must be 0 or more"),
        ("CosineDecay", (0.1, np.ones(2)), TypeError, "decay_steps must be a number, got ndarray"),
        ("PiecewiseConstantDecay", ([1], [0.1, "x"]), TypeError, "values must be a number"),
        ("CosineDecayRestarts", (0.1, "x"), TypeError, "first_decay_steps must be a number"),
        ("PiecewiseConstantDecay", ([1, 2], [0.1, 0.2]), ValueError, "2 values and 2 boundaries"),
        ("PiecewiseConstantDecay", ([2, 1], [3.0, 2.0, 1.0]), ValueError, "rising order"),
    ],
)
def test_courses_that_mean_nothing(kind, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(schedules, kind)(*arguments)


def test_the_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="__call__"):
        schedules.LearningRateSchedule()(1)
    with pytest.raises(NotImplementedError, match="get_config"):
        schedules.LearningRateSchedule().get_config()
