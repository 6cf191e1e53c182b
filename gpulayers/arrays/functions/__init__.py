"""The array API's functions as layers may call them: one entry each, with two rules.

Both the recording and the abstract namespace are generated from `TABLE`, so they cannot drift.
"""

from . import creation, elementwise, linear_algebra, reductions, shaping
from .table import TABLE, Function

__all__ = [
    "TABLE",
    "Function",
    "creation",
    "elementwise",
    "linear_algebra",
    "reductions",
    "shaping",
]
