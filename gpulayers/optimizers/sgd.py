"""Gradient descent, with momentum if wanted."""

from __future__ import annotations

from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import check_number, with_shared_settings


class SGD(RuleOptimizer):
    """Gradient descent: w - learning_rate * g, or with momentum w + m, m = momentum * m - lr * g.

    Args:
        learning_rate: 0.01.
        momentum: share of the last move that is kept, 0 to 1.
        nesterov: take the gradient's part a step ahead: w + momentum * m - lr * g.
        shared: the settings of all optimizers, see `Optimizer`.

    Raises TypeError or ValueError for a momentum that is no number between 0 and 1.
    Source: Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html
    """

    @with_shared_settings
    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, **kwargs):
        super().__init__(learning_rate, **kwargs)
        check_number("SGD", "momentum", momentum, 0.0, 1.0)
        self.momentum = momentum
        self.nesterov = nesterov

    def build(self, variables) -> None:
        """Make the slots: one for each weight if there is momentum."""
        if self.built:
            return
        super().build(variables)
        self.momentums = (
            self.add_optimizer_variables(variables, "momentum") if self.momentum else []
        )

    def _rule(self, kind, learning_rate):
        if not self.momentum:
            return rules.gradient_descent, (), {"learning_rate": learning_rate}
        numbers = {
            "learning_rate": learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
        }
        return rules.momentum, (self.momentums,), numbers
