"""Loss scaling that finds its own scale, for gradients in float16."""

from __future__ import annotations

import numpy as np

from .. import registry
from ..arrays import plain
from ..ops.casting import all_finite
from .optimizer import Optimizer
from .settings import SHARED, check_number


class LossScaleOptimizer(Optimizer):
    """Multiplies the loss so that small gradients do not vanish in float16, and divides them again.

    A step whose gradients are not all finite is skipped, and halves the scale; so many good steps
    in a row double it.

    Args:
        inner_optimizer: the optimizer that makes the steps.
        initial_scale: the first scale; too high is mended faster than too low.
        dynamic_growth_steps: good steps before the scale is doubled.
        name: the class's name in snake case by default.

    Raises TypeError unless `inner_optimizer` is one, ValueError for settings that belong to it.
    Source: Micikevicius et al. 2017, https://arxiv.org/abs/1710.03740
    """

    def __init__(
        self, inner_optimizer, initial_scale=32768.0, dynamic_growth_steps=2000, name=None, **kwargs
    ):
        kwargs = {k: v for k, v in kwargs.items() if k not in SHARED or v != SHARED[k]}
        if not kwargs.pop("dynamic", True):
            raise ValueError(
                "LossScaleOptimizer: it is always dynamic; for a fixed scale, give the inner "
                "optimizer a loss_scale_factor."
            )
        if kwargs:
            raise ValueError(
                f"LossScaleOptimizer: {', '.join(sorted(kwargs))} must be given to the inner "
                "optimizer, if it takes them."
            )
        if not isinstance(inner_optimizer, Optimizer):
            raise TypeError(
                "LossScaleOptimizer: inner_optimizer must be an Optimizer, got "
                f"{type(inner_optimizer).__name__}."
            )
        check_number("LossScaleOptimizer", "initial_scale", initial_scale)
        check_number("LossScaleOptimizer", "dynamic_growth_steps", dynamic_growth_steps, 1)
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None  # Else gradients would be divided twice.

    def build(self, variables) -> None:
        """Make the scale, the count of good steps, and the slots of the inner optimizer."""
        if self.built:
            return
        from ..initializers import Constant

        self.step_counter = self.add_variable((), dtype="int32", name="step_counter")
        self.dynamic_scale = self.add_variable(
            (), Constant(self.initial_scale), dtype="float32", name="dynamic_scale"
        )
        self.inner_optimizer.build(variables)
        super().build(variables)

    @property
    def variables(self):
        """Its own Variables, then those of the inner optimizer."""
        return [*self._variables, *self.inner_optimizer.variables]

    def apply(self, grads, trainable_variables=None) -> None:
        """Make one step, or skip it: see `Optimizer.apply`."""
        grads = list(grads)
        if not grads:
            return
        variables = self._variables_for(grads, trainable_variables)
        self._move(variables[0].home)
        # Whether a step is skipped only the device knows; so only it can count them.
        known = self.counts_on_device or type(variables[0]._value) is not np.ndarray
        self.inner_optimizer.counts_on_device = known
        if known and self._apply_at_once(grads, variables) is not None:
            return

        def step():
            scale = self.dynamic_scale._value
            unscaled = [
                g if g is None or v.overwrite_with_gradient else plain(g) / scale
                for g, v in zip(grads, variables, strict=True)
            ]
            self.inner_optimizer.apply(unscaled, variables)
            enough = self.step_counter._value == self.dynamic_growth_steps - 1
            self._choose(enough, lambda: self._rescale(2.0), self._count_good_step)

        self._choose(self.check_finite(grads), step, lambda: self._rescale(0.5))

    def _apply_at_once(self, grads, variables, guard=None):
        inner = self.inner_optimizer
        if any(g is None for g in grads):
            return None
        if any(v.overwrite_with_gradient or v.constraint is not None for v in variables):
            return None
        inner._move(variables[0].home)
        grads, variables = inner._present(grads, variables)
        guard = self.dynamic_scale._value, self.step_counter._value, self.dynamic_growth_steps
        made = inner._apply_at_once(grads, variables, guard)
        if made is not None:
            of_guard = self.dynamic_scale, self.step_counter, inner._iterations
            for variable, value in zip(of_guard, made.guard, strict=True):
                variable.replace(value)
        return made

    def _disown(self) -> None:
        self.inner_optimizer._disown()

    def _rescale(self, factor: float) -> None:
        self.step_counter.assign(self.step_counter * 0)
        self.dynamic_scale.assign(self.dynamic_scale * factor)

    def _count_good_step(self) -> None:
        self.step_counter.assign_add(1)

    def check_finite(self, grads):
        """Whether all elements of all gradients are finite, as an array without axes."""
        found = [plain(g) for g in grads if g is not None]
        return all_finite(*found) if found else True

    @property
    def learning_rate(self):
        """The inner optimizer's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate):
        self.inner_optimizer.learning_rate = rate

    @property
    def iterations(self):
        """The inner optimizer's: skipped steps do not count."""
        return self.inner_optimizer.iterations

    def scale_loss(self, loss):
        """The loss times the scale of the moment."""
        return loss * (self.dynamic_scale.value if self.built else self.initial_scale)

    def finalize_variable_values(self, var_list) -> None:
        """As the inner optimizer does."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict:
        """What `from_config` needs to make such an optimizer again."""
        return {
            "name": self.name,
            "inner_optimizer": registry.serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        """The optimizer that `get_config` described."""
        from . import deserialize

        config = dict(config)
        return cls(deserialize(config.pop("inner_optimizer"), custom_objects), **config)
