"""Vocabularies in text files."""

from __future__ import annotations

from collections.abc import Iterable


def read_vocabulary(path: str) -> list[str]:
    """The lines of a text file; empty ones at its end are left out."""
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = [line.rstrip("\r") for line in file.read().split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def write_vocabulary(path: str, terms: Iterable) -> None:
    """Write a text file with a term in each line."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("\n".join(map(str, terms)))


def check_no_file(who: str, config: dict) -> None:
    """Refuse a description that would read a file: `get_config` names none."""
    if isinstance(config.get("vocabulary"), str):
        raise ValueError(
            f"{who}: a description may not name a file to be read ({config['vocabulary']!r}); give "
            "it to the constructor, or to set_vocabulary()."
        )
