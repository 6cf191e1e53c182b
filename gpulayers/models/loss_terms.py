"""From what `compile(loss=..., loss_weights=...)` is given to the single losses of the sum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..arrays import plain
from ..losses import Loss
from ..metrics import Mean
from ..metrics.reduction import add
from .outputs import Outputs, tree_place


class LossTracker(Mean):
    """The mean of the losses of an epoch's batches, each weighted by its number of samples."""

    def record(self, value, samples: int) -> None:
        """Add the loss of one batch, an array of shape ()."""
        value, total = plain(value), self.total.value
        here = type(value) is type(total) or isinstance(value, np.generic)
        if here and value.shape == () and value.dtype == total.dtype:
            add(self.total, value * samples)
            add(self.count, samples)
        else:
            self.update_state(value, sample_weight=samples)


class Term(NamedTuple):
    """One loss of the sum that training makes small."""

    at: Any  # The index of its output; for a loss of several outputs, a structure of indices.
    loss: Loss
    weight: Any
    tracker: LossTracker | None

    def value(self, targets: list, predictions: list, weights: list):
        """The loss of these leaves of the outputs, not yet weighted."""
        at = self.at
        if type(at) is int:
            return self.loss(targets[at], predictions[at], weights[at])
        leaves = [weights[index] for index in tree.flatten(at)]
        one_for_all = all(leaf is leaves[0] for leaf in leaves)
        try:
            return self.loss(
                _pick(targets, at),
                _pick(predictions, at),
                leaves[0] if one_for_all else _pick(weights, at),
            )
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"compile: the loss {self.loss.name!r} was given for several outputs at once: "
                f"{error}"
            ) from error

    def weighted(self, value):
        """The value of the loss times its weight.  Raises ValueError unless it is one number."""
        if value.shape != ():
            raise ValueError(
                f"compile: the loss {self.loss.name!r} gave an array of shape "
                f"{tuple(value.shape)}, but training needs one number: give it "
                "reduction='sum_over_batch_size'."
            )
        return value if self.weight is None else value * self.weight


class Placed(NamedTuple):
    """A loss and the outputs that it is for."""

    at: Any
    path: tuple  # In the structure of the outputs.
    loss: Any
    weight: Any


def placed(outputs: Outputs, losses: Any, weights: Any) -> list[Placed]:
    """Each loss with its outputs and its weight, None where it has none.

    Args:
        outputs: of the model.
        losses, weights: what `CompileLoss` is given.

    Raises ValueError for what does not fit the outputs.
    """
    numbers = iter(range(len(tree.flatten(losses))))
    numbered = tree.map_structure(lambda _: next(numbers), losses)
    leaves, weight_of = tree.flatten(losses), _weight_of(outputs, losses, weights)
    return [
        Placed(at, path, leaves[number], weight_of(number, at))
        for number, at, path in _places(outputs, numbered)
        if leaves[number] is not None
    ]


def _places(outputs: Outputs, given) -> Iterator[tuple[int, Any, tuple]]:
    """Triples (leaf of `given`, its outputs, their path)."""
    if not tree.is_nested(given):
        for index in outputs.as_they_stand():
            yield given, index, outputs.paths[index]
        return
    named = outputs.by_name(given, "loss")
    if named is not None:
        for index, part in named.items():
            yield from _descend(outputs, part, index, outputs.paths[index])
        return
    if outputs.count == 1 and not isinstance(given, dict):
        yield from _descend(outputs, given, 0, outputs.paths[0])
        return
    yield from _descend(outputs, given, outputs.indices, ())


def _descend(outputs, given, at, path):
    if not tree.is_nested(given):
        yield given, at, path
        return
    inside = tree.flatten_with_path(at)
    if isinstance(given, dict):
        for key, part in given.items():
            if not isinstance(at, dict) or key not in at:
                outputs.raise_unknown("loss", (*path, key))
            yield from _descend(outputs, part, at[key], (*path, key))
    elif not tree.is_nested(at):
        for part in given:  # Several losses of one output.
            yield from _descend(outputs, part, at, path)
    elif len(given) == len(inside) and not any(map(tree.is_nested, given)):
        for part, (rest, index) in zip(given, inside, strict=True):
            yield part, index, (*path, *rest)
    elif isinstance(at, dict) and len(given) != len(inside):
        for part in given:  # Losses that look at the whole dict.
            yield from _descend(outputs, part, at, path)
    elif not isinstance(at, dict) and len(given) <= len(at) and (path or len(given) == len(at)):
        for key, part in enumerate(given):
            yield from _descend(outputs, part, at[key], (*path, key))
    else:
        outputs.raise_count(f"loss{tree_place(path)}", len(given), len(inside))


def _weight_of(outputs: Outputs, losses, weights):
    """The function (number of a loss, its outputs) -> its weight.

    Weights nested like the losses, or as many in a flat list, belong to them in order; others
    belong to outputs.
    """
    if not tree.is_nested(weights):
        return lambda number, at: _plain_number(weights)
    named = outputs.by_name(weights, "loss_weights") if isinstance(losses, (list, tuple)) else None
    by_index = named and [named.get(index) for index in range(outputs.count)]
    flat = _in_order(losses, by_index or weights)
    if flat is not None:
        return lambda number, at: _plain_number(flat[number])
    by_output = dict(outputs.match(weights, "loss_weights"))
    return lambda number, at: _plain_number(by_output.get(tree.flatten(at)[0]))


def _in_order(losses, weights) -> list | None:
    flat = tree.flatten(weights)
    if not tree.is_nested(losses) or len(flat) != len(tree.flatten(losses)):
        return None
    try:
        tree.assert_same_structure(losses, weights)
    except ValueError:
        plain_list = isinstance(weights, (list, tuple)) and not any(map(tree.is_nested, weights))
        return flat if plain_list else None
    return flat


def _plain_number(weight):
    """NumPy's numbers would widen float32."""
    return weight.item() if isinstance(weight, np.generic) else weight


def _pick(leaves: list, at):
    return tree.map_structure(lambda index: leaves[index], at)
