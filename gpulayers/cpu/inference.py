"""What plans of inference do to NumPy arrays between products: maps, sums and curves in one pass.

Arrays that nobody else needs are overwritten.  Large ones are worked on in blocks that stay in the
cache, shared by threads.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..ops import activation as smooth
from ..ops import rectifier as ramps
from ..ops.dense import FUSED_NAMES
from . import memory
from .activation import LARGEST, ONE
from .bounds import at_most
from .dense import activate, finish
from .normalization import repeats
from .threads import scratch, share

BLOCK = 1 << 16  # Elements: of three arrays, what a core's cache holds.
COST = 6  # Operations of a product that an element takes as long as.


def silu_(y):
    """y / (1 + exp(-y)) in place."""
    t = scratch("curve", y.size, y.dtype).reshape(y.shape)
    np.negative(y, t)
    at_most(t, LARGEST[y.dtype.char], out=t)
    np.exp(t, t)
    t += ONE
    return np.divide(y, t, y)


IN_PLACE = {ramps.relu6: "relu6", smooth.silu: silu_}


@cache
def curve(function):
    """How an activation is applied: a name that products take in, or a function of an array that
    it may overwrite; None for none."""
    if function is None:
        return None
    name = FUSED_NAMES.get(function)
    return name or IN_PLACE.get(function) or function.version("numpy")


def curved(x, curve, own: bool):
    """A curve of x, which may be overwritten if it is one's own."""
    if x.size <= BLOCK or not x.flags.c_contiguous:
        return activate(x if own else x.copy(), curve)

    def work(part, out):
        if not own:
            np.copyto(out, part)

    return _in_blocks(work, [x], curve, x if own else None)


def summed(arrays, curve, out):
    """A curve of the sum of arrays of one shape, into `out` or, if that is None, a new array."""
    first, *others = arrays
    if first.size <= BLOCK or not all(x.flags.c_contiguous for x in arrays):
        y = np.add(first, others[0], out=out)
        for x in others[1:]:
            y += x
        return y if curve is None else activate(y, curve)

    def work(*parts):
        *parts, out = parts
        np.add(parts[0], parts[1], out=out)
        for part in parts[2:]:
            out += part

    return _in_blocks(work, arrays, curve, out)


def mapped(x, factor, offset, curve, out):
    """A curve of x factor + offset (None for none), for each element of the last axis."""
    if x.size <= BLOCK or not x.flags.c_contiguous:
        y = _mapped(x, factor, offset, out)
        return y if curve is None else activate(y, curve)
    width = x.shape[-1]
    times = repeats(x.size // width, width)
    factor, offset = (None if a is None else np.tile(a, times) for a in (factor, offset))

    def work(part, out):
        view = part.reshape(-1, times * width)
        _mapped(view, factor, offset, out.reshape(view.shape))

    return _in_blocks(work, [x], curve, out, times * width)


def _mapped(x, factor, offset, out):
    if factor is None:
        return np.add(x, offset, out=out)
    y = np.multiply(x, factor, out=out)
    if offset is not None:
        y += offset
    return y


def _in_blocks(work, arrays, curve, out, of: int = 1):
    """`out`, into which work(*parts, part of it) writes, `of` elements at a time or a multiple of
    that, and a curve of it."""
    if out is None:
        out = memory.empty(arrays[0].shape, arrays[0].dtype)
    flat = [x.reshape(-1) for x in (*arrays, out)]
    size = max(BLOCK // of, 1) * of

    def run(starts):
        for start in starts:
            parts = [x[start : start + size] for x in flat]
            work(*parts)
            if curve is not None:
                finish(parts[-1], curve)

    share(run, range(0, flat[0].size, size), COST * flat[0].size)
    return out
