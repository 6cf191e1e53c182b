"""Functions that make arrays, and functions that give none."""

from __future__ import annotations

from .. import shapes
from .table import TABLE, Function

# Abstract results come from NumPy's own answer to the same call (see `abstract.py`).
for _name in "zeros ones full empty arange linspace eye asarray from_dlpack".split():
    TABLE[_name] = Function(kind="creation")

for _name in "zeros_like ones_like full_like empty_like".split():
    TABLE[_name] = Function(shapes.like)

for _name in [
    "isdtype",
    "finfo",
    "iinfo",
    "result_type",
    "can_cast",
    "broadcast_shapes",
    "__array_namespace_info__",
]:
    TABLE[_name] = Function(kind="query")
