"""Learning rates that follow a course: functions of the step."""

from __future__ import annotations

import math

from .. import config, registry
from ..arrays import Variable, as_array, devices, dtypes, namespace
from ..arrays.variable import plain_value
from .settings import check_number


class LearningRateSchedule:
    """Base class: a subclass defines `__call__(step)` and `get_config()`.

    `step` is an array without axes (an integer), the count of steps made so far. The schedules
    below take for every number also an array without axes, or a Variable, which they then follow.
    """

    def __call__(self, step):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step).")

    def get_config(self) -> dict:
        raise NotImplementedError(
            f"{type(self).__name__} must define get_config(self) to be saved."
        )

    @classmethod
    def from_config(cls, config: dict) -> LearningRateSchedule:
        """The schedule that `get_config` described."""
        return cls(**config)


class _Setting:
    """A number of a schedule; where it was given as a Variable, that Variable's number now."""

    def __set_name__(self, owner, name):
        self.name = name

    def __set__(self, schedule, value):
        schedule.__dict__[self.name] = value

    def __get__(self, schedule, owner=None):
        return self if schedule is None else _number_in(schedule.__dict__[self.name])


def _time(step):
    """The namespace to compute in, and the step as an array of the default float dtype."""
    step = as_array(step)
    xp = namespace(step)
    return xp, xp.astype(step, dtypes.of(xp, config.floatx()))


def _number(x, number: float):
    """`number` in the dtype of `x`, beside which it stands."""
    return namespace(x).full_like(x, number)


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: after so many steps the rate has fallen by the factor `decay_rate`.
        decay_rate: that factor.
        staircase: fall only at whole multiples of `decay_steps`.
        name: for messages.

    Raises TypeError or ValueError unless `decay_steps` is a positive number.
    """

    initial_learning_rate = _Setting()
    decay_steps = _Setting()
    decay_rate = _Setting()

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        decay_rate,
        staircase=False,
        name="ExponentialDecay",
    ):
        self.initial_learning_rate = _real(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.decay_rate = _real(self, "decay_rate", decay_rate)
        self.staircase = staircase
        self.name = name

    def __call__(self, step):
        xp, time = _time(step)
        periods = time / self.decay_steps
        if self.staircase:
            periods = xp.floor(periods)
        return _number(time, self.decay_rate) ** periods * self.initial_learning_rate

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and including step boundaries[0], then values[1], and so on.

    Args:
        boundaries: steps, in rising order.
        values: rates, one more than boundaries; these numbers are read once.
        name: for messages.

    Raises ValueError for another number of values, or boundaries that do not rise.
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        boundaries = [_number_in(_real(self, "boundaries", step)) for step in boundaries]
        values = [_number_in(_real(self, "values", rate)) for rate in values]
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay: expected one value more than boundaries, got "
                f"{len(values)} values and {len(boundaries)} boundaries."
            )
        if boundaries != sorted(boundaries):
            raise ValueError(
                f"PiecewiseConstantDecay: boundaries must be in rising order, got {boundaries}."
            )
        self.boundaries, self.values, self.name = boundaries, values, name

    def __call__(self, step):
        step = as_array(step)
        xp, time = _time(step)
        rate = _number(time, self.values[0])
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = xp.where(step > boundary, _number(time, value), rate)
        return rate

    def get_config(self) -> dict:
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """From the initial rate to `end_learning_rate` as (1 - step / decay_steps) ** power.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the step that reaches `end_learning_rate`, which then holds.
        end_learning_rate: the last rate.
        power: of the polynomial; 1 is linear.
        cycle: after `decay_steps`, stretch it to the next multiple of `decay_steps` instead.
        name: for messages.

    Raises TypeError or ValueError unless `decay_steps` is a positive number.
    """

    initial_learning_rate = _Setting()
    decay_steps = _Setting()
    end_learning_rate = _Setting()
    power = _Setting()

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        end_learning_rate=0.0001,
        power=1.0,
        cycle=False,
        name="PolynomialDecay",
    ):
        self.initial_learning_rate = _real(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.end_learning_rate = _real(self, "end_learning_rate", end_learning_rate)
        self.power = _real(self, "power", power)
        self.cycle = cycle
        self.name = name

    def __call__(self, step):
        xp, time = _time(step)
        length = self.decay_steps
        if self.cycle:
            length = xp.clip(xp.ceil(time / length), 1, None) * length
        else:
            time = xp.clip(time, None, length)
        span = _number(time, self.initial_learning_rate) - self.end_learning_rate
        return (1 - time / length) ** self.power * span + self.end_learning_rate

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the unit of time, in steps.
        decay_rate: how fast the rate falls.
        staircase: fall only at whole multiples of `decay_steps`.
        name: for messages.

    Raises TypeError or ValueError unless `decay_steps` is a positive number.
    """

    initial_learning_rate = _Setting()
    decay_steps = _Setting()
    decay_rate = _Setting()

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        decay_rate,
        staircase=False,
        name="InverseTimeDecay",
    ):
        self.initial_learning_rate = _real(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.decay_rate = _real(self, "decay_rate", decay_rate)
        self.staircase = staircase
        self.name = name

    def __call__(self, step):
        xp, time = _time(step)
        periods = time / self.decay_steps
        if self.staircase:
            periods = xp.floor(periods)
        return self.initial_learning_rate / (periods * self.decay_rate + 1)

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class CosineDecay(LearningRateSchedule):
    """Half a cosine wave down to alpha times the rate; before it, if wanted, a linear rise.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: the length of the fall in steps.
        alpha: the last rate as a share of the one from which it falls.
        name: for messages.
        warmup_target: the rate to rise to first; None for no rise.
        warmup_steps: the length of the rise in steps.

    Raises TypeError or ValueError unless `decay_steps` is a positive number.
    Source: Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983
    """

    initial_learning_rate = _Setting()
    decay_steps = _Setting()
    alpha = _Setting()
    warmup_target = _Setting()
    warmup_steps = _Setting()

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        alpha=0.0,
        name="CosineDecay",
        warmup_target=None,
        warmup_steps=0,
    ):
        self.initial_learning_rate = _real(self, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(self, "decay_steps", decay_steps)
        self.alpha = _real(self, "alpha", alpha)
        self.name = name
        self.warmup_target = _real(self, "warmup_target", warmup_target, optional=True)
        self.warmup_steps = _real(self, "warmup_steps", warmup_steps)

    def __call__(self, step):
        xp, time = _time(step)
        if self.warmup_target is None:
            return self._fall(xp, time, self.initial_learning_rate)
        falling = self._fall(xp, time - self.warmup_steps, self.warmup_target)
        if not self.warmup_steps:
            return falling
        rise = _number(time, self.warmup_target) - self.initial_learning_rate
        rising = time / self.warmup_steps * rise + self.initial_learning_rate
        return xp.where(time < self.warmup_steps, rising, falling)

    def _fall(self, xp, time, start):
        share = xp.clip(time, None, self.decay_steps) / self.decay_steps
        wave = (xp.cos(share * math.pi) + 1) * 0.5
        return (wave * (1 - self.alpha) + self.alpha) * start

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosine waves one after another, each longer (t_mul) and lower (m_mul) than the last.

    Args:
        initial_learning_rate: the rate at step 0.
        first_decay_steps: the length of the first wave in steps.
        t_mul: the length of a wave as a multiple of the one before.
        m_mul: the height of a wave as a multiple of the one before.
        alpha: the lowest rate as a share of the initial one.
        name: for messages.

    Raises TypeError or ValueError unless `first_decay_steps` is a positive number.
    Source: Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983
    """

    initial_learning_rate = _Setting()
    first_decay_steps = _Setting()
    t_mul = _Setting()
    m_mul = _Setting()
    alpha = _Setting()

    def __init__(
        self,
        initial_learning_rate,
        first_decay_steps,
        t_mul=2.0,
        m_mul=1.0,
        alpha=0.0,
        name="SGDRDecay",
    ):
        self.initial_learning_rate = _real(self, "initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = _positive(self, "first_decay_steps", first_decay_steps)
        self.t_mul = _real(self, "t_mul", t_mul)
        self.m_mul = _real(self, "m_mul", m_mul)
        self.alpha = _real(self, "alpha", alpha)
        self.name = name

    def __call__(self, step):
        xp, time = _time(step)
        share = time / self.first_decay_steps
        if self.t_mul == 1.0:
            wave = xp.floor(share)
            share = share - wave
        else:
            ratio = _number(time, self.t_mul)
            wave = xp.floor(xp.log(1 - share * (1 - ratio)) / xp.log(ratio))
            share = (share - (1 - ratio**wave) / (1 - ratio)) / ratio**wave
        height = _number(time, self.m_mul) ** wave * 0.5
        fallen = height * (xp.cos(share * math.pi) + 1)
        return (fallen * (1 - self.alpha) + self.alpha) * self.initial_learning_rate

    def get_config(self) -> dict:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


def _positive(schedule, name, value):
    who, number = type(schedule).__name__, _number_in(value)
    check_number(who, name, number)
    if number <= 0:
        raise ValueError(f"{who}: {name} must be positive, got {number!r}.")
    return value if type(value) is Variable else number


def _real(schedule, name, value, optional=False):
    number = _number_in(value)
    check_number(type(schedule).__name__, name, number, low=-math.inf, optional=optional)
    return value if type(value) is Variable else number


def _number_in(value):
    """The number in a Variable or in an array without axes; anything else as it is."""
    value = plain_value(value)
    return devices.to_numpy(value).item() if getattr(value, "shape", None) == () else value


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict:
    """A description of a schedule that `deserialize`, and Keras, read."""
    return registry.serialize(learning_rate_schedule)


def deserialize(config, custom_objects=None) -> LearningRateSchedule:
    """The schedule that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="optimizers.schedules")


__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]
