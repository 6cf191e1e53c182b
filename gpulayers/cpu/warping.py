"""Images read at other places on NumPy arrays: plane by plane, in blocks that stay in cache.

A batch of 32 images of 224 x 224 x 3 bytes turned by some angle takes the reference 900 ms.
"""

from __future__ import annotations

import numpy as np

from ..ops.warping import warped
from . import threads
from .cutting import empty_like, write_parts
from .recoloring import recolored

# Pixels at a time. Steps on fewer of them would be faster on one core, but on several they would
# wait for Python's lock: 32 images of 224 x 224 x 3 in 48 ms by 2^13, and in 20 ms by 2^15.
BLOCK = 1 << 15
OPERATIONS, COPIED = 60, 5  # About how many a number of a result takes; if it is only copied.


@warped.on("numpy")
def _(
    images, matrix=None, colours=None, means=None, moves=None, *, needs=None, dtype=None, **options
):
    work = np.dtype(np.float64 if images.dtype.name == "float64" else np.float32)
    if needs is not None or images.dtype.kind not in "buif":
        return NotImplemented
    if any(a is not None and a.dtype != work for a in (matrix, moves)):
        return NotImplemented
    n, height, width, channels = images.shape
    height, width = options.get("size") or (height, width)
    out = empty_like(images, (n, height, width, channels), dtype)
    moved = matrix is not None or moves is not None
    if not moved and options.get("clips") and images[:1].flags.c_contiguous:
        recolored(images, colours, means, options["clips"], out, work)
        return out
    if options.get("exact") and not options.get("clips") and _copied(images, matrix, out):
        return out
    one = _Pass(images, matrix, colours, means, moves, out, work, **options)

    def some(indices):
        with np.errstate(all="ignore"):  # Places of a perspective may be infinitely far away.
            for i in indices:
                one.run(i)

    copied = options.get("exact", matrix is None) and not options.get("clips")
    threads.share(some, range(n), (COPIED if copied else OPERATIONS) * out.size)
    return out


def _copied(images, matrix, out) -> bool:
    """Write images that are turned over or cut; False if some reach beyond or are to be rounded."""
    if images.dtype.kind == "f" and out.dtype.kind in "iu":
        return False
    whole = matrix[:, :2].astype(np.intp)
    starts, steps = whole[:, ::-1, 2], whole.diagonal(0, 1, 2)[:, ::-1]
    stops = starts + steps * out.shape[1:3]
    for places in (starts, stops - steps):
        if places.min(initial=0) < 0 or (places >= images.shape[1:3]).any():
            return False
    if (steps == 1).all():
        write_parts(images, *starts.T.copy(), out)
        return True
    where = np.concat([starts, stops, steps], 1).tolist()

    def some(indices):
        for i in indices:
            y, x, bottom, right, down, across = where[i]
            rows = slice(y, bottom if bottom >= 0 else None, down)
            columns = slice(x, right if right >= 0 else None, across)
            if across > 0 or images.shape[3] > 4:
                out[i] = images[i, rows, columns]
                continue
            for k in range(images.shape[3]):  # Long loops instead of short ones.
                out[i, ..., k] = images[i, rows, columns, k]

    threads.share(some, range(len(out)), COPIED * out.size)
    return True


class _Pass:
    """What is done to each image of a batch."""

    def __init__(
        self,
        images,
        matrix,
        colours,
        means,
        moves,
        out,
        work,
        size=None,
        exact=False,
        interpolation="bilinear",
        fill_mode="constant",
        fill_value=0.0,
        clips=(),
        averaged=(),
    ):
        self.images, self.matrix, self.out, self.work = images, matrix, out, work
        self.colours, self.means, self.moves, self.clips = colours, means, moves, clips
        self.exact = None if matrix is None or not exact else matrix[:, :2].astype(int).tolist()
        self.nearest = exact or interpolation == "nearest"
        self.fill_mode, self.fill_value = fill_mode, work.type(fill_value)
        self.rows = max(1, BLOCK // max(out.shape[2], 1))

    def run(self, i: int) -> None:
        """Make result `i`."""
        height = self.out.shape[1]
        image = self.images[i]
        if self.exact is not None:
            image = _moved(image, self.exact[i], self.out.shape[1:3])
        sampled = self.matrix is not None and image is not None and self.exact is None
        if image is None:  # Some places are beyond the image.
            image, sampled = self.images[i], True
        if not (sampled or self.clips):
            self._copy(image, i)
            return
        if sampled:
            flat = _planes(image, self.work, not self.nearest, self.fill_mode, self.fill_value)
        whole = self.means is not None and np.any(self.means[:, i])
        step = height if whole else self.rows
        for start in range(0, height, step):
            stop = min(start + step, height)
            if sampled:
                planes = self._sampled(flat, image.shape[:2], i, start, stop)
            else:
                planes = [p.astype(self.work) for p in np.moveaxis(image[start:stop], 2, 0)]
            for s, (low, high) in enumerate(self.clips):
                part = 0 if self.means is None else self.means[s, i]
                planes = _coloured(planes, self.colours[s, i], part, low, high)
            self._write(planes, i, start, stop)

    def _copy(self, image, i):
        """The image as it is, in the dtype of the result."""
        out = self.out[i]
        if image.dtype.kind == "f" and out.dtype.kind in "iu":
            self._write([p.astype(self.work) for p in np.moveaxis(image, 2, 0)], i, 0, len(out))
        elif image.shape[2] <= 4 and image.strides[1] < 0:  # Long loops instead of short ones.
            for k in range(image.shape[2]):
                np.copyto(out[..., k], image[..., k], casting="unsafe")
        else:
            np.copyto(out, image, casting="unsafe")

    def _write(self, planes, i, start, stop):
        out = self.out[i, start:stop]
        limits = np.iinfo(out.dtype) if out.dtype.kind in "iu" else None
        for k, plane in enumerate(planes):
            if limits is not None:
                plane = np.rint(plane, out=plane)
                if limits.bits < 32:
                    plane = np.clip(plane, limits.min, limits.max, out=plane)
            np.copyto(out[..., k], plane, casting="unsafe")

    def _sampled(self, flat, sizes, i, start, stop):
        """Rows start ... stop of what is read of an image's planes, in blocks."""
        width = self.out.shape[2]
        planes = np.empty((len(flat), stop - start, width), self.work)
        for first in range(start, stop, self.rows):
            last = min(first + self.rows, stop)
            ys, xs = _places(self.matrix[i], first, last, width)
            if self.moves is not None:
                ys += self.moves[i, 0, first:last]
                xs += self.moves[i, 1, first:last]
            block = planes[:, first - start : last - start]
            if self.nearest:
                self._nearest(flat, sizes, ys, xs, block)
            else:
                self._bilinear(flat, sizes, ys, xs, block)
        return list(planes)

    def _nearest(self, flat, sizes, ys, xs, out):
        y, x = _rounded(ys), _rounded(xs)
        outside = None
        if self.fill_mode == "constant":
            outside = ~(_within(y, sizes[0]) & _within(x, sizes[1]))
        index = _fixed(y, sizes[0], self.fill_mode).astype(np.intp)
        index *= sizes[1]
        index += _fixed(x, sizes[1], self.fill_mode).astype(np.intp)
        for plane, block in zip(flat, out, strict=True):
            block[...] = plane.take(index, mode="clip")
            if outside is not None:
                block[outside] = self.fill_value

    def _bilinear(self, flat, sizes, ys, xs, out):
        """Means of the four neighbours of places, in planes that have a margin of one pixel."""
        across = sizes[1] + 2
        y, down = _below(_folded(ys, sizes[0], self.fill_mode))
        x, right = _below(_folded(xs, sizes[1], self.fill_mode))
        both = down * right
        weights = (1 - down - right + both, right - both, down - both, both)
        index = y.astype(np.intp)
        index += 1
        index *= across
        index += x.astype(np.intp)
        index += 1
        part = np.empty(ys.shape, self.work)
        for plane, block in zip(flat, out, strict=True):
            plane.take(index, mode="clip", out=block)
            block *= weights[0]
            for start, weight in zip((1, across, across + 1), weights[1:], strict=True):
                plane[start:].take(index, mode="clip", out=part)
                np.multiply(part, weight, out=part)
                block += part


def _planes(image, work, margin, fill_mode, fill_value):
    """The channels of an image, each (height * width) numbers in a row, with margins or without."""
    height, width, channels = image.shape
    planes = np.empty((channels, height + 2 * margin, width + 2 * margin), work)
    for k in range(channels):
        inner = planes[k, margin : margin + height, margin : margin + width]
        np.copyto(inner, image[..., k], casting="unsafe")
    if margin and fill_mode == "constant":
        planes[:, [0, -1]] = planes[:, :, [0, -1]] = fill_value
    elif margin:
        before, after = (-2, 1) if fill_mode == "wrap" else (1, -2)
        planes[:, 0], planes[:, -1] = planes[:, before], planes[:, after]
        planes[:, :, 0], planes[:, :, -1] = planes[:, :, before], planes[:, :, after]
    return planes.reshape(channels, -1)


def _moved(image, matrix, size):
    """A view of the image in which it is turned over or cut; None if it does not reach as far."""
    slices = []
    for axis in (0, 1):
        step, start = matrix[1 - axis][1 - axis], matrix[1 - axis][2]
        last = start + step * (size[axis] - 1)
        if not (0 <= start < image.shape[axis] and 0 <= last < image.shape[axis]):
            return None
        stop = last + step
        slices.append(slice(start, stop if stop >= 0 else None, step))
    return image[tuple(slices)]


def _places(matrix, first, last, width):
    """Where the pixels of rows first ... last are read: (ys, xs), each (rows, width)."""
    x = np.arange(width, dtype=matrix.dtype)
    y = np.arange(first, last, dtype=matrix.dtype)[:, None]
    u, v = (a * x + b * y + c for a, b, c in matrix[:2])
    if matrix[2, 0] or matrix[2, 1] or matrix[2, 2] != 1:
        w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
        u /= w
        v /= w
    return v, u


def _rounded(place):
    """The nearest whole number; in the middle between two, the one farther from 0."""
    whole = np.trunc(place)
    rest = np.subtract(place, whole, out=place)
    whole += rest >= 0.5
    whole -= rest <= -0.5
    return whole


def _within(index, size):
    return (index >= 0) & (index < size)


def _fixed(index, size, fill_mode):
    """The whole numbers (floats) `index` within 0 ... size - 1."""
    if fill_mode in ("constant", "nearest"):
        return np.minimum(np.maximum(index, 0), size - 1)
    if fill_mode == "wrap":
        return index - size * np.floor(index / size)
    end = 2 * size - 1 if fill_mode == "reflect" else 2 * size - 2
    period = end + 1 if fill_mode == "reflect" else max(end, 1)
    index = index - period * np.floor(index / period)
    return np.minimum(index, end - index)


def _folded(place, size, fill_mode):
    """Places along an axis of `size` that are within its margins, where the same is read."""
    if fill_mode == "constant":
        return np.fmin(np.fmax(place, -1, out=place), size, out=place)
    if fill_mode == "nearest":
        return np.fmin(np.fmax(place, 0, out=place), size - 1, out=place)
    if place.min(initial=0) >= 0 and place.max(initial=0) <= size - 1:
        return place
    period = {"wrap": size, "mirror": max(2 * size - 2, 1), "reflect": 2 * size}[fill_mode]
    if fill_mode == "reflect":
        place += 0.5
    turns = np.floor(place / period)
    turns *= period
    place -= turns
    if fill_mode == "wrap":
        return place
    np.minimum(place, period - place, out=place)
    if fill_mode == "reflect":
        place -= 0.5
    return place if size > 1 else np.multiply(place, 0, out=place)


def _below(place):
    """The whole numbers below places, and how far these are above them."""
    whole = np.floor(place)
    return whole, np.subtract(place, whole, out=place)


def _coloured(planes, matrix, part, low, high):
    """Planes after a colour matrix (C, C + 1), plus `part` of their means, clipped."""
    channels, made = len(planes), []
    for k in range(channels):
        total = None
        for j in range(channels):
            if matrix[k, j]:
                term = planes[j] * matrix[k, j]
                total = term if total is None else np.add(total, term, out=total)
        if total is None:
            total = np.zeros_like(planes[k])
        offset = matrix[k, channels] + (part * planes[k].mean() if part else 0)
        if offset:
            total += total.dtype.type(offset)
        if low is not None:
            np.minimum(np.maximum(total, low, out=total), high, out=total)
        made.append(total)
    return made
