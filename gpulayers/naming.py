"""Automatic names: "dense", "dense_1", ... counted for each kind of object."""

from __future__ import annotations

from collections import Counter

from .registry import to_snake_case

_counts: Counter[str] = Counter()


def auto_name(prefix: str) -> str:
    """The next unused automatic name for a class name."""
    prefix = to_snake_case(prefix)
    count = _counts[prefix]
    _counts[prefix] += 1
    return prefix if count == 0 else f"{prefix}_{count}"


def check_name(owner: str, name) -> str:
    """A name that a user gave.  Raises ValueError for what cannot be part of a path."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"{owner}: name must be a non-empty string, got {name!r}.")
    if "/" in name:
        raise ValueError(f"{owner}: name must not contain '/', got {name!r}.")
    return name


def reset() -> None:
    """Begin counting anew."""
    _counts.clear()
