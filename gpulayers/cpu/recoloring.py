"""The colours of NumPy images changed by matrices, with products over all pixels.

Channels that stand last are multiplied by BLAS, or all alike in one row of numbers: loops over
three channels at a time cost NumPy thirty times as much.  What matrices are is found for all images
at once: asked for each block, that takes longer than the block (16 images made brighter: 1.1 ms).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import threads

BLOCK = 1 << 18  # Numbers at a time: with less, threads wait for Python more than for memory.
OPERATIONS = 8  # About how many a number takes for each colour.


class _Steps(NamedTuple):
    """The colours of a batch, (S, N, ...) each, in the dtype to compute in."""

    across: Any  # Matrices (C, C), turned for a product from the right.
    scale: Any  # What all channels are multiplied by, if `alike`.
    alike: Any
    offset: Any  # (C,)
    moved: Any  # Whether any offset is not 0.
    means: Any  # None, or the part of the mean that is added.
    clips: tuple


def recolored(images, colours, means, clips, out, work) -> None:
    """Write images (N, H, W, C), contiguous, after each colour into `out`.

    Args: see `ops.warping.warped`; `work` is the dtype to compute in.
    """
    n, height, width, channels = images.shape
    rows = max(BLOCK // (width * channels), 1)
    steps = _steps(colours, means, clips, channels, work)

    def some(indices):
        for i in indices:
            whole = means is not None and means[:, i].any()
            for start in range(0, height, height if whole else rows):
                part = slice(start, height if whole else start + rows)
                _recolor(images[i, part], steps, i, out[i, part], work)

    threads.share(some, range(n), OPERATIONS * len(clips) * images.size)


def _steps(colours, means, clips, channels, work):
    across, offset = colours[..., :channels], colours[..., channels]
    scale = across[..., 0, 0]
    same = across == scale[..., None, None] * np.eye(channels, dtype=colours.dtype)
    turned = np.ascontiguousarray(across.swapaxes(2, 3), work)
    moved = offset.any(axis=2).tolist()
    alike = same.all(axis=(2, 3)).tolist()
    return _Steps(turned, scale.astype(work), alike, offset, moved, means, clips)


def _recolor(x, steps, i, out, work):
    """Some rows of image `i`: each step writes where the last one has to, if its dtype is that."""
    height, width, channels = x.shape
    direct = out.dtype == work
    y = out if direct else threads.scratch("recolored", x.size, work).reshape(x.shape)
    x, y = x.reshape(height, -1), y.reshape(height, -1)
    if x.dtype != work:
        np.copyto(y, x, casting="unsafe")
        x = y
    for s, (low, high) in enumerate(steps.clips):
        x = _colored(x, channels, steps, s, i, y)
        if low is not None:
            x = np.clip(x, low, high, out=y)
    if not direct or x is not y:
        _write(x.reshape(height, width, channels), out)


def _colored(x, channels, steps, s, i, y):
    """Rows of pixels (rows, width * C) after colour `s` of image `i`: in `y`, or `x` itself."""
    offset, moved = steps.offset[s, i], steps.moved[s][i]
    if steps.means is not None and steps.means[s, i]:
        total = x.sum(axis=0, dtype=x.dtype).reshape(-1, channels).sum(axis=0, dtype=np.float64)
        offset = offset + steps.means[s, i] * (total * channels / x.size).astype(x.dtype)
        moved = True
    if steps.alike[s][i]:
        scale = steps.scale[s, i]
        if scale != 1:
            x = np.multiply(x, scale, out=y)
    else:
        pixels = x.reshape(-1, channels)
        pixels = pixels.copy() if x is y else pixels
        x = np.matmul(pixels, steps.across[s, i], out=y.reshape(-1, channels)).reshape(x.shape)
    if moved:
        first = offset[0]  # Rows of numbers would take twice as long to add as one number does.
        row = first if (offset == first).all() else np.tile(offset, x.shape[1] // channels)
        x = np.add(x, row.astype(x.dtype), out=y)
    return x


def _write(x, out):
    if out.dtype.kind in "iu":
        limits, x = np.iinfo(out.dtype), np.rint(x)
        if limits.bits < 32:
            np.clip(x, limits.min, limits.max, out=x)
    np.copyto(out, x, casting="unsafe")
