"""Rows added where numbers say."""

from __future__ import annotations

from . import kernel


@kernel("out")
def add_rows(x, places, out):
    """Add the rows of `x` (N, W) to those of `out` that `places` (N,; unsigned) name."""
    for i in range(x.shape[0]):
        place = places[i]
        for c in range(x.shape[1]):
            out[place, c] += x[i, c]
