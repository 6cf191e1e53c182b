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
            row, column, velocity = self._new_slots(variable)
            self._r.append(row)
            self._c.append(column)
            self._v.append(velocity)

    def _new_slots(self, variable):
        shape = variable.shape
        if len(shape) < 2:
            for _ in range(2):  # In Keras's files, rows and columns of a vector are a 0 each.
                name = variable.name
                with devices.scope(variable.home):
                    zero = Variable(0, dtype="int32", trainable=False, name=name)
                self._track_variable(zero)
            sides = (None, None)
        elif variable.overwrite_with_gradient:
            sides = (None, None)
        else:
            sides = [
                self.add_variable(part, dtype=variable.dtype, name=variable.name)
                for part in (shape[:-1], shape[:-2] + shape[-1:])
            ]
            for side in sides:
                side.move(variable.home)
        if variable.overwrite_with_gradient:
            return *sides, None
        return *sides, self.add_variable_from_reference(variable, "velocity")

    def _rule(self, kind, learning_rate):
        numbers = {
            "learning_rate": learning_rate,
            "step": self._updates_made() + 1,
            "relative_step": self.relative_step and not callable(self._learning_rate),
            "decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
        }
        return rules.adafactor, (self._r, self._c, self._v), numbers
