"""Rows combined into those of CuPy arrays, in a fixed order."""

from __future__ import annotations

from ..ops.scattering import combine
from .module import contiguous
from .scatter import can_combine, combined_rows


@combine.on("cupy")
def _(rows, places, new, *, how, needs=None):
    if needs is not None or not can_combine(rows, places) or new.dtype != rows.dtype:
        return NotImplemented  # The general rule calls this one again.
    if rows.shape[1] >= 2**31:
        return NotImplemented
    old, new = contiguous(rows), contiguous(new)
    y, start = old.copy()[None], None if how == "set" else old[None]
    combined_rows(new[None], contiguous(places), y, how.upper(), start, wrap=how == "add")
    return y[0]
