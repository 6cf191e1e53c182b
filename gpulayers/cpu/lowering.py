"""Convolution of few channels as products with lowered rows.

For each column of the results, what windows see of each row lies in a piece; the windows of rows
that follow each other are then matrices of one array that overlap, and products read them without
copies (Cho and Brand, MEC: Memory-efficient Convolution, 2017, arXiv:1706.06873).
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .sliding import Geometry, boxes, extents, region, room_for
from .threads import available, share

BLOCK = 1 << 18  # Elements of the lowered rows that are worked on together.


def suits(geo: Geometry) -> bool:
    """Whether it can do this."""
    return geo.groups == 1 and geo.windows[0] == 1 == geo.counts[0] and geo.dilations[1] == 1


def convolve(x, kernel, geo: Geometry, out, finish) -> None:
    """See `panels.convolve`."""
    (_, high, wide), channels = geo.windows, geo.channels
    run = wide * channels
    across = geo.counts[2]
    most = max(BLOCK // (across * run * geo.strides[1]), 1)
    if geo.operations > 4e7:
        most = min(most, -(-geo.batch * geo.counts[1] // available()))
    todo = boxes((geo.batch, 1, geo.counts[1]), most)
    todo = [(*box, slice(0, across)) for box in todo]
    matrix = kernel.reshape(high * run, geo.filters)

    def work(some):
        room = np.empty(room_for(todo, geo), x.dtype)
        first = todo[0]
        rows = (first[2].stop - first[2].start - 1) * geo.strides[1] + high
        memory = np.empty((first[0].stop - first[0].start) * across * rows * run, x.dtype)
        for box in some:
            seen = region(x, box[0], extents(box, geo), room)
            n, _, rows = seen.shape[:3]
            apart, _, down, right, size = seen.strides
            shape = (n, across, rows, wide, channels)
            steps = (apart, right * geo.strides[2], down, right * geo.dilations[2], size)
            lowered = memory[: prod(shape)].reshape(shape)
            np.copyto(lowered, as_strided(seen, shape, steps))
            count, step = box[2].stop - box[2].start, size * run
            seen = as_strided(
                lowered,
                (n, count, across, high * run),
                (across * rows * step, geo.strides[1] * step, rows * step, size),
            )
            block = out[box][:, 0]
            np.matmul(seen, matrix, out=block)
            if finish is not None:
                finish(block)

    share(work, todo, geo.operations)
