"""Margins on NumPy arrays: the result is allocated once, and each margin copied into its place."""

from __future__ import annotations

import numpy as np

from ..ops.padding import REPEATING, padded, repeating_runs


@padded.on("numpy")
def _(x, *, widths, mode, value, needs=None):
    # Zeros around the rows and columns of 32 x 32 x 32 x 64 floats: 0.65 ms, the reference 1.36;
    # of 4 x 8 x 8 x 3: 6 us, the reference 14.
    if mode != "constant" and mode not in REPEATING:
        return NotImplemented
    shape = [before + n + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    inside = tuple(
        slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True)
    )
    out = np.empty(shape, x.dtype)
    out[inside] = x
    if mode == "constant":
        fill_outside(out, inside, value)
        return out if needs is None else (out, lambda g: (g[inside],))
    copies = list(_copies(x.shape, widths, mode))
    for to, of in copies:
        out[to] = out[of]
    if needs is None:
        return out

    def pullback(g):
        g = g.copy()
        for to, of in reversed(copies):
            one = of[-1].step is None  # That went to many places.
            g[of] += g[to].sum(axis=len(to) - 1, keepdims=True) if one else g[to]
        return (g[inside],)

    return out, pullback


def fill_outside(out, inside, value):
    """Put `value` everywhere but inside: writing all of it first costs a third more."""
    for axis, part in enumerate(inside):
        lead = inside[:axis]
        if part.start:
            out[(*lead, slice(part.start))] = value
        if part.stop < out.shape[axis]:
            out[(*lead, slice(part.stop, None))] = value


def _copies(shape, widths, mode):
    """(to, of) index pairs: what to copy within the result, axis after axis."""
    for axis, (size, (before, after)) in enumerate(zip(shape, widths, strict=True)):
        place, end, lead = 0, before + size, (slice(None),) * axis
        for start, count, step in repeating_runs(size, before, after, mode):
            there = min(count, end - place) if before <= place < end else 0  # The array itself.
            first, stop = (before + start + step * n for n in (there, count))
            of = (
                slice(first, stop if stop >= 0 else None, step) if step else slice(first, first + 1)
            )
            to = slice(place + there, place + count)
            if there < count:
                yield (*lead, to), (*lead, of)
            place += count
