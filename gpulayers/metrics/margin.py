"""Means of the hinge losses."""

from __future__ import annotations

from .. import losses
from .reduction import StandardMetric


class Hinge(StandardMetric):
    """The mean hinge loss; see `hinge`."""

    _direction = "down"

    def __init__(self, name="hinge", dtype=None):
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(StandardMetric):
    """The mean squared hinge loss; see `squared_hinge`."""

    _direction = "down"

    def __init__(self, name="squared_hinge", dtype=None):
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(StandardMetric):
    """The mean hinge loss between classes; see `categorical_hinge`."""

    _direction = "down"

    def __init__(self, name="categorical_hinge", dtype=None):
        super().__init__(losses.categorical_hinge, name, dtype)
