"""Adafactor: for large models, whose second moments it keeps by rows and columns."""

from __future__ import annotations

from ..arrays import Variable, devices
from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import check_number, with_shared_settings


class Adafactor(RuleOptimizer):
    """w - max(epsilon_2, rms(w)) rate u, u = g / sqrt(v) scaled down to an rms of clip_threshold.

    v is the mean of g^2 with weights 1 - t^beta_2_decay; of a matrix it is kept as the product of
    its rows' and columns' means.  rate = min(learning_rate, 1 / sqrt(t)).

    Args:
        learning_rate: 0.001.
        beta_2_decay: how fast the mean forgets, below 0.
        epsilon_1: small number beside g^2.
        epsilon_2: the least size that a weight counts with.
        clip_threshold: largest root mean square of u.
        relative_step: bound the learning rate itself by 1 / sqrt(t).
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235
    """

    @with_shared_settings
    def __init__(
        self,
        learning_rate=0.001,
        beta_2_decay=-0.8,
        epsilon_1=1e-30,
        epsilon_2=1e-3,
        clip_threshold=1.0,
        relative_step=True,
        **kwargs,
    ):
        super().__init__(learning_rate, **kwargs)
        check_number("Adafactor", "beta_2_decay", beta_2_decay, float("-inf"), 0.0)
        check_number("Adafactor", "clip_threshold", clip_threshold)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def build(self, variables) -> None:
        """Make the slots: rows, columns and velocity of each weight."""
        if self.built:
            return
        super().build(variables)
        self._r, self._c, self._v = [], [], []
        for variable in variables:
            with devices.scope(variable.home):
                row, column = self._new_sides(variable)
            whole = not variable.overwrite_with_gradient
            self._r.append(row)
            self._c.append(column)
            self._v.append(
                self.add_variable_from_reference(variable, "velocity") if whole else None
            )

    def _new_sides(self, variable):
        """Rows and columns of a weight with two axes at least."""
        shape, name = variable.shape, variable.name
        if len(shape) < 2:
            for _ in range(2):  # Keras's files hold a 0 for each side that a vector does not have.
                self._track_variable(Variable(0, dtype="int32", trainable=False, name=name))
            return None, None
        if variable.overwrite_with_gradient:
            return None, None
        sides = (shape[:-1], shape[:-2] + shape[-1:])
        return [self.add_variable(side, dtype=variable.dtype, name=name) for side in sides]

    def _rule(self, kind, learning_rate):
        numbers = {
            "learning_rate": learning_rate,
            "relative_step": self.relative_step and not callable(self._learning_rate),
            "decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
        }
        return rules.adafactor, (self._r, self._c, self._v), numbers
