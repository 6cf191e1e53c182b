"""Parts of images cut out of NumPy arrays: each number is read once and written once."""

from __future__ import annotations

import numpy as np

from .. import jit
from ..jit import cutting as loops
from ..ops.cutting import cut, starts
from . import threads

OPERATIONS = 0.7  # That take about as long as copying a byte.


@cut.on("numpy")
def _(images, top, left, *, needs=None, size, dtype=None):
    if needs is not None or images.dtype.kind not in "buif":
        return NotImplemented
    out = empty_like(images, (len(images), *size, images.shape[3]), dtype)
    write_parts(images, top, left, out)
    return out


def write_parts(images, top, left, out) -> None:
    """Write the parts (N, height, width, C) of images that begin at (top, left)."""
    operations = OPERATIONS * out.size * (images.itemsize + out.itemsize)
    if jit.takes(out):
        planes, wide = _planes(images, out)
        if planes is not None:
            threads.divided(loops.cut, len(out), operations, *planes, top, left, wide)
            return
    height, width = out.shape[1:3]
    places = starts(images.shape, top, left, (height, width))
    if len(set(places)) == 1 and operations < threads.ENOUGH:
        y, x = places[0]
        out[...] = images[:, y : y + height, x : x + width]
        return

    def some(indices):
        for i in indices:
            y, x = places[i]
            out[i] = images[i, y : y + height, x : x + width]

    threads.share(some, range(len(out)), operations)


def _planes(images, out):
    """Both as contiguous arrays (N, planes, rows, numbers in a row), and how many numbers of a row
    a pixel has; None if their memory is in another order."""
    if images.flags.c_contiguous and out.flags.c_contiguous:
        n, height, width, channels = images.shape
        rows = images.reshape(n, 1, height, width * channels)
        return (rows, out.reshape(n, 1, out.shape[1], out.shape[2] * channels)), channels
    first = [a.transpose(0, 3, 1, 2) for a in (images, out)]
    return (first if all(a.flags.c_contiguous for a in first) else None), 1


def empty_like(images, shape, dtype):
    """Memory for results, with channels first where the images have them first."""
    n, height, width, channels = shape
    dtype = images.dtype if dtype is None else np.dtype(dtype)
    if channels > 1 and images.strides[3] > images.strides[2]:
        return np.moveaxis(np.empty((n, channels, height, width), dtype), 1, 3)
    return np.empty(shape, dtype)
