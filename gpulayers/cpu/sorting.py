"""The largest elements of NumPy arrays, without sorting the others."""

from __future__ import annotations

import numpy as np

from ..ops.sorting import places_of_largest

FEW = 8  # Up to one in so many elements are found faster than all are sorted.


@places_of_largest.on("numpy")
def _(x, *, k, needs=None):
    size = x.shape[-1]
    if needs is not None or not 0 < k <= size // FEW or x.dtype.kind not in "iuf":
        return NotImplemented
    rows = x.reshape(-1, size)
    least = np.partition(rows, size - k, axis=-1)[:, size - k, None]
    chosen = ~(rows < least)  # With all NaN: of each row at least k.
    if np.count_nonzero(chosen) != len(rows) * k:  # Several are as large as the k-th, or it is NaN.
        return NotImplemented
    places = np.nonzero(chosen)[1].reshape(-1, k)[:, ::-1]
    order = np.argsort(np.take_along_axis(rows, places, 1), axis=-1, kind="stable")[:, ::-1]
    return np.take_along_axis(places, order, 1).reshape(*x.shape[:-1], k)
