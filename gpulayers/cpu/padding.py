"""Margins on NumPy arrays: the result is allocated once, and each margin copied into its place."""

from __future__ import annotations

import numpy as np

from ..ops.padding import REPEATING, padded, repeating_runs


@padded.on("numpy")
def _(x, *, widths, mode, value, needs=None):
    # Against the reference on 32 x 32 x 32 x 64 floats with one zero around rows and columns:
    # TIMES
    if mode != "constant" and mode not in REPEATING:
        return NotImplemented
    shape = [before + n + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True))
    out = np.full(shape, value, x.dtype) if value else np.zeros(shape, x.dtype)
    out[inside] = x
    if mode == "constant":
        return out if needs is None else (out, lambda g: (g[inside],))
    copies = list(_copies(x.shape, widths, mode))
    for to, of in copies:
        out[to] = out[of]
    if needs is None:
        return out

    def pullback(g):
        g = g.copy()
        for to, of in reversed(copies):
            spread = g[of].shape != g[to].shape  # One value went to many places.
            axis = next(i for i, part in enumerate(to) if part != slice(None))
            g[of] += g[to].sum(axis=axis, keepdims=True) if spread else g[to]
        return (g[inside],)

    return out, pullback


def _copies(shape, widths, mode):
    """(to, of) index pairs: what to copy within the result, axis after axis."""
    for axis, (size, (before, after)) in enumerate(zip(shape, widths, strict=True)):
        place, end = 0, before + size
        for start, count, step in repeating_runs(size, before, after, mode):
            to, place = slice(place, place + count), place + count
            if before <= to.start < end and step == 1:
                continue  # The array itself.
            first = before + start
            if step == 0:
                of = slice(first, first + 1)
            else:
                stop = first + step * count
                of = slice(first, stop if stop >= 0 else None, step)
            lead = (slice(None),) * axis
            yield (*lead, to), (*lead, of)
