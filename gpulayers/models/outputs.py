"""The outputs of a model: how losses, metrics, targets and weights are told which is theirs."""

from __future__ import annotations

from typing import Any

from .. import tree


class Outputs:
    """The leaves of what a model gives, in a fixed order, with a path and a name each.

    Args:
        y_pred: what the model gave: one array, or a list, tuple or dict of them, nested at will.
        names: the model's names of its outputs, or None for a model that has none.
    """

    def __init__(self, y_pred: Any, names: list[str] | None = None):
        leaves = tree.flatten_with_path(y_pred)
        self.paths = [path for path, _ in leaves]
        self.count = len(leaves)
        self.names = list(names) if names and len(names) == self.count else None
        self._structure = tree.map_structure(lambda _: "*", y_pred)
        self.indices = tree.pack_sequence_as(y_pred, range(self.count))
        self._flat = all(len(path) <= 1 for path in self.paths)
        self._keyed = isinstance(y_pred, dict)

    def label(self, index: int) -> str:
        """What messages call an output."""
        if self.names:
            return repr(self.names[index])
        return f"output{tree_place(self.paths[index])}" if self.paths[index] else "the output"

    def prefixes(self) -> list[str | None]:
        """What stands before the names of metrics: keys of a dict, else the model's names."""
        if self.count == 1:
            return [None]
        if self._flat and self._keyed:
            return [str(path[0]) for path in self.paths]
        return self.names or [None] * self.count

    def order(self) -> list[int]:
        """The outputs in the order in which metrics are reported: the model's own, if it fits."""
        keys = [path[0] for path in self.paths] if self._flat and self._keyed else None
        if keys and self.names and set(keys) == set(self.names):
            return [keys.index(name) for name in self.names]
        return list(range(self.count))

    def loss_name(self, at: Any, path: tuple, loss_name: str) -> str:
        """The name under which the loss of one output (or of a structure of them) is reported.

        Args:
            at: the index of the output, or a structure of indices.
            path: where that is.
            loss_name: stands for an output without a name.
        """
        if tree.is_nested(at):
            return "/".join(map(str, path)) or "_".join(self.names or [loss_name])
        if path and isinstance(path[-1], int):
            path = (*path[:-1], self.names[at] if self.names else loss_name)
        return "/".join(map(str, path)) or (self.names[at] if self.names else loss_name)

    def as_they_stand(self) -> list[int]:
        """All outputs, those of a dict in the order in which it has them."""
        return [self.paths.index(path) for path in _places(self._structure)]

    def by_name(self, given: Any, argument: str) -> dict[int, Any] | None:
        """The entries of a dict by the model's names of its outputs; None if it is no such dict.

        Raises ValueError for a key that is no name.
        """
        if not isinstance(given, dict) or self._keyed:
            return None
        if not self.names:
            return {0: next(iter(given.values()))} if self.count == len(given) == 1 else None
        unknown = [key for key in given if key not in self.names]
        if unknown:
            raise ValueError(
                f"compile: {argument} has the key {unknown[0]!r}, but the model's outputs are "
                f"{self.names}."
            )
        return {self.names.index(key): part for key, part in given.items()}

    def match(self, given: Any, argument: str, is_entry=lambda _: False) -> list[tuple[int, Any]]:
        """Pairs (index of an output, entry of `given`), for what `compile` got per output.

        Args:
            given: a single entry for all outputs; a list of one for each; a dict by names; or
                something nested like the outputs, where a dict may leave outputs out.
            argument: what messages call it.
            is_entry: tells that a list or dict is an entry, and not to be looked into.

        Raises ValueError if `given` does not fit the outputs.
        """
        if not tree.is_nested(given):
            return [(index, given) for index in self.as_they_stand()]
        named = self.by_name(given, argument)
        if named is not None:
            return [
                (index, _single(entry, f"{argument}{tree_place((key,))}", is_entry))
                for key, (index, entry) in zip(given, named.items(), strict=True)
            ]
        if not tree.is_nested(self._structure):
            given = given if isinstance(given, (list, tuple)) else list(given.values())
            self._check_count(given, argument)
            return [(0, _single(given[0], argument, is_entry))]
        shallow = not isinstance(given, dict) and all(
            is_entry(part) or not tree.is_nested(part) for part in given
        )
        if shallow and (self._flat or len(given) == self.count):
            self._check_count(given, argument)
            return list(enumerate(given))
        found = {}
        self._descend(given, self._structure, (), argument, is_entry, found)
        return [(self.paths.index(path), entry) for path, entry in found.items()]

    def _check_count(self, given, argument):
        if len(given) != self.count:
            self.raise_count(argument, len(given), self.count)

    def raise_count(self, argument: str, given: int, expected: int):
        """Say that `argument` has the wrong number of entries."""
        raise ValueError(
            f"compile: {argument} has {given} entries, but the model has {expected} "
            f"output{'s' if expected > 1 else ''}"
            f"{self._listed() if expected == self.count else ' there'}: give one entry for each, "
            "None where there is none."
        )

    def raise_unknown(self, argument: str, path: tuple):
        """Say that the outputs have no such place."""
        raise ValueError(
            f"compile: {argument}{tree_place(path)} can't be found in the model's output, which "
            f"has the structure {self._structure}."
        )

    def _listed(self):
        return f" {self.names}" if self.names else ""

    def _descend(self, given, structure, path, argument, is_entry, found):
        if path in self.paths and not isinstance(given, dict):
            found[path] = _single(given, f"{argument}{tree_place(path)}", is_entry)
            return
        if path in self.paths and is_entry(given):
            found[path] = given
            return
        if not tree.is_nested(given):
            if given is not None:
                for place in self.paths:
                    if place[: len(path)] == path:
                        found[place] = given
            return
        parts = given.items() if isinstance(given, dict) else enumerate(given)
        fits = tree.is_nested(structure) and isinstance(given, dict) == isinstance(structure, dict)
        for key, part in parts:
            known = fits and (key in structure if isinstance(given, dict) else key < len(structure))
            if not known:
                self.raise_unknown(argument, (*path, key))
            self._descend(part, structure[key], (*path, key), argument, is_entry, found)

    def align(self, given: Any, argument: str, wanted: list[int] | None = None) -> list:
        """The leaves of `given` in the order of the outputs, None where an output has none.

        Args:
            given: y or sample_weight: of the structure of the outputs, or a flat list in their
                order, a dict by the outputs' names, or leaves for the outputs `wanted` alone.
            argument: what messages call it.
            wanted: outputs for which there must be a leaf; all by default.

        Raises ValueError if `given` does not fit the outputs.
        """
        wanted = range(self.count) if wanted is None else wanted
        leaves = self._by_path(given)
        if leaves is None and isinstance(given, dict) and self.names:
            leaves = [given.get(name) for name in self.names]
            unknown = [key for key in given if key not in self.names]
            if unknown and len(unknown) < len(given):
                raise ValueError(
                    f"{argument} has the key {unknown[0]!r}, but the model's outputs are "
                    f"{self.names}."
                )
        if leaves is None or any(leaves[index] is None for index in wanted):
            flat = tree.flatten(given)
            if len(flat) == self.count:
                leaves = flat
            elif len(flat) == len(wanted):
                leaves = [None] * self.count
                for index, leaf in zip(wanted, flat, strict=True):
                    leaves[index] = leaf
            elif leaves is None or len(flat) > self.count:
                raise ValueError(
                    f"{argument} has the structure {tree.map_structure(lambda _: '*', given)}, but "
                    f"the model's output{self._listed()} has {self._structure}: give one array for "
                    "each output."
                )
        return leaves

    def _by_path(self, given):
        """The leaves at the outputs' own paths, None where there is none; None if it is no such."""
        if not tree.is_nested(given):
            return [given] if self.count == 1 else None
        if not isinstance(given, dict) and self._flat and len(given) != self.count:
            return None
        leaves, found = [], 0
        for path in self.paths:
            leaf = given
            for key in path:
                inside = isinstance(leaf, dict) if isinstance(key, str) else tree.is_nested(leaf)
                try:
                    leaf = leaf[key] if inside else None
                except (KeyError, IndexError):
                    leaf = None
            if tree.is_nested(leaf):
                return None
            found += leaf is not None
            leaves.append(leaf)
        return leaves if found == sum(leaf is not None for leaf in tree.flatten(given)) else None


def _places(structure, path: tuple = ()):
    """The paths of the leaves of `structure`, keys of dicts in the order in which they stand."""
    if not tree.is_nested(structure):
        yield path
        return
    parts = structure.items() if isinstance(structure, dict) else enumerate(structure)
    for key, part in parts:
        yield from _places(part, (*path, key))


def _single(given, argument, is_entry):
    """The entry of one output, which may stand in a list of its own."""
    if is_entry(given) or not isinstance(given, (list, tuple)):
        return given
    if len(given) != 1:
        raise ValueError(
            f"compile: {argument}: expected one entry for one output, got {len(given)}."
        )
    return given[0]


def tree_place(path: tuple) -> str:
    """A path as it is written in Python: ["a"][0]."""
    return "".join(f"[{key!r}]" for key in path)
