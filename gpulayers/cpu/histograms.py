"""Histograms of NumPy arrays, counted."""

from __future__ import annotations

import numpy as np

from ..ops.histograms import equalized, level, running_counts, spread_evenly
from . import threads

PORTION = 1 << 17  # Numbers at a time that stay in cache.


@running_counts.on("numpy")
def _(numbers, *, bins, needs=None):
    # 150,000 numbers: 0.2 ms, sorted 2 ms.
    if needs is not None:
        return NotImplemented
    rows = len(numbers)
    places = numbers if rows == 1 else numbers + np.arange(rows)[:, None] * bins
    counts = np.bincount(places.ravel(), minlength=rows * bins)
    return counts.reshape(rows, bins).cumsum(axis=1)


@equalized.on("numpy")
def _(channel, *, bins, needs=None):
    if needs is not None or channel.size < 2 * PORTION:
        return NotImplemented
    out = np.empty(channel.shape, channel.dtype)
    rows = max(PORTION // max(channel[0, 0].size, 1), 1)
    portions = [(i, slice(start, start + rows)) for i in range(len(channel))
                for start in range(0, channel.shape[1], rows)]  # fmt: skip

    def counted(portions):
        total = np.zeros(bins, np.int64)
        for where in portions:
            places = level(np, channel[where] * (bins - 1) / 255, bins)
            total += np.bincount(places.ravel(), minlength=bins)
        return total

    counts = sum(threads.share(counted, portions, 10 * channel.size)).cumsum()
    table, spread = spread_evenly(np, counts, channel.dtype)
    if not spread:
        return channel.copy()

    def mapped(portions):
        for where in portions:
            found = level(np, channel[where] / 255 * (bins - 1), bins)
            out[where] = table.take(found)

    threads.share(mapped, portions, 10 * channel.size)
    return out
