"""Lamb: Adam's direction at a length proportional to the weight's, for large batches."""

from __future__ import annotations

from ..ops import optimizer as rules
from .adam import Moments
from .settings import with_shared_settings


class Lamb(Moments):
    """w - lr |w| / |d| d, with d = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon).

    Args:
        learning_rate: 0.001.
        beta_1: share of the mean m that each step keeps, 0 to 1.
        beta_2: share of the mean of squares v that each step keeps, 0 to 1.
        epsilon: small number beside the root.
        shared: the settings of all optimizers, see `Optimizer`.

    Weight decay is decoupled, as in all optimizers here; the paper's is part of d.
    Source: You et al. 2019, https://arxiv.org/abs/1904.00962
    """

    @with_shared_settings
    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)

    def _rule(self, kind, learning_rate):
        return rules.lamb, self._moments, self._numbers(learning_rate)
