"""Arrays as rows of their last axis: how long these are best, and the sums of columns."""

from __future__ import annotations

import numpy as np

from .threads import SUMMED, share

LONG = 1 << 13  # From this length on, an inner loop costs little to begin (0.07 microseconds, as
# long as 1000 elements take: of 2^19 in rows of 2^10 and of 2^13, 71 and 37 microseconds).
SHORT = 256  # The same for loops that are compiled.
FEW = 128  # Rows that are added up as fast one after the other.
COST = 8  # An element of what is only added up takes as long as so many operations in a product.


def repeats(rows: int, width: int, long: int = LONG) -> int:
    """How many rows may be seen as one, so that it is long: a divisor of their number."""
    k = 1
    while k * width < long and rows % (2 * k) == 0:
        k *= 2
    return k


def channel_sums(x):
    """The sums over all axes but the last."""
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) <= FEW:
        return np.add.reduce(rows, 0)
    parts = [rows[i : i + SUMMED] for i in range(0, len(rows), SUMMED)]
    ones = np.ones(min(len(rows), SUMMED), x.dtype)

    def work(some):
        return sum((ones[: len(part)] @ part for part in some), np.zeros(x.shape[-1], x.dtype))

    return sum(share(work, parts, COST * x.size, sums=True))
