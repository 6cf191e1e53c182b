"""Weights that shrink a little with every step."""

from __future__ import annotations

import re

from ..ops import optimizer as rules


class WeightDecay:
    """Decoupled weight decay: w - learning_rate * weight_decay * w before each update.

    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101
    """

    weight_decay = None
    _excluded: tuple = ()
    _excluded_names = None

    def exclude_from_weight_decay(self, var_list=None, var_names=None) -> None:
        """Choose the weights that do not decay.

        Args:
            var_list: Variables.
            var_names: regular expressions; a weight whose name one is found in does not decay,
                for example ["bias", "gamma"].
        """
        self._excluded = tuple(var_list or ())
        self._excluded_names = re.compile("|".join(var_names)) if var_names else None

    def _use_weight_decay(self, variable) -> bool:
        if any(variable is one for one in self._excluded):
            return False
        names = self._excluded_names
        return names is None or names.search(variable.name) is None

    def _weight_decay_of(self, variable):
        """How much this weight decays, or None."""
        return self.weight_decay

    def _apply_weight_decay(self, variables, learning_rate) -> None:
        is_one_number = type(self)._weight_decay_of is WeightDecay._weight_decay_of
        if is_one_number and self.weight_decay is None:
            return
        groups = {}
        for variable in variables:
            decay = self._weight_decay_of(variable)
            if decay is not None and self._use_weight_decay(variable):
                groups.setdefault(decay, []).append(variable)
        for decay, group in groups.items():
            self._follow_all(rules.shrink, None, group, (), rate=decay * learning_rate)
