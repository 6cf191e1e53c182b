"""Update rules on NumPy weights: piece by piece where they are large, and Adam in place.

A rule written as array expressions sends each weight through memory a dozen times.  On pieces that
stay in the cache it goes through once, with temporaries of a piece's size; slots, which belong to
the optimizer alone, are written where they are.  The rules most in use are loops where Numba is
installed, whose work threads share.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from .. import jit
from ..jit import optimizer as loops
from ..ops import optimizer
from ..ops.optimizer import ALONE, power
from . import memory
from .threads import sliced

PIECE = 1 << 15  # Elements. 128 KiB of float32: with slots and temporaries, what an L2 cache holds.
COST = 20  # Operations of a product that a weight takes as long as, in a loop.


def stepped(
    rule, in_place, loop, weight, gradient, *slots, around=ALONE, free=False, **numbers
):  # fmt: skip
    """`rule` for a weight: a fresh weight, and the same slots, rewritten.

    `in_place`, if there is one, does the same on arrays that it may write; either may be given
    pieces.  `loop` makes a kernel's numbers of the rule's, and gives the kernel.  `around` is done
    in the same pass.  The weight is written into the gradient's array if that is `free`.
    """
    same_dtype = True
    for slot in slots:
        if slot is not None:
            if not (slot.flags.c_contiguous and slot.flags.writeable):
                return NotImplemented
            same_dtype = same_dtype and slot.dtype == weight.dtype
    least = 0 if around.together >= jit.LEAST else None
    if loop is not None and same_dtype and jit.takes(weight, gradient, least=least):
        new = gradient if free else memory.empty_like(weight)
        return _looped(loop, weight, gradient, slots, new, numbers, around)
    if weight.size < 4 * PIECE:
        # Sums of arrays without axes are no arrays.
        if in_place is None or not weight.shape or not same_dtype:
            return NotImplemented
        return in_place(*around.applied(weight, gradient), *slots, **numbers)
    new = gradient if free else np.empty(weight.shape, weight.dtype)
    out = new.reshape(-1)
    flat = [None if x is None else x.reshape(-1) for x in (weight, gradient, *slots)]
    for start in range(0, out.size, PIECE):
        piece = slice(start, start + PIECE)
        parts = [None if x is None else x[piece] for x in flat]
        parts[:2] = around.applied(*parts[:2])
        out[piece], *made = (in_place or rule)(*parts, **numbers)
        for part, value in zip(parts[2:], made, strict=True):
            if part is not value:
                part[...] = value
    return new, *slots


def _looped(loop, weight, gradient, slots, new, numbers, around):
    kernel, *numbers = loop(weight, **numbers)
    arrays = weight, None if new is gradient else gradient, *slots
    if kernel is loops.shrink:
        arrays = (weight,)
    else:
        numbers += around.scale, around.bound, around.decay
    flat = [None if a is None else np.ascontiguousarray(a).reshape(-1) for a in (*arrays, new)]
    numbers = [n if type(n) is bool else float(n) for n in numbers]
    sliced(kernel, COST * new.size, *flat, numbers=numbers)
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
    rate = learning_rate * correction(weight, step, beta_1, beta_2)
    np.sqrt(v if peak is None else peak, t)
    t += epsilon
    new = m * rate
    new /= t
    return np.subtract(weight, new, new), m, v, peak


def correction(weight, step, beta_1, beta_2):
    """Adam's factor of the learning rate: its means begin with 0."""
    return (1 - power(beta_2, step, weight)) ** 0.5 / (1 - power(beta_1, step, weight))


def _adam(weight, *, learning_rate, step, beta_1, beta_2, epsilon):
    rate = learning_rate * correction(weight, step, beta_1, beta_2)
    return loops.adam, rate, 1 - beta_1, 1 - beta_2, epsilon


def _rmsprop(weight, *, learning_rate, rho, momentum, epsilon):
    return loops.rmsprop, learning_rate, rho, 1 - rho, momentum, epsilon


def _momentum(weight, *, learning_rate, momentum, nesterov):
    return loops.momentum, learning_rate, momentum, bool(nesterov)


IN_PLACE = {optimizer.adam: adam}
LOOPS = {
    optimizer.adam: _adam,
    optimizer.rmsprop: _rmsprop,
    optimizer.momentum: _momentum,
    optimizer.gradient_descent: lambda weight, *, learning_rate: (
        loops.gradient_descent,
        learning_rate,
    ),
    optimizer.shrink: lambda weight, *, rate: (loops.shrink, rate),
}

for _rule in optimizer.ELEMENTWISE:
    _own = IN_PLACE.get(_rule), LOOPS.get(_rule)
    _rule.on("numpy")(partial(stepped, _rule.reference, *_own))
