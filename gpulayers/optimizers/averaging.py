"""Moving averages of the weights, which often generalise better than the weights themselves."""

from __future__ import annotations

from ..arrays import Variable, namespace
from ..ops import optimizer as rules
from .clock import Clock


class Averages(Clock):
    """Keeps the average of each weight, and lets the weights take its value.

    average = momentum * average + (1 - momentum) * weight; the first step takes the weight itself.
    Source: Polyak and Juditsky 1992, https://doi.org/10.1137/0330046
    """

    use_ema = False
    ema_momentum = 0.99
    ema_overwrite_frequency: int | None = None
    _averages: list[Variable | None]

    def _average(self) -> None:
        """Take the weights of this step into the averages, and give them back when it is time."""
        made, momentum = self._updates_made(), self.ema_momentum
        if type(made) is int:
            momentum = momentum if made else 0.0
        else:
            xp = namespace(made)
            momentum = xp.astype(made != 0, xp.float32) * momentum
        kept = [v for v in self._trainable_variables if not v.overwrite_with_gradient]
        averages = [self._averages[self._get_variable_index(v)] for v in kept]
        values = [v._value for v in kept]
        self._follow_all(rules.moving_average, values, averages, (), momentum=momentum)
        every = self.ema_overwrite_frequency
        if every:
            self._choose((made + 1) % every == 0, self._take_averages, lambda: None)

    def _take_averages(self) -> None:
        self.finalize_variable_values(self._trainable_variables)

    def finalize_variable_values(self, var_list) -> None:
        """With `use_ema`, give the weights their averages' values; `fit` does so at its end.

        Raises ValueError for weights that the optimizer was not built with.
        """
        if not self.use_ema:
            return
        self._check_known(var_list)
        for variable in var_list:
            average = self._averages[self._get_variable_index(variable)]
            if average is not None:
                variable.assign(average)
