"""How far training is, and how fast it learns now."""

from __future__ import annotations

import math

import numpy as np

from .. import config
from ..arrays import Variable, plain
from .following import Follower
from .host_number import HostNumber
from .schedules import LearningRateSchedule
from .settings import check_number


class Clock(Follower):
    """The count of steps and the learning rate of an optimizer."""

    counts_on_device = False
    """Whether steps take both as arrays of the device, as a captured step must."""

    gradient_accumulation_steps = None

    def __init__(self, name: str, learning_rate):
        super().__init__(name)
        self._iterations = Variable(
            0, dtype="int32", trainable=False, name="iteration", path=f"{name}/iteration"
        )
        self._count = HostNumber(self._iterations, int)
        self._learning_rate = self._as_learning_rate(learning_rate)

    def _as_learning_rate(self, rate):
        if isinstance(rate, (Variable, LearningRateSchedule)):
            return rate
        if callable(rate) and not isinstance(rate, type):
            return rate
        path = f"{self.name}/learning_rate"
        return Variable(
            self._checked(rate), dtype=config.floatx(), trainable=False, name="learning_rate",
            path=path,
        )  # fmt: skip

    def _checked(self, rate) -> float:
        who = type(self).__name__
        if isinstance(rate, (bool, type)) or not hasattr(rate, "__float__"):
            raise TypeError(
                f"{who}: learning_rate must be a number, a LearningRateSchedule or a function "
                f"without arguments, got {type(rate).__name__}: {rate!r}."
            )
        rate = float(rate)
        check_number(who, "learning_rate", rate)
        if math.isinf(rate):
            raise ValueError(f"{who}: learning_rate must be finite, got {rate}.")
        return rate

    @property
    def learning_rate(self):
        """The Variable, or what the schedule or the function gives now."""
        rate = self._learning_rate
        if isinstance(rate, LearningRateSchedule):
            return rate(self._iterations)
        return rate if type(rate) is Variable else rate()

    @learning_rate.setter
    def learning_rate(self, rate):
        old = self._learning_rate
        if callable(rate):
            self._learning_rate = self._as_learning_rate(rate)
            if type(old) is Variable:
                self._untrack_variable(old)
        elif type(old) is Variable:
            old.assign(self._checked(rate))
        else:
            raise TypeError(
                f"{self.name}: its learning rate is given by {type(old).__name__}, and cannot be "
                "set to a number: make the optimizer with a number instead."
            )

    @property
    def iterations(self):
        """How many steps have been made; with accumulated gradients, how many updates."""
        steps = self.gradient_accumulation_steps
        return self._iterations // steps if steps else self._iterations

    def _steps_made(self):
        return self._iterations._value if self.counts_on_device else self._count.read()

    def _updates_made(self):
        """`iterations` as a Python int, or as an array where the device counts."""
        made, steps = self._steps_made(), self.gradient_accumulation_steps
        return made // steps if steps else made

    def _rate_now(self):
        """The learning rate as a Python float, or as an array where the device counts."""
        rate = self._learning_rate
        if type(rate) is Variable:
            return rate._value if self.counts_on_device else self._known_rate(rate).read()
        if isinstance(rate, LearningRateSchedule):
            made = self._steps_made()
            rate = rate(np.asarray(made, np.int32) if type(made) is int else made)
        else:
            rate = rate()
        rate = plain(rate)
        on_host = isinstance(rate, (np.ndarray, np.generic)) or not hasattr(rate, "shape")
        return float(rate) if on_host else rate

    def _known_rate(self, variable) -> HostNumber:
        mirror = self.__dict__.get("_rate_mirror")
        if mirror is None or mirror.variable is not variable:
            mirror = self._rate_mirror = HostNumber(variable, float)
        return mirror
