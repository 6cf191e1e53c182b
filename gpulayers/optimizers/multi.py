"""Several optimizers in one, each for its own weights."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from .. import registry
from .loss_scale import LossScaleOptimizer
from .optimizer import Optimizer


class OptimizerMap(MutableMapping):
    """Which optimizer serves which weights: paths, or regular expressions for whole paths.

    Args:
        default_optimizer: for weights that nothing else matches.
        optimizer_map: a dict from paths or expressions to optimizers.

    Looking up a path gives its own entry, else the one expression that matches all of it, else the
    default.  Raises TypeError for other kinds, and for optimizers that wrap others; ValueError for
    a key set twice, and a path that several expressions match.
    """

    def __init__(self, default_optimizer, optimizer_map=None):
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(
                "OptimizerMap: default_optimizer must be an Optimizer, got "
                f"{type(default_optimizer).__name__}."
            )
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise TypeError(
                f"OptimizerMap: optimizer_map must be a dict, got {type(optimizer_map).__name__}."
            )
        self._default_optimizer = default_optimizer
        self._optimizer_map = {} if optimizer_map is None else optimizer_map

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer for weights that nothing else matches."""
        return self._default_optimizer

    def __getitem__(self, path):
        if path in self._optimizer_map:
            return self._optimizer_map[path]
        matching = [key for key in self._optimizer_map if re.fullmatch(key, path)]
        if len(matching) > 1:
            raise ValueError(f"OptimizerMap: {path} matches several keys: {', '.join(matching)}.")
        return self._optimizer_map[matching[0]] if matching else self._default_optimizer

    def __setitem__(self, key, optimizer):
        if not isinstance(key, str):
            raise TypeError(f"OptimizerMap: keys must be strings, got {key!r}.")
        if key in self._optimizer_map:
            raise ValueError(f"OptimizerMap: {key!r} is set already.")
        _check_inner("OptimizerMap", key, optimizer)
        self._optimizer_map[key] = optimizer

    def __delitem__(self, key):
        del self._optimizer_map[key]

    def __len__(self):
        return len(self._optimizer_map)

    def __iter__(self):
        return iter(self._optimizer_map)

    def __call__(self, variable) -> Optimizer:
        """The optimizer of a weight, by its path."""
        return self[variable.path]

    def get_config(self) -> dict:
        """What `from_config` needs to make such a map again."""
        return {
            "default_optimizer": registry.serialize(self._default_optimizer),
            "optimizer_map": registry.serialize(self._optimizer_map),
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        """The map that `get_config` described."""
        from . import deserialize

        entries = config["optimizer_map"].items()
        return cls(
            deserialize(config["default_optimizer"], custom_objects),
            {key: deserialize(one, custom_objects) for key, one in entries},
        )


class MultiOptimizer(Optimizer):
    """Gives each weight to the optimizer that is chosen for it.

    Args:
        optimizer_map: an `OptimizerMap`, or a function that takes a weight and gives its optimizer.
        loss_scale_factor: for all of them, instead of their own.
        name: the class's name in snake case by default.

    It has no learning rate: each of `optimizers` has its own.
    Raises TypeError, when built, for weights without an optimizer or with one that wraps others.
    """

    def __init__(self, optimizer_map, loss_scale_factor=None, name=None):
        self._inner_optimizers = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._optimizer_map = optimizer_map
        known = list(optimizer_map.values()) if hasattr(optimizer_map, "values") else []
        known.append(getattr(optimizer_map, "default_optimizer", None))
        for optimizer in known:
            if optimizer is not None:
                self._index_of(optimizer)

    def _index_of(self, optimizer) -> int:
        """The place of an optimizer among `optimizers`, to which it is added if it is new."""
        for i, known in enumerate(self._inner_optimizers):
            if known is optimizer:
                return i
        optimizer.loss_scale_factor = self.loss_scale_factor
        self._inner_optimizers.append(optimizer)
        return len(self._inner_optimizers) - 1

    def build(self, variables) -> None:
        """Choose an optimizer for each of the weights, and build them all."""
        if self.built:
            return
        chosen = []
        for variable in variables:
            optimizer = self._optimizer_map(variable)
            _check_inner("MultiOptimizer", variable.path, optimizer)
            chosen.append(self._index_of(optimizer))
        for i, optimizer in enumerate(self._inner_optimizers):
            own = [v for v, place in zip(variables, chosen, strict=True) if place == i]
            if own:
                optimizer.build(own)
        self._chosen = chosen
        super().build(variables)

    def _shares(self, variables, grads=None):
        """For each optimizer, its part of the variables and of the gradients."""
        shares = [([], []) for _ in self._inner_optimizers]
        for i, variable in enumerate(variables):
            own, pulls = shares[self._chosen[self._get_variable_index(variable)]]
            own.append(variable)
            if grads is not None:
                pulls.append(grads[i])
        return shares

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers: those of the map, its default, then those that the function gave."""
        return self._inner_optimizers

    @property
    def variables(self):
        """Its own Variables, then those of all optimizers."""
        return [*self._variables, *(v for one in self._inner_optimizers for v in one.variables)]

    @property
    def learning_rate(self):
        """Raises AttributeError: each optimizer has its own."""
        raise AttributeError(
            f"{self.name}: it has no learning rate; each of its optimizers has its own."
        )

    @learning_rate.setter
    def learning_rate(self, rate):
        raise AttributeError(
            f"{self.name}: it has no learning rate; set that of one of its optimizers."
        )

    @property
    def loss_scale_factor(self):
        """The factor of all optimizers."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor):
        self._loss_scale_factor = factor
        for optimizer in self._inner_optimizers:
            optimizer.loss_scale_factor = factor

    def apply(self, grads, trainable_variables=None) -> None:
        """Make one step with all optimizers: see `Optimizer.apply`."""
        grads = list(grads)
        if not grads:
            return
        variables = self._variables_for(grads, trainable_variables)
        self._move(variables[0].home)
        shares = self._shares(variables, grads)
        for optimizer, (own, pulls) in zip(self._inner_optimizers, shares, strict=True):
            if own:
                optimizer.counts_on_device = self.counts_on_device
                optimizer.apply(pulls, own)
        self._count.increment()

    def _disown(self) -> None:
        for optimizer in self._inner_optimizers:
            optimizer._disown()

    def finalize_variable_values(self, var_list) -> None:
        """As each optimizer does with its weights."""
        self._check_known(var_list)
        for optimizer, (own, _) in zip(self._inner_optimizers, self._shares(var_list), strict=True):
            if own:
                optimizer.finalize_variable_values(own)

    def get_config(self) -> dict:
        """What `from_config` needs to make such an optimizer again."""
        return {
            "optimizer_map": registry.serialize(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        """The optimizer that `get_config` described."""
        chosen = registry.deserialize(config["optimizer_map"], custom_objects, kind="optimizers")
        return cls(**{**config, "optimizer_map": chosen})


def _check_inner(who: str, key: str, optimizer) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{who}: expected an Optimizer for {key!r}, got {type(optimizer).__name__}."
        )
    if isinstance(optimizer, (LossScaleOptimizer, MultiOptimizer)):
        raise TypeError(f"{who}: {key!r} cannot be served by a {type(optimizer).__name__}.")
