"""Update rules on NumPy weights: piece by piece where they are large, and Adam in place.

A rule written as array expressions sends each weight through memory a dozen times.  On pieces that
stay in the cache it goes through once, with temporaries of a piece's size; slots, which belong to
the optimizer alone, are written where they are.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..ops import optimizer
from ..ops.optimizer import power

PIECE = 1 << 15  # Elements. 128 KiB of float32: with slots and temporaries, what an L2 cache holds.


def stepped(rule, in_place, weight, gradient, *slots, **numbers):
    """`rule` for a weight: a fresh weight, and the same slots, rewritten.

    `in_place`, if there is one, does the same on arrays that it may write; either may be given
    pieces.
    """
    same_dtype = True
    for slot in slots:
        if slot is not None:
            if not (slot.flags.c_contiguous and slot.flags.writeable):
                return NotImplemented
            same_dtype = same_dtype and slot.dtype == weight.dtype
    if weight.size < 4 * PIECE:
        # Sums of arrays without axes are no arrays.
        if in_place is None or not weight.shape or not same_dtype:
            return NotImplemented
        return in_place(weight, gradient, *slots, **numbers)
    new = np.empty(weight.shape, weight.dtype)
    out = new.reshape(-1)
    flat = [None if x is None else x.reshape(-1) for x in (weight, gradient, *slots)]
    for start in range(0, out.size, PIECE):
        piece = slice(start, start + PIECE)
        parts = [None if x is None else x[piece] for x in flat]
        out[piece], *made = (in_place or rule)(*parts, **numbers)
        for part, value in zip(parts[2:], made, strict=True):
            if part is not value:
                part[...] = value
    return new, *slots


def adam(weight, gradient, m, v, peak, *, learning_rate, step, beta_1, beta_2, epsilon):
    """`optimizer.adam`, operation by operation, with one temporary array."""
    t = gradient - m
    t *= 1 - beta_1
    m += t
    np.multiply(gradient, gradient, t)
    t -= v
    t *= 1 - beta_2
    v += t
    if peak is not None:
        np.maximum(peak, v, out=peak)
    correction = (1 - power(beta_2, step, weight)) ** 0.5 / (1 - power(beta_1, step, weight))
    np.sqrt(v if peak is None else peak, t)
    t += epsilon
    new = m * (learning_rate * correction)
    new /= t
    return np.subtract(weight, new, new), m, v, peak


IN_PLACE = {optimizer.adam: adam}

for _rule in optimizer.ELEMENTWISE:
    _rule.on("numpy")(partial(stepped, _rule.reference, IN_PLACE.get(_rule)))
