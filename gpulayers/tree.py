"""Nested structures: lists, tuples, named tuples and dicts (sorted by key) of leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def is_nested(structure: Any) -> bool:
    """Whether `structure` is a list, a tuple or a dict.  None and arrays are leaves."""
    return isinstance(structure, (list, tuple, dict))


def _children(structure) -> list[tuple[Any, Any]]:
    if isinstance(structure, dict):
        try:
            keys = sorted(structure)
        except TypeError:  # Keys of several kinds have no order but their own.
            keys = list(structure)
        return [(key, structure[key]) for key in keys]
    return list(enumerate(structure))


def _rebuild(structure, parts: list):
    if isinstance(structure, dict):
        made = dict(zip((key for key, _ in _children(structure)), parts, strict=True))
        ordered = {key: made[key] for key in structure}
        return ordered if type(structure) is dict else type(structure)(ordered)
    if hasattr(structure, "_fields"):
        return type(structure)(*parts)
    return type(structure)(parts)


def leaves(structure: Any) -> Iterator[Any]:
    """The leaves of `structure`, in order."""
    if is_nested(structure):
        for _, part in _children(structure):
            yield from leaves(part)
    else:
        yield structure


class MAP_TO_NONE:
    """What the function of `traverse` gives to put None in place of a part."""


def traverse(func: Callable, structure: Any, top_down: bool = True) -> Any:
    """`structure` with each part that `func` has an answer for replaced by that answer.

    Args:
        func: a function of a part (nested or leaf); None lets the part stay as it is.
        structure: lists, tuples and dicts of leaves.
        top_down: ask about a part before those inside it, which are left out if it is replaced;
            else after them.
    """
    answer = func(structure) if top_down else None
    if answer is None:
        if is_nested(structure):
            parts = [traverse(func, part, top_down) for _, part in _children(structure)]
            structure = _rebuild(structure, parts)
        answer = None if top_down else func(structure)
    if answer is MAP_TO_NONE:
        return None
    return structure if answer is None else answer


def flatten(structure: Any) -> list:
    """The leaves of `structure` as a list."""
    return list(leaves(structure)) if is_nested(structure) else [structure]


def flatten_with_path(structure: Any) -> list[tuple[tuple, Any]]:
    """Pairs (path, leaf): a path is the tuple of keys and indices that leads to its leaf."""
    if not is_nested(structure):
        return [((), structure)]
    return [
        ((key, *path), leaf)
        for key, part in _children(structure)
        for path, leaf in flatten_with_path(part)
    ]


def map_structure(func: Callable, *structures: Any, none_is_leaf: bool = True) -> Any:
    """`func` of the corresponding leaves of equal structures, in the first one's structure.

    With `none_is_leaf=False`, None stays None and is not given to `func`.
    Raises ValueError where the structures differ.
    """
    first = structures[0]
    if not is_nested(first):
        return None if first is None and not none_is_leaf else func(*structures)
    for other in structures[1:]:
        _same_level(first, other)
    columns = [[part for _, part in _children(s)] for s in structures]
    return _rebuild(
        first,
        [
            map_structure(func, *row, none_is_leaf=none_is_leaf)
            for row in zip(*columns, strict=True)
        ],
    )


def map_structure_up_to(shallow_structure: Any, func: Callable, *structures: Any) -> Any:
    """`func` of the corresponding parts of `structures` where `shallow_structure` has its leaves.

    Raises ValueError without structures, and where one is not as deep.
    """
    if not structures:
        raise ValueError("map_structure_up_to: expected at least one structure.")
    if not is_nested(shallow_structure):
        return func(*structures)
    for other in structures:
        _same_level(shallow_structure, other)
    columns = [[part for _, part in _children(s)] for s in (shallow_structure, *structures)]
    return _rebuild(
        shallow_structure,
        [map_structure_up_to(row[0], func, *row[1:]) for row in zip(*columns, strict=True)],
    )


def lists_to_tuples(structure: Any) -> Any:
    """`structure` with every list as a tuple."""
    if not is_nested(structure):
        return structure
    parts = [lists_to_tuples(part) for _, part in _children(structure)]
    return tuple(parts) if isinstance(structure, list) else _rebuild(structure, parts)


def pack_sequence_as(structure: Any, flat_sequence: list) -> Any:
    """The leaves `flat_sequence` in the shape of `structure`.

    Raises ValueError if there are more or fewer leaves than places.
    """
    flat = list(flat_sequence)
    places = len(flatten(structure))
    if places != len(flat):
        raise ValueError(f"pack_sequence_as: the structure has {places} leaves, got {len(flat)}.")
    waiting = iter(flat)
    return map_structure(lambda _: next(waiting), structure)


def assert_same_structure(a: Any, b: Any) -> None:
    """Raises ValueError, naming the place, unless both have the same nesting."""
    if is_nested(a) or is_nested(b):
        _same_level(a, b)
        for (_, x), (_, y) in zip(_children(a), _children(b), strict=True):
            assert_same_structure(x, y)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raises ValueError unless the leaves of both have the same paths (indices and keys)."""
    first, second = ({path for path, _ in flatten_with_path(structure)} for structure in (a, b))
    if first != second:
        only = ", ".join(map(str, sorted(first ^ second, key=str)))
        raise ValueError(f"structures differ: only one of them has leaves at {only}.")


def map_shape_structure(func: Callable, structure: Any) -> Any:
    """`func` of every shape (tuple or list of whole numbers and None) inside `structure`."""
    if is_shape(structure):
        return func(tuple(structure))
    if isinstance(structure, dict):
        return {key: map_shape_structure(func, part) for key, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_shape_structure(func, part) for part in structure)
    raise ValueError(f"expected a structure of shapes, got {structure!r}.")


def is_shape(value: Any) -> bool:
    """Whether `value` is one shape rather than a structure of shapes."""
    return isinstance(value, (list, tuple)) and all(
        n is None or (hasattr(n, "__index__") and not isinstance(n, bool)) for n in value
    )


def _same_level(a, b) -> None:
    if is_nested(a) != is_nested(b) or isinstance(a, dict) != isinstance(b, dict):
        raise ValueError(f"structures differ: {type(a).__name__} against {type(b).__name__}.")
    if isinstance(a, dict) and set(a) != set(b):
        raise ValueError(f"structures differ: keys {sorted(map(str, a))}, {sorted(map(str, b))}.")
    if len(a) != len(b):
        raise ValueError(f"structures differ: {len(a)} parts against {len(b)}.")
