"""Schedule-free AdamW: an average over the course of training instead of a falling rate."""

from __future__ import annotations

from ..ops import optimizer as rules
from .adam import Moments
from .settings import check_number, with_shared_settings


class ScheduleFreeAdamW(Moments):
    """z = z - lr g / (sqrt(v) + epsilon);  x = mean of all z;  w = beta_1 x + (1 - beta_1) z.

    Args:
        learning_rate: 0.0025.
        beta_1: where between z and x gradients are taken, above 0, up to 1.
        beta_2: share of the mean of squares v that each step keeps, 0 to 1.
        epsilon: small number beside the root.
        warmup_steps: the rate rises linearly over so many steps.
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Defazio et al. 2024, https://arxiv.org/abs/2405.15682
    """

    @with_shared_settings
    def __init__(
        self,
        learning_rate=0.0025,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        warmup_steps=0,
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        if beta_1 == 0:
            raise ValueError("ScheduleFreeAdamW: beta_1 must be above 0, got 0.")
        check_number("ScheduleFreeAdamW", "warmup_steps", warmup_steps)
        self.warmup_steps = warmup_steps

    def build(self, variables) -> None:
        """Make the slots: z, which starts as the weight, and v."""
        if self.built:
            return
        super().build(variables)
        for z, variable in zip(self._momentums, variables, strict=True):
            if z is not None:
                z.assign(variable.value)

    def _rule(self, kind, learning_rate):
        numbers = self._numbers(learning_rate, warmup_steps=self.warmup_steps)
        return rules.schedule_free_adamw, self._moments, numbers
