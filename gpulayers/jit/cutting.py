"""Images cut out of larger ones, in another dtype."""

from __future__ import annotations

from . import kernel


@kernel("out")
def cut(images, out, top, left, wide, first, last):
    """Parts `out` (n, planes, rows, numbers) of images, with `wide` numbers of a row to a pixel."""
    count = out.shape[3]
    down, across = images.shape[2] - out.shape[2], images.shape[3] - count
    for i in range(first, last):
        y, x = min(max(top[i], 0), down), min(max(left[i] * wide, 0), across)
        for plane in range(out.shape[1]):
            for row in range(out.shape[2]):
                source, to = images[i, plane, y + row, x : x + count], out[i, plane, row]
                for j in range(count):
                    to[j] = source[j]
