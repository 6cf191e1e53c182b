"""RMSprop: gradients divided by the root of their mean square."""

from __future__ import annotations

from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import check_number, with_shared_settings


class RMSprop(RuleOptimizer):
    """v = rho v + (1 - rho) g^2;  w - lr g / sqrt(v + epsilon).

    Args:
        learning_rate: 0.001.
        rho: share of the mean square that each step keeps, 0 to 1.
        momentum: share of the last move that is kept.
        epsilon: small number under the root.
        centered: divide by the root of the variance, v less the squared mean of g.
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Hinton 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf;
    centred as in Graves 2013, https://arxiv.org/abs/1308.0850
    """

    @with_shared_settings
    def __init__(
        self,
        learning_rate=0.001,
        rho=0.9,
        momentum=0.0,
        epsilon=1e-7,
        centered=False,
        **kwargs,
    ):
        super().__init__(learning_rate, **kwargs)
        check_number("RMSprop", "rho", rho, 0.0, 1.0)
        check_number("RMSprop", "momentum", momentum)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def build(self, variables) -> None:
        """Make the slots: the mean square of each gradient; a move and a mean if wanted."""
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        self._momentums = self._average_gradients = []
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(variables, "average_gradient")

    def _rule(self, kind, learning_rate):
        numbers = {
            "learning_rate": learning_rate,
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
        return (
            rules.rmsprop,
            (self._velocities, self._momentums, self._average_gradients),
            numbers,
        )
