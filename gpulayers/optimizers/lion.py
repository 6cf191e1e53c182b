"""Lion: steps of one size, of which the gradient only gives the sign."""

from __future__ import annotations

from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import check_number, with_shared_settings


class Lion(RuleOptimizer):
    """w - lr sign(beta_1 m + (1 - beta_1) g);  then m = beta_2 m + (1 - beta_2) g.

    Args:
        learning_rate: 0.001; a third to a tenth of Adam's is usual.
        beta_1: share of the momentum in the move, above 0, up to 1.
        beta_2: share of the momentum that each step keeps, 0 to 1.
        shared: the settings of all optimizers, see `Optimizer`.

    Raises TypeError or ValueError for other betas.
    Source: Chen et al. 2023, https://arxiv.org/abs/2302.06675
    """

    @with_shared_settings
    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99, **kwargs):
        super().__init__(learning_rate, **kwargs)
        check_number("Lion", "beta_1", beta_1, 0.0, 1.0)
        check_number("Lion", "beta_2", beta_2, 0.0, 1.0)
        if beta_1 == 0:
            raise ValueError("Lion: beta_1 must be above 0, got 0: the momentum would not count.")
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def build(self, variables) -> None:
        """Make the slots: a momentum for each weight."""
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def _rule(self, kind, learning_rate):
        numbers = {
            "learning_rate": learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
        }
        return rules.lion, (self._momentums,), numbers
