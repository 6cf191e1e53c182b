"""Optimizers that are a rule of `ops.optimizer`, with slots and settings."""

from __future__ import annotations

from math import inf, isfinite, nan

import numpy as np

from ..ops import optimizer as rules
from . import clipping
from .following import at_once
from .optimizer import Optimizer
from .weight_decay import WeightDecay


class RuleOptimizer(Optimizer):
    """A subclass gives its rule, and makes the slots that the rule takes."""

    def _kind(self, variable):
        """What tells apart the weights of an optimizer that has several rules."""
        return None

    def _rule(self, kind, learning_rate) -> tuple:
        """The rule for such weights, its lists of slots (empty: none), and its numbers.

        The number of the step, if the rule takes it, is added to these.
        """
        raise NotImplementedError

    def _rule_now(self, kind, learning_rate) -> tuple:
        rule, lists, numbers = self._rule(kind, learning_rate)
        if rules.is_counted(rule):
            numbers["step"] = self._updates_made() + 1
        return rule, lists, numbers

    def _advance(self, product=None) -> None:
        """Before an update: change what the rule's numbers depend on, or take what a step made."""

    def update_step(self, gradient, variable, learning_rate) -> None:
        """Change one weight by its gradient."""
        rule, lists, numbers = self._rule_now(self._kind(variable), learning_rate)
        self._follow(rule, gradient, variable, self._slots(lists, variable), **numbers)

    def _update(self, grads, variables) -> None:
        value = variables[0]._value
        if type(value) is not np.ndarray or self.clipnorm or not self._has_one_rule():
            super()._update(grads, variables)
            return
        learning_rate = self._rate_now()
        self._advance()
        rule, lists, numbers = self._rule_now(None, learning_rate)
        limits = {"scale": self._scale_of(grads), "bound": self.clipvalue or inf}
        decay = (self.weight_decay or 0.0) * learning_rate
        groups = [(0.0, grads, variables)]
        if decay:
            groups = self._by_decay(decay, grads, variables)
        for rate, pulls, own in groups:
            around = rules.Around(rate, **limits)
            self._follow_all(rule, pulls, own, lists, around, **numbers)

    def _scale_of(self, grads) -> float:
        """What clipping by the norm of all gradients multiplies them by."""
        if self.clipvalue or not self.global_clipnorm:
            return 1.0
        norm = float(clipping.global_norm(grads))
        return self.global_clipnorm / max(norm, self.global_clipnorm) if isfinite(norm) else nan

    def _by_decay(self, decay, grads, variables):
        """Weights that decay with their gradients, and those that do not."""
        decays = [self._use_weight_decay(v) for v in variables]
        for rate, wanted in ((decay, True), (0.0, False)):
            pairs = [p for p, d in zip(zip(grads, variables), decays) if d is wanted]
            if pairs:
                yield rate, *zip(*pairs)

    def _update_all(self, grads, variables, learning_rate) -> None:
        self._advance()
        if type(self).update_step is not RuleOptimizer.update_step:
            super()._update_all(grads, variables, learning_rate)
            return
        if type(self)._kind is RuleOptimizer._kind:
            rule, lists, numbers = self._rule_now(None, learning_rate)
            self._follow_all(rule, grads, variables, lists, **numbers)
            return
        groups = {}
        for gradient, variable in zip(grads, variables, strict=True):
            pulls, own = groups.setdefault(self._kind(variable), ([], []))
            pulls.append(gradient)
            own.append(variable)
        for kind, (pulls, own) in groups.items():
            rule, lists, numbers = self._rule_now(kind, learning_rate)
            self._follow_all(rule, pulls, own, lists, **numbers)

    def _apply_at_once(self, grads, variables, guard=None):
        if type(variables[0]._value) is np.ndarray or not self._has_one_rule():
            return None
        learning_rate = self._rate_now()
        rule, lists, numbers = self._rule(None, learning_rate)
        version, count = at_once(rule, variables), self._steps_made()
        every = self.gradient_accumulation_steps or 1
        if version is None or (every > 1 and len(variables) < len(self._sums)):
            return None
        if type(count) is int and (count + 1) % every:
            sums = [self._rewritable(self._sums[self._get_variable_index(v)]) for v in variables]
            made = version.add(sums, grads, self.loss_scale_factor or 1.0)
            if made is not NotImplemented and self.use_ema:
                self._average()
            return None if made is NotImplemented else made
        step = self._surroundings(variables, count, guard)
        if guard is not None and self.use_ema and step.averages is None:
            return None
        slots = self._rewritable_lists(lists, variables)
        made = version.together([v._value for v in variables], grads, slots, step, **numbers)
        if made is NotImplemented:
            return None
        for variable, value in zip(variables, made.weights, strict=True):
            variable.replace(value)
        if made.product is not None:
            self._advance(made.product)
        if self.use_ema and step.averages is None:
            self._average()
        return made

    def _has_one_rule(self) -> bool:
        """Whether all weights follow one rule, with one number for their decay."""
        kind = type(self)
        return (
            kind.update_step is RuleOptimizer.update_step
            and kind._kind is RuleOptimizer._kind
            and kind._weight_decay_of is WeightDecay._weight_decay_of
        )

    def _surroundings(self, variables, count, guard) -> rules.Step:
        """What this optimizer does around its rule."""
        places = [self._get_variable_index(v) for v in variables]
        step = rules.Step(count, guard=guard, divisor=self.loss_scale_factor or 1.0)
        if self.gradient_accumulation_steps:
            step.every = self.gradient_accumulation_steps
            step.sums = [self._rewritable(self._sums[i]) for i in places]
        if self.clipnorm:
            step.clipnorm = self.clipnorm
        elif self.global_clipnorm:
            step.global_clipnorm = self.global_clipnorm
        elif self.clipvalue:
            step.clipvalue = self.clipvalue
        if self.weight_decay is not None:
            step.decay = self.weight_decay
            step.decays = [self._use_weight_decay(v) for v in variables]
        if self.use_ema and len(places) == sum(one is not None for one in self._averages):
            step.averages = [self._rewritable(self._averages[i]) for i in places]
            step.momentum, step.taken = self.ema_momentum, self.ema_overwrite_frequency or 0
        return step
