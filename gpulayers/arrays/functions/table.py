"""The table's form: what is known of a function.

`infer(fun, *args, **kwargs)` gives the shape and dtype of the result from those of the arguments
(see `shapes.py`).  `vjp(xp, out, *args, **kwargs)` gives one pullback for each positional
argument, or None where there is no gradient; or one function that gives all gradients together.
A pullback may return a gradient that still has the broadcast shape, or another float dtype: the
tape sums and casts it.  Rules may use only functions of the array API standard, and must not
change arrays in place: while tapes nest, the arrays that they see are recorded ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Function(NamedTuple):
    """One entry of the table."""

    infer: Callable | None = None
    vjp: Callable | None = None
    variadic: bool = False  # Takes one list of arrays, as `concat` does.
    many: bool = False  # Gives a tuple of arrays, as `unstack` does.
    names: tuple[str, ...] = ()  # Array arguments that may come by keyword.
    kind: str = "array"  # Or "creation" (makes arrays), "query" (gives no array).


TABLE: dict[str, Function] = {}


def define(infer: Callable, **rules) -> None:
    """Add functions that share a shape rule: name=gradient rule, or None for no gradient."""
    for name, vjp in rules.items():
        TABLE[name.replace("__", ".")] = Function(infer, vjp)


def without_gradient(infer: Callable, names: str) -> None:
    """Add functions that share a shape rule and have no gradient."""
    define(infer, **dict.fromkeys(names.split()))
