"""Muon: for matrices, momentum made orthogonal; for all other weights, Adam."""

from __future__ import annotations

import re

from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import with_shared_settings


class Muon(RuleOptimizer):
    """w - lr rms_rate sqrt(max(rows, columns)) O, O the orthogonal matrix nearest to the momentum.

    O comes from `ns_steps` Newton-Schulz iterations x = a x + (b X + c X^2) x, X = x x^T.
    Weights that are not matrices, embeddings, and those excluded follow Adam with its own decay.

    Args:
        learning_rate: 0.001.
        adam_beta_1, adam_beta_2, epsilon: of Adam.
        adam_weight_decay: the decay of weights that follow Adam; None for none.
        weight_decay: the decay of matrices; None for none.
        exclude_layers: regular expressions; matrices whose path one is found in follow Adam.
        exclude_embeddings: matrices with "embedding" in their path follow Adam.
        muon_a, muon_b, muon_c: coefficients of the iteration.
        adam_lr_ratio: Adam's learning rate as a multiple of `learning_rate`.
        momentum: share of the momentum that each step keeps.
        ns_steps: the number of iterations.
        nesterov: take the gradient's part a step ahead.
        rms_rate: the moves' root mean square at rate 1, as Adam's are; None for no scaling.
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; scaling as in Liu et
    al. 2025, https://arxiv.org/abs/2502.16982
    """

    @with_shared_settings
    def __init__(
        self,
        learning_rate=0.001,
        adam_beta_1=0.9,
        adam_beta_2=0.999,
        adam_weight_decay=0.004,
        epsilon=1e-7,
        weight_decay=0.004,
        *,
        exclude_layers=None,
        exclude_embeddings=True,
        muon_a=3.4445,
        muon_b=-4.775,
        muon_c=2.0315,
        adam_lr_ratio=1,
        momentum=0.95,
        ns_steps=5,
        nesterov=True,
        rms_rate=0.2,
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = list(exclude_layers or ())
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def _follows_adam(self, variable) -> bool:
        if len(variable.shape) != 2:
            return True
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return True
        return any(re.search(word, variable.path) for word in self.exclude_layers)

    def _weight_decay_of(self, variable):
        return self.adam_weight_decay if self._kind(variable) == "adam" else self.weight_decay

    def build(self, variables) -> None:
        """Make the slots: a momentum for each weight, a velocity for those that follow Adam."""
        if self.built:
            return
        super().build(variables)
        self.momentums, self.adam_velocities = [], []
        for variable in variables:
            momentum = velocity = None
            if not variable.overwrite_with_gradient:
                momentum = self.add_variable_from_reference(variable, "momentum")
                if self._follows_adam(variable):
                    velocity = self.add_variable_from_reference(variable, "velocity")
            self.momentums.append(momentum)
            self.adam_velocities.append(velocity)

    def _kind(self, variable):
        velocity = self.adam_velocities[self._get_variable_index(variable)]
        return "muon" if velocity is None else "adam"

    def _rule(self, kind, learning_rate):
        if kind == "adam":
            numbers = {
                "learning_rate": learning_rate * self.adam_lr_ratio,
                "beta_1": self.adam_beta_1,
                "beta_2": self.adam_beta_2,
                "epsilon": self.epsilon,
            }
            return rules.adam, (self.momentums, self.adam_velocities, ()), numbers
        numbers = {
            "learning_rate": learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "coefficients": (self.muon_a, self.muon_b, self.muon_c),
            "iterations": self.ns_steps,
            "rms_rate": self.rms_rate,
        }
        return rules.muon, (self.momentums,), numbers
