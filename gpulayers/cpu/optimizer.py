"""Update rules on large NumPy weights, piece by piece.

A rule written as array expressions sends each weight through memory a dozen times.  On pieces that
stay in the cache it goes through once, with temporaries of a piece's size; slots, which belong to
the optimizer alone, are written where they are.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..ops import optimizer

PIECE = 1 << 15  # Elements. 128 KiB of float32: with slots and temporaries, what an L2 cache holds.


def in_pieces(rule, weight, gradient, *slots, **numbers):
    """`rule` on consecutive pieces of a weight: a fresh weight, and the same slots, rewritten."""
    if weight.size < 4 * PIECE or not all(_is_ours(s) for s in slots):
        return NotImplemented
    new = np.empty(weight.shape, weight.dtype)
    out = new.reshape(-1)
    flat = [None if x is None else x.reshape(-1) for x in (weight, gradient, *slots)]
    for start in range(0, out.size, PIECE):
        piece = slice(start, start + PIECE)
        parts = [None if x is None else x[piece] for x in flat]
        out[piece], *made = rule(*parts, **numbers)
        for part, value in zip(parts[2:], made, strict=True):
            if part is not None:
                part[...] = value
    return new, *slots


def _is_ours(slot) -> bool:
    return slot is None or (slot.flags.c_contiguous and slot.flags.writeable)


for _rule in optimizer.ELEMENTWISE:
    _rule.on("numpy")(partial(in_pieces, _rule.reference))
