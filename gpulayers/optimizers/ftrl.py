"""FTRL: follow the regularised leader, for sparse linear models."""

from __future__ import annotations

from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import check_number, with_shared_settings


class Ftrl(RuleOptimizer):
    """The weight that minimises past linearised losses plus l1 |w| + l2 w^2.

    n = n + g^2;  z = z + g + 2 l2_shrinkage w - (n^p - n_before^p) / lr w;
    w = (clip(z, -l1, l1) - z) / (n^p / lr + 2 l2), where p = -learning_rate_power and l2 includes
    beta / (2 lr).

    Args:
        learning_rate: 0.001.
        learning_rate_power: 0 or less; 0 keeps the rate fixed.
        initial_accumulator_value: where n starts, 0 or more.
        l1_regularization_strength: 0 or more; makes weights exactly 0.
        l2_regularization_strength: 0 or more; a penalty on the weights.
        l2_shrinkage_regularization_strength: 0 or more; a penalty on their size, by the gradient.
        beta: as in the paper.
        shared: the settings of all optimizers, see `Optimizer`.

    Raises TypeError or ValueError for strengths below 0 and a power above 0.
    Source: McMahan et al. 2013, https://research.google.com/pubs/archive/41159.pdf
    """

    @with_shared_settings
    def __init__(
        self,
        learning_rate=0.001,
        learning_rate_power=-0.5,
        initial_accumulator_value=0.1,
        l1_regularization_strength=0.0,
        l2_regularization_strength=0.0,
        l2_shrinkage_regularization_strength=0.0,
        beta=0.0,
        **kwargs,
    ):
        super().__init__(learning_rate, **kwargs)
        check_number("Ftrl", "learning_rate_power", learning_rate_power, float("-inf"), 0.0)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        for name in ("initial_accumulator_value", *(n for n in vars(self) if "_strength" in n)):
            check_number("Ftrl", name, getattr(self, name))

    def build(self, variables) -> None:
        """Make the slots: n and z for each weight."""
        if self.built:
            return
        from ..initializers import Constant

        super().build(variables)
        self._accumulators, self._linears = self.add_optimizer_variables(
            variables,
            ["accumulator", "linear"],
            [Constant(self.initial_accumulator_value), "zeros"],
        )

    def _rule(self, kind, learning_rate):
        l2 = self.l2_regularization_strength
        numbers = {
            "learning_rate": learning_rate,
            "exponent": -self.learning_rate_power,
            "l1": self.l1_regularization_strength,
            "l2": l2 + self.beta / (2 * learning_rate) if self.beta else l2,
            "shrinkage": self.l2_shrinkage_regularization_strength,
        }
        return rules.ftrl, (self._accumulators, self._linears), numbers
