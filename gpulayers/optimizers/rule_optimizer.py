"""Optimizers that are a rule of `ops.optimizer`, with slots and settings."""

from __future__ import annotations

from .optimizer import Optimizer


class RuleOptimizer(Optimizer):
    """A subclass gives its rule, and makes the slots that the rule takes."""

    def _kind(self, variable):
        """What tells apart the weights of an optimizer that has several rules."""
        return None

    def _rule(self, kind, learning_rate) -> tuple:
        """The rule for such weights, its lists of slots (empty: none), and its numbers."""
        raise NotImplementedError

    def update_step(self, gradient, variable, learning_rate) -> None:
        """Change one weight by its gradient."""
        rule, lists, numbers = self._rule(self._kind(variable), learning_rate)
        self._follow(rule, gradient, variable, self._slots(lists, variable), **numbers)

    def _update_all(self, grads, variables, learning_rate) -> None:
        if type(self).update_step is not RuleOptimizer.update_step:
            super()._update_all(grads, variables, learning_rate)
            return
        if type(self)._kind is RuleOptimizer._kind:
            rule, lists, numbers = self._rule(None, learning_rate)
            self._follow_all(rule, grads, variables, lists, **numbers)
            return
        groups = {}
        for gradient, variable in zip(grads, variables, strict=True):
            pulls, own = groups.setdefault(self._kind(variable), ([], []))
            pulls.append(gradient)
            own.append(variable)
        for kind, (pulls, own) in groups.items():
            rule, lists, numbers = self._rule(kind, learning_rate)
            self._follow_all(rule, pulls, own, lists, **numbers)
