"""Dropout with a mask."""

from __future__ import annotations

from . import kernel


@kernel("y")
def drop(x, kept, y, factor):
    """x factor where `kept`, else 0, also for NaN."""
    for i in range(len(y)):
        y[i] = x[i] * factor if kept[i] else x.dtype.type(0)
