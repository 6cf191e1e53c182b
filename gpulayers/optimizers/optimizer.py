"""What all optimizers share: from gradients to changed weights, step by step."""

from __future__ import annotations

import warnings

import numpy as np

from .. import registry
from ..arrays import Variable, devices, namespace, plain
from ..naming import auto_name
from ..ops.optimizer import Made
from . import clipping
from .averaging import Averages
from .given import Given
from .settings import SHARED, check_shared, own_settings
from .weight_decay import WeightDecay


class Optimizer(WeightDecay, Averages):
    """Base class of optimizers: it changes weights so that a loss falls.

    A subclass makes its slots in `build(variables)`, after `super().build(variables)`, with
    `add_optimizer_variables`, and defines `update_step(gradient, variable, learning_rate)`.

    Args:
        learning_rate: a number, a schedule of `optimizers.schedules`, or a function without
            arguments that gives a number.
        weight_decay: each step first takes learning_rate * weight_decay of each weight away.
        clipnorm: longest norm of each gradient.
        clipvalue: largest absolute value in a gradient.
        global_clipnorm: longest norm of all gradients together. One of the three at most.
        use_ema: keep a moving average of the weights, which take its values at the end of `fit`,
            or when `finalize_variable_values` is called.
        ema_momentum: share of the average that each step keeps, 0 to 1.
        ema_overwrite_frequency: take the average's values every so many steps as well.
        loss_scale_factor: `scale_loss` multiplies the loss by it, `apply` divides the gradients.
        gradient_accumulation_steps: change weights only every so many steps, by the mean of the
            gradients since.
        name: the class's name in snake case by default.

    Raises TypeError and ValueError for settings that mean nothing.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
        **kwargs,
    ):
        given = {setting: value for setting, value in locals().items() if setting in SHARED}
        check_shared(type(self).__name__, given, kwargs)
        super().__init__(given.pop("name") or auto_name(type(self).__name__), learning_rate)
        for setting, value in given.items():
            setattr(self, setting, value)

    def build(self, variables) -> None:
        """Make the slots for `variables`, the weights that this optimizer will change."""
        variables = list(variables)
        if variables:
            self._move(variables[0].home)
        if self.use_ema:
            self._averages = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            self._sums = [
                self.add_variable_from_reference(v, "gradient_accumulator") for v in variables
            ]
        self._plans.clear()
        self._joined.clear()
        self._trainable_variables = variables
        self._trainable_variables_indices = {id(v): i for i, v in enumerate(variables)}
        self.built = True

    def update_step(self, gradient, variable, learning_rate) -> None:
        """Change one weight by its gradient; subclasses define it.

        Args:
            gradient: an array of the weight's shape.
            variable: the weight.
            learning_rate: a Python float, or an array without axes in a captured step.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define "
            "update_step(self, gradient, variable, learning_rate)."
        )

    def assign(self, variable, value) -> None:
        """Replace a Variable's value; for `update_step`."""
        variable.assign(value)

    def assign_add(self, variable, value) -> None:
        """Add to a Variable's value; for `update_step`."""
        variable.assign_add(value)

    def assign_sub(self, variable, value) -> None:
        """Subtract from a Variable's value; for `update_step`."""
        variable.assign_sub(value)

    def apply_gradients(self, grads_and_vars) -> Variable:
        """`apply` for pairs (gradient, variable).  Gives the count of steps."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._iterations

    def apply(self, grads, trainable_variables=None) -> None:
        """Make one step.

        Args:
            grads: one array for each variable; None where the loss does not depend on one, which
                then stays as it is, with a warning.
            trainable_variables: those of `build` by default; they build an optimizer that is not.

        Raises ValueError if it is not built, for unknown variables, for gradients of other shapes,
        and if all gradients are None.
        """
        free = grads.free if type(grads) is Given else frozenset()
        grads = list(grads)
        if not grads:
            return
        variables = self._variables_for(grads, trainable_variables)
        self._move(variables[0].home)
        grads, variables = self._present(grads, variables)
        if [v for v in variables if v.overwrite_with_gradient]:
            grads, variables = self._overwrite(grads, variables)
        if grads:
            if self._apply_at_once(grads, variables) is None:
                self._free = free
                try:
                    self._apply_by_parts(grads, variables)
                finally:
                    self._free = frozenset()
            for variable in [v for v in variables if v.constraint is not None]:
                variable.assign(variable.constraint(variable.value))
        self._count.increment()

    def _apply_at_once(self, grads, variables, guard=None) -> Made | None:
        """Make the whole step in one pass over the weights, on a device that can; else None.

        Args:
            guard: (scale, good, growth) of a `LossScaleOptimizer`.
        """
        return None

    def _apply_by_parts(self, grads, variables) -> None:
        """Make the step, one operation after the other."""
        if self.loss_scale_factor is not None:
            grads = [g / self.loss_scale_factor for g in grads]
        if self.gradient_accumulation_steps:
            self._accumulate(grads, variables)
        else:
            self._update(grads, variables)
        if self.use_ema:
            self._average()

    def _variables_for(self, grads, variables):
        if variables is None:
            if not self.built:
                raise ValueError(
                    f"{self.name}: apply(grads) needs the variables too, or "
                    "build(trainable_variables) first."
                )
            variables = self._trainable_variables
        else:
            variables = list(variables)
            if not self.built:
                self.build(variables)
            self._check_known(variables)
        if len(grads) != len(variables):
            raise ValueError(
                f"{self.name}: expected {len(variables)} gradients, one for each variable, "
                f"got {len(grads)}."
            )
        return variables

    def _present(self, grads, variables):
        """The gradients that are not None, as plain arrays, and their variables."""
        pairs, missing = [], []
        for g, v in zip(grads, variables, strict=True):
            if g is None:
                missing.append(v.path)
                continue
            value = v._value
            if type(g) is not type(value):
                g = plain(g)
                g = g if type(g) is type(value) else devices.put(np.asarray(g), v.home)
            if g.shape != value.shape:
                raise ValueError(
                    f"{self.name}: expected a gradient of shape {tuple(value.shape)} for {v.path}, "
                    f"got {tuple(g.shape)}."
                )
            pairs.append((g, v))
        if not pairs:
            raise ValueError(
                f"{self.name}: no gradient for any variable ({', '.join(missing)}): the loss "
                "depends on none of them."
            )
        if missing:
            warnings.warn(
                f"{self.name}: no gradient for {', '.join(missing)}, which stay as they are: the "
                "loss does not depend on them. With compile(), is a loss missing?",
                stacklevel=3,
            )
        return zip(*pairs, strict=True)

    def _update(self, grads, variables) -> None:
        learning_rate = self._rate_now()
        grads = self._clip(grads)
        self._apply_weight_decay(variables, learning_rate)
        self._update_all(grads, variables, learning_rate)

    def _update_all(self, grads, variables, learning_rate) -> None:
        for gradient, variable in zip(grads, variables, strict=True):
            self.update_step(gradient, variable, learning_rate)

    def _clip(self, grads):
        if self.clipnorm:
            return [clipping.clip_by_norm(g, self.clipnorm) for g in grads]
        if self.global_clipnorm:
            return clipping.clip_by_global_norm(grads, self.global_clipnorm)
        if self.clipvalue:
            return [clipping.clip_by_value(g, self.clipvalue) for g in grads]
        return grads

    def _accumulate(self, grads, variables) -> None:
        """Add the gradients up; every so many steps, update the weights by their mean."""
        steps = self.gradient_accumulation_steps
        sums = [self._sums[self._get_variable_index(v)] for v in variables]
        if type(grads[0]) is np.ndarray:
            self._accumulate_in_place(grads, sums, variables)
            return
        totals = [g + s._value for g, s in zip(grads, sums, strict=True)]

        def update():
            self._update([total / steps for total in totals], variables)
            for one in self._sums:
                one.replace(namespace(one._value).zeros_like(one._value))

        def wait():
            for one, total in zip(sums, totals, strict=True):
                one.assign(total)

        self._choose((self._steps_made() + 1) % steps == 0, update, wait)

    def _accumulate_in_place(self, grads, sums, variables) -> None:
        totals = [self._rewritable(one) for one in sums]
        for total, g in zip(totals, grads, strict=True):
            total += g
        if (self._steps_made() + 1) % self.gradient_accumulation_steps:
            return
        for total in totals:
            total /= self.gradient_accumulation_steps
        self._update(totals, variables)
        for one in self._sums:
            if one is not None:
                self._rewritable(one)[...] = 0

    def _overwrite(self, grads, variables):
        """Put gradients in the place of the weights that want it; what remains is returned.

        Layers that compute in 8 bits give their scales so.  The largest of accumulated ones counts.
        """
        steps, remaining = self.gradient_accumulation_steps, []
        for g, v in zip(grads, variables, strict=True):
            if not v.overwrite_with_gradient:
                remaining.append((g, v))
            elif steps:
                self._overwrite_with_largest(g, v, steps)
            else:
                v.assign(g)
        return zip(*remaining, strict=True) if remaining else ((), ())

    def _overwrite_with_largest(self, gradient, variable, steps) -> None:
        largest = self._sums[self._get_variable_index(variable)]
        xp = namespace(gradient)
        new = xp.maximum(gradient, largest._value)

        def overwrite():
            variable.assign(new)
            largest.replace(xp.zeros_like(largest._value))

        self._choose((self._steps_made() + 1) % steps == 0, overwrite, lambda: largest.assign(new))

    def scale_loss(self, loss):
        """The loss times `loss_scale_factor`; `apply` divides the gradients by it again."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """A step as a function of arrays: what `apply` would make of the given values.

        Args:
            optimizer_variables: an array for each of `variables`.
            grads: an array for each weight.
            trainable_variables: an array for each weight that it was built with.

        Gives (new weights, new optimizer variables); nothing else changes.
        Raises ValueError if it is not built, or for another number of arrays.
        """
        if not self.built:
            raise ValueError(
                f"{self.name}: stateless_apply needs build(trainable_variables) first."
            )
        state, weights = self.variables, self._trainable_variables
        for what, given, own in (
            ("optimizer_variables", optimizer_variables, state),
            ("trainable_variables", trainable_variables, weights),
        ):
            if len(given) != len(own):
                raise ValueError(f"{self.name}: expected {len(own)} {what}, got {len(given)}.")
        held = [*weights, *state]
        before = [v._value for v in held]
        try:
            for variable, value in zip(
                held, [*trainable_variables, *optimizer_variables], strict=True
            ):
                variable.assign(value)
            self.apply(grads)
            after = [v._value for v in held]
        finally:
            for variable, value in zip(held, before, strict=True):
                variable.replace(value)
        return after[: len(weights)], after[len(weights) :]

    def get_config(self) -> dict:
        """What `from_config` needs to make such an optimizer again, without its state."""
        rate = self._learning_rate
        rate = float(rate) if type(rate) is Variable else registry.serialize(rate)
        shared = {setting: getattr(self, setting) for setting in SHARED}
        return {"name": self.name, "learning_rate": rate, **shared, **own_settings(self)}

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> Optimizer:
        """The optimizer that `get_config` described."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = registry.deserialize(
                config["learning_rate"], custom_objects, kind="optimizers.schedules"
            )
        return cls(**config)
