"""The colours of NumPy images changed by matrices, with products over all pixels.

Channels that stand last are multiplied by BLAS, or all alike in one row of numbers: loops over
three channels at a time cost NumPy thirty times as much.
"""

from __future__ import annotations

import numpy as np

from . import threads

BLOCK = 1 << 17  # Numbers at a time that stay in the L2 cache.
OPERATIONS = 8  # About how many a number takes for each colour.


def recolored(images, colours, means, clips, out, work) -> None:
    """Write images (N, H, W, C), contiguous, after each colour into `out`.

    Args: see `ops.warping.warped`; `work` is the dtype to compute in.
    """
    n, height, width, channels = images.shape
    rows = max(BLOCK // (width * channels), 1)

    def some(indices):
        for i in indices:
            whole = means is not None and means[:, i].any()
            for start in range(0, height, height if whole else rows):
                part = slice(start, height if whole else start + rows)
                _recolor(images[i, part], colours[:, i], means, i, clips, out[i, part], work)

    threads.share(some, range(n), OPERATIONS * len(clips) * images.size)


def _recolor(x, matrices, means, i, clips, out, work):
    """Some rows of image `i`: each step writes where the last one has to, if its dtype is that."""
    height, width, channels = x.shape
    direct = out.dtype == work
    y = out if direct else np.empty(x.shape, work)
    x, y = x.reshape(height, -1), y.reshape(height, -1)
    if x.dtype != work:
        np.copyto(y, x, casting="unsafe")
        x = y
    for s, (low, high) in enumerate(clips):
        part = 0 if means is None else means[s, i]
        x = _colored(x, channels, matrices[s], part, y)
        if low is not None:
            x = np.clip(x, low, high, out=y)
    if not direct or x is not y:
        _write(x.reshape(height, width, channels), out)


def _colored(x, channels, matrix, part, y):
    """Rows of pixels (rows, width * C) after a colour matrix (C, C + 1): in `y`, or `x` itself."""
    across, offset = matrix[:, :channels], matrix[:, channels]
    if part:
        total = x.sum(axis=0, dtype=x.dtype).reshape(-1, channels).sum(axis=0, dtype=np.float64)
        offset = offset + part * (total * channels / x.size).astype(x.dtype)
    scale = across[0, 0]
    if np.array_equal(across, np.eye(channels, dtype=across.dtype) * scale):
        if scale != 1:
            x = np.multiply(x, x.dtype.type(scale), out=y)
    else:
        by = np.ascontiguousarray(across.T, x.dtype)
        pixels = x.reshape(-1, channels)
        pixels = pixels.copy() if x is y else pixels
        x = np.matmul(pixels, by, out=y.reshape(-1, channels)).reshape(x.shape)
    if offset.any():
        x = np.add(x, np.tile(offset.astype(x.dtype), x.shape[1] // channels), out=y)
    return x


def _write(x, out):
    if out.dtype.kind in "iu":
        limits, x = np.iinfo(out.dtype), np.rint(x)
        if limits.bits < 32:
            np.clip(x, limits.min, limits.max, out=x)
    np.copyto(out, x, casting="unsafe")
