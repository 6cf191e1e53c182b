"""Adadelta: steps in the unit of the weights, whatever that of the loss."""

from __future__ import annotations

from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import check_number, with_shared_settings


class Adadelta(RuleOptimizer):
    """w - lr d, d = rms(past d) / rms(g) g, where rms(x) = sqrt(mean of x^2 + epsilon).

    Args:
        learning_rate: 0.001; the paper's rule has 1.0.
        rho: share of both means that each step keeps, 0 to 1.
        epsilon: small number under the roots.
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Zeiler 2012, https://arxiv.org/abs/1212.5701
    """

    @with_shared_settings
    def __init__(self, learning_rate=0.001, rho=0.95, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, **kwargs)
        check_number("Adadelta", "rho", rho, 0.0, 1.0)
        self.rho = rho
        self.epsilon = epsilon

    def build(self, variables) -> None:
        """Make the slots: the mean squares of gradients and of moves."""
        if self.built:
            return
        super().build(variables)
        self._accumulated_grads, self._accumulated_delta_vars = self.add_optimizer_variables(
            variables, ["accumulated_grad", "accumulated_delta_var"]
        )

    def _rule(self, kind, learning_rate):
        numbers = {"learning_rate": learning_rate, "rho": self.rho, "epsilon": self.epsilon}
        return rules.adadelta, (self._accumulated_grads, self._accumulated_delta_vars), numbers
