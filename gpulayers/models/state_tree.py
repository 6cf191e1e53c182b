"""The whole state of a model as nested dictionaries of arrays."""

from __future__ import annotations

import numpy as np

_KINDS = (
    "trainable_variables",
    "non_trainable_variables",
    "optimizer_variables",
    "metrics_variables",
)


class StateTree:
    """What makes a model's state one value: mixin of `Model`."""

    def _variables_of(self, kind: str) -> list:
        if kind == "optimizer_variables":
            return [] if self.optimizer is None else self.optimizer.variables
        return getattr(self, kind)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict:
        """All variables by kind and by the parts of their paths.

        Args:
            value_format: "backend_tensor" for the arrays as they are, "numpy_array" for copies.

        Returns {"trainable_variables": {"dense": {"kernel": ..., "bias": ...}},
        "non_trainable_variables": ..., "optimizer_variables": ..., "metrics_variables": ...}.
        Raises ValueError for another format, and if two variables have one path.
        """
        if value_format not in ("backend_tensor", "numpy_array"):
            raise ValueError(
                "get_state_tree: value_format must be 'backend_tensor' or 'numpy_array', got "
                f"{value_format!r}."
            )
        plain = value_format == "backend_tensor"
        state = {}
        for kind in _KINDS:
            state[kind] = level = {}
            for path, variable in _by_path(self._variables_of(kind)).items():
                *folders, name = path.split("/")
                place = level
                for folder in folders:
                    place = place.setdefault(folder, {})
                place[name] = variable.value if plain else variable.numpy()
        return state

    def set_state_tree(self, state_tree: dict) -> None:
        """Take values from what `get_state_tree` gave, or from a part of it.

        Raises ValueError for what the model does not have, and for other shapes; then nothing is
        changed.
        """
        pairs = []
        for kind, level in state_tree.items():
            if kind not in _KINDS:
                raise ValueError(f"set_state_tree: unknown key {kind!r}; known are {_KINDS}.")
            known = _by_path(self._variables_of(kind))
            for path, value in _leaves(level):
                if path not in known:
                    raise ValueError(
                        f"set_state_tree: model {self.name!r} has no variable {path!r} among its "
                        f"{kind}: {sorted(known)}."
                    )
                variable = known[path]
                if tuple(np.shape(value)) != variable.shape:
                    raise ValueError(
                        f"set_state_tree: {path} has the shape {variable.shape}, got "
                        f"{tuple(np.shape(value))}."
                    )
                pairs.append((variable, value))
        for variable, value in pairs:
            variable.assign(value)


def _by_path(variables) -> dict:
    found = {}
    for variable in variables:
        if variable.path in found:
            raise ValueError(
                f"the variable path {variable.path!r} is there twice: give the layers, metrics or "
                "losses unique names."
            )
        found[variable.path] = variable
    return found


def _leaves(level, path=()):
    if isinstance(level, dict):
        for name, part in level.items():
            yield from _leaves(part, (*path, name))
    else:
        yield "/".join(path), level
