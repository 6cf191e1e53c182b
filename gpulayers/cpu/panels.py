"""Convolution as products with panels: what windows see, copied so that each has a row.

A panel has a few hundred to some thousand rows and stays in the cache; products go straight to
their place in the result.  Any number of groups, strides and dilations.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .products import multiply
from .sliding import Geometry, boxes, extents, region, room_for, windows_over
from .threads import available, scratch, share

PANEL = 1 << 19  # Elements: 2 MiB of float32, a core's cache.
ROWS = 256  # With fewer, products read their other factor too often.
LARGEST = 1 << 21  # Elements of a panel with long rows.
SUMS = 1 << 21  # Elements of a kernel that each thread may have a gradient of.


def convolve(x, kernel, geo: Geometry, out, finish) -> None:
    """The convolution of x (batch, *sizes, C), written to `out`; `finish` changes rows of it."""
    groups, todo = geo.groups, boxes((geo.batch, *geo.counts), _rows(geo))
    matrix = kernel.reshape(geo.depth, groups, -1).transpose(1, 0, 2)

    def work(some):
        panels = Panels(x, geo, todo)
        for box in some:
            panel = panels.of(box)
            block = out[box]
            there = block.flags.c_contiguous
            shape = panel.shape[1], geo.filters
            rows = block.reshape(shape) if there else np.empty(shape, out.dtype)
            if groups == 1:
                multiply(panel[0], matrix[0], rows)
            else:
                np.matmul(panel, matrix, out=_apart(rows, groups))
            if finish is not None:
                finish(rows)
            if not there:
                block[...] = rows.reshape(block.shape)

    share(work, todo, geo.operations)


def kernel_gradient(x, g, geo: Geometry):
    """The gradient (*windows, C / groups, F) of a kernel; g is (batch, *counts, F)."""
    shape = (*geo.windows, geo.channels // geo.groups, geo.filters)
    if geo.places > 1 and prod(shape) > SUMS:  # Place by place on the first axis that has several.
        axis = next(i for i, k in enumerate(geo.windows) if k > 1)
        parts = [kernel_gradient(x, g, geo.at(axis, place)) for place in range(shape[axis])]
        return np.concatenate(parts, axis=axis)
    todo, groups = boxes((geo.batch, *geo.counts), _rows(geo)), geo.groups

    def work(some):
        panels, total, product = Panels(x, geo, todo), None, None
        for box in some:
            panel = panels.of(box)
            rows = _apart(g[box].reshape(panel.shape[1], -1), groups)
            product = np.matmul(panel.transpose(0, 2, 1), rows, out=product)
            if total is None:
                total, product = product, None
            else:
                total += product
        return total

    most = max(4 * SUMS // prod(shape), 1)
    sums = [one for one in share(work, todo, geo.operations, most, sums=True) if one is not None]
    total = sums[0]
    for one in sums[1:]:
        total += one
    return total.transpose(1, 0, 2).reshape(shape)


def _rows(geo: Geometry) -> int:
    """How many rows panels have."""
    depth = max(geo.places * geo.channels, 1)
    panel = PANEL if geo.places > 1 else 2 * PANEL  # Of one place there is often no copy.
    rows = max(panel // depth, min(ROWS, LARGEST // depth), 1)
    if geo.operations > 4e7:  # A piece for each thread.
        rows = min(rows, -(-geo.outputs // available()))
    return rows


def _apart(rows, groups: int):
    """Rows (n, C) as a matrix for each group, (groups, n, C / groups): a view."""
    n, width = rows.shape
    return rows.reshape(n, groups, width // groups).transpose(1, 0, 2)


class Panels:
    """The panels of a thread, one after another in the same memory."""

    def __init__(self, x, geo: Geometry, todo):
        self.x, self.geo = x, geo
        self.room = scratch("seen", room_for(todo, geo), x.dtype)
        rows = prod(part.stop - part.start for part in todo[0])
        self.memory = scratch("given", rows * geo.depth * geo.groups, x.dtype)

    def of(self, box):
        """What the windows of a box see, (groups, rows, depth)."""
        geo = self.geo
        seen = region(self.x, box[0], extents(box, geo), self.room)
        count = [part.stop - part.start for part in box[1:]]
        view, shape = windows_over(seen, count, geo), (geo.groups, -1, geo.depth)
        if view.flags.c_contiguous:
            return view.reshape(shape)
        panel = self.memory[: view.size]
        np.copyto(panel.reshape(view.shape), view)
        return panel.reshape(shape)
