"""Histograms of NumPy arrays, counted."""

from __future__ import annotations

import numpy as np

from ..ops.histograms import running_counts


@running_counts.on("numpy")
def _(numbers, *, bins, needs=None):
    # 150,000 numbers: 0.2 ms, sorted 2 ms.
    if needs is not None:
        return NotImplemented
    rows = len(numbers)
    places = numbers if rows == 1 else numbers + np.arange(rows)[:, None] * bins
    counts = np.bincount(places.ravel(), minlength=rows * bins)
    return counts.reshape(rows, bins).cumsum(axis=1)
