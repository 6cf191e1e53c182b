"""Adagrad: each weight's rate falls with what its gradients have been."""

from __future__ import annotations

from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import check_number, with_shared_settings


class Adagrad(RuleOptimizer):
    """s = s + g^2;  w - lr g / sqrt(s + epsilon).

    Args:
        learning_rate: 0.001.
        initial_accumulator_value: where the sums of squares start, 0 or more.
        epsilon: small number under the root.
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html
    """

    @with_shared_settings
    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, **kwargs)
        check_number("Adagrad", "initial_accumulator_value", initial_accumulator_value)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def build(self, variables) -> None:
        """Make the slots: a sum of squares for each weight."""
        if self.built:
            return
        from ..initializers import Constant

        super().build(variables)
        self._accumulators = self.add_optimizer_variables(
            variables, "accumulator", Constant(self.initial_accumulator_value)
        )

    def _rule(self, kind, learning_rate):
        numbers = {"learning_rate": learning_rate, "epsilon": self.epsilon}
        return rules.adagrad, (self._accumulators,), numbers
