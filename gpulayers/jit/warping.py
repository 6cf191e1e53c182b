"""Images cut out of larger ones, in another dtype."""

from __future__ import annotations

from . import kernel


@kernel("out")
def cut(images, places, out, first, last):
    """Rows of `out` (n, height, width * channels), which begin at `places` (n, 2) of the images."""
    wide = out.shape[2]
    for i in range(first, last):
        y, x = places[i, 0], places[i, 1]
        for row in range(out.shape[1]):
            source, to = images[i, y + row, x : x + wide], out[i, row]
            for j in range(wide):
                to[j] = source[j]
