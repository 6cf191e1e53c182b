"""What plans of inference do to NumPy arrays between products: maps, sums and curves in one pass.

Arrays that nobody else needs are overwritten.  Large ones are worked on in blocks that stay in the
cache, shared by threads.
"""

from __future__ import annotations

from functools import cache
from math import prod

import numpy as np

from ..ops import activation as smooth
from ..ops import rectifier as ramps
from ..ops.convolution import convolution
from ..ops.dense import FUSED_NAMES, dense
from ..ops.pooling import max_pooling
from . import memory
from .activation import LARGEST, ONE
from .bounds import at_most
from .dense import activate, finish
from .rows import repeats
from .sliding import AXES, Geometry, geometry
from .threads import scratch, share

BLOCK = 1 << 16  # Elements: of three arrays, what a core's cache holds.
GATHERED = 1 << 15  # Elements of what windows see.
TOO_LARGE = object()
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


def applied(function):
    """Any other activation function of NumPy arrays."""
    return (function.version("numpy") if hasattr(function, "version") else None) or function


def wide(value):
    """The value of a Variable, to compute constants from."""
    return value


def there(value, dtype=None):
    """A constant, as kernels take it."""
    return value


def matrix_product(curve, options):
    """`ops.dense` with a curve: a function (x, kernel, bias, factor)."""
    version = dense.version("numpy")

    def run(x, kernel, bias, factor=None):
        if x.ndim != 2:
            return version(x, kernel, bias, activation=curve, factor=factor)
        return _finished(x.dot(kernel), bias, factor, curve)

    return run


def _finished(y, bias, factor, curve):
    if factor is not None:
        y *= factor
    if bias is not None:
        y += bias
    return y if curve is None else activate(y, curve)


def convolved(curve, options):
    """`ops.convolution` with a curve: a function (x, kernel, bias, factor).

    What windows see of small arrays comes by one table of indices, made once for each shape: all
    else that makes convolutions fast takes longer than these take.
    """
    version, forms = convolution.version("numpy"), {}

    def run(x, kernel, bias, factor=None):
        form = forms.get(x.shape)
        if form is None:
            if len(forms) > 64:
                forms.clear()
            form = forms[x.shape] = Gathered.of(x.shape, kernel.shape, options)
        if form is not TOO_LARGE:
            y = form.product(x, kernel)
            return _finished(y, bias, factor, curve).reshape(form.result)
        return version(x, kernel, bias, activation=curve, factor=factor, **options)

    return run


def widened(function, widths):
    """A function that puts margins of zeros around an array."""
    return function


def pooled(operation, options):
    """`ops.max_pooling` or `ops.average_pooling`: a function of an array.

    Small arrays without margins are gathered, as for convolutions.
    """
    version, forms, windows = operation.version("numpy"), {}, options["windows"]
    ufunc = np.maximum if operation is max_pooling else np.add
    share = 1 / prod(windows)

    def run(x):
        form = forms.get(x.shape)
        if form is None:
            if len(forms) > 64:
                forms.clear()
            channels = x.shape[-1]
            kernel = (*windows, 1, channels)
            form = Gathered.of(x.shape, kernel, {**options, "groups": channels})
            form = forms[x.shape] = TOO_LARGE if form is TOO_LARGE or form.margins else form
        if form is TOO_LARGE:
            return version(x, **options)
        y = ufunc.reduce(form.seen(x), axis=1)
        if ufunc is np.add:
            y *= share
        return y.reshape(form.result)

    return run


class Gathered:
    """Where windows find what they see, as numbers of places in x; the place behind the last one
    is for zeros."""

    def __init__(self, geo: Geometry, windows: int):
        self.geo, self.result = geo, (geo.batch, *geo.counts[AXES - windows :], geo.filters)
        self.places, self.channels = geo.batch * prod(geo.sizes), geo.channels
        index = np.arange(geo.batch).reshape(-1, *(1,) * (2 * AXES))
        inside = np.ones_like(index, bool)
        for axis in range(AXES):
            k, n, count = geo.windows[axis], geo.sizes[axis], geo.counts[axis]
            at = np.arange(count)[:, None] * geo.strides[axis] - geo.padding[axis][0]
            at = at + np.arange(k) * geo.dilations[axis]
            shape = [1] * (1 + 2 * AXES)
            shape[1 + axis], shape[1 + AXES + axis] = count, k
            at = at.reshape(shape)
            index, inside = index * n + at, inside & (at >= 0) & (at < n)
        self.margins = not inside.all()
        self.index = np.where(inside, index, self.places).reshape(-1, geo.places)

    @classmethod
    def of(cls, shape, kernel, options):
        """The form for such an x and kernel, or `TOO_LARGE`."""
        windows, groups = kernel[:-2], options.get("groups", 1)
        dilations = options.get("dilations", (1,) * len(windows))
        given = options["strides"], options["padding"], dilations
        geo = geometry(shape, windows, kernel[-1], *given, groups)
        by_channel = groups == geo.channels == geo.filters
        if geo.outputs * geo.places * geo.channels > GATHERED or not (groups == 1 or by_channel):
            return TOO_LARGE
        return cls(geo, len(windows)) if geo.outputs else TOO_LARGE

    def seen(self, x):
        """(places of the results, places of the window, channels)"""
        flat = x.reshape(self.places, self.channels)
        if self.margins:
            flat = np.empty((self.places + 1, self.channels), x.dtype)
            flat[:-1], flat[-1] = x.reshape(self.places, self.channels), 0
        return flat.take(self.index, axis=0, mode="clip")

    def product(self, x, kernel):
        """The convolution, with a row for each place."""
        geo = self.geo
        if geo.groups > 1:
            return np.einsum("pwc,wc->pc", self.seen(x), kernel.reshape(geo.places, -1))
        if geo.places == 1 and geo.outputs == self.places and not self.margins:
            return x.reshape(self.places, self.channels).dot(kernel.reshape(geo.depth, -1))
        return self.seen(x).reshape(-1, geo.depth).dot(kernel.reshape(geo.depth, -1))


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
