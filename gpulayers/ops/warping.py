"""Images read at other places and in other colours, in one pass: what augmentation consists of."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Abstract, devices, dtypes, namespace, plain, primitive
from ..arrays.short_floats import cast
from .calling import floats
from .image_layout import batch_of

ORDERS = {"nearest": 0, "bilinear": 1}


class Geometry(NamedTuple):
    """Where the pixels of a batch of images are read.

    matrix: (N, 3, 3) float32 on the CPU. Pixel (x, y) of result i is read at (u / w, v / w), with
        (u, v, w) = matrix[i] (x, y, 1).
    exact: whether these places are pixels of the images, so that nothing is interpolated: flips
        and crops.
    size: (height, width) of the results; None for that of the images.
    interpolation, fill_mode, fill_value: as for `ops.image.affine_transform`.
    """

    matrix: Any
    exact: bool = False
    size: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    fill_mode: str = "constant"
    fill_value: float = 0.0


class Colour(NamedTuple):
    """What becomes of each pixel of a batch of images of C channels.

    matrix: (N, C, C + 1) float32 on the CPU: colour c becomes matrix[i, :, :C] c + matrix[i, :, C].
    low, high: what results are clipped to; None not to clip.
    mean: None, or (N,) float32: mean[i] times the mean colour of image i, before this, is added.
    """

    matrix: Any
    low: float | None = None
    high: float | None = None
    mean: Any = None


def _triangle(index, size):
    """Back and forth between 0 and size - 1, without repeating the ends."""
    last = size - 1
    if last == 0:
        return index * 0
    return abs((index + last) % (2 * last) - last)


FIXES = {  # Where in the array an index outside of it is read.
    "constant": lambda index, size: namespace(index).clip(index, 0, size - 1),
    "nearest": lambda index, size: namespace(index).clip(index, 0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _triangle,
    "reflect": lambda index, size: (_triangle(2 * index + 1, 2 * size + 1) - 1) // 2,
}


def sampled(rows, places, sizes, order: int, fill_mode: str, fill_value):
    """The rows (elements, C) of an array of `sizes` at places; gives (..., C)."""
    xp, dtype = namespace(rows, *places), dtypes.name(rows.dtype)
    wide = rows if dtypes.is_floating(rows) else cast(rows, floats(places[0]))
    corners = [_nearest(xp, p) if order == 0 else _around(xp, p) for p in places]
    total = None
    for choice in product(*corners):
        place, inside, weight = 0, None, None
        for (index, share), size in zip(choice, sizes, strict=True):
            place = place * size + FIXES[fill_mode](index, size)
            within = (index >= 0) & (index < size)
            inside = within if inside is None else inside & within
            if share is not None:
                weight = share if weight is None else weight * share
        shape = place.shape
        part = xp.take(wide, xp.reshape(place, (-1,)), axis=0)
        part = xp.reshape(part, (*shape, rows.shape[1]))
        if fill_mode == "constant":
            part = xp.where(xp.expand_dims(inside, axis=-1), part, float(fill_value))
        part = part if weight is None else part * xp.expand_dims(weight, axis=-1)
        total = part if total is None else total + part
    if wide is rows:
        return total
    return cast(total if order == 0 else xp.round(total), dtype)


def _nearest(xp, place):
    """The index of the nearest element; in the middle between two, the one farther from 0."""
    whole = xp.trunc(place)
    rest = place - whole
    index = xp.astype(whole, xp.int64)
    up, down = (xp.astype(part >= 0.5, xp.int64) for part in (rest, -rest))
    return [(index + up - down, None)]


def _around(xp, place):
    """The two neighbours of a place, with their weights."""
    below = xp.floor(place)
    share = place - below
    index = xp.astype(below, xp.int64)
    return [(index, 1 - share), (index + 1, share)]


def pixels(xp, height: int, width: int, like):
    """The coordinates (y, x) of all pixels, each (height, width)."""
    where = {"dtype": like.dtype, "device": devices.device_of(plain(like))}
    y = xp.reshape(xp.arange(height, **where), (height, 1))
    x = xp.reshape(xp.arange(width, **where), (1, width))
    return xp.broadcast_arrays(y, x)


def read(images, ys, xs, interpolation: str, fill_mode: str, fill_value):
    """Images (N, H, W, C) at the places (ys, xs), (N, H', W') each."""
    xp, (_, height, width, channels) = namespace(images, ys, xs), images.shape
    results = []
    for image, y, x in zip(xp.unstack(images), xp.unstack(ys), xp.unstack(xs), strict=True):
        rows = xp.reshape(image, (height * width, channels))
        order = ORDERS[interpolation]
        results.append(sampled(rows, [y, x], (height, width), order, fill_mode, fill_value))
    return xp.stack(results) if results else images


@primitive
def warped(
    images,
    matrix=None,
    colours=None,
    means=None,
    moves=None,
    *,
    size=None,
    exact=False,
    interpolation="bilinear",
    fill_mode="constant",
    fill_value=0.0,
    clips=(),
    averaged=(),
    dtype=None,
):
    """Images read at other places, then changed in colour, and rounded once.

    Args:
        images: (N, H, W, C).
        matrix: (N, 3, 3) or None, and
        size, exact, interpolation, fill_mode, fill_value: as `Geometry` has them.
        colours: (S, N, C, C + 1) or None: the matrices of S colours, one applied after the other.
        means: (S, N): their `mean`, 0 for None.
        moves: (N, 2, *size) or None: by how much farther down and to the right each pixel is read
            than `matrix` says.
        clips: S pairs (low, high).
        averaged: for each colour, whether its `mean` may be something else than 0; () if all may.
        dtype: of the result, that of the images by default. Integers are rounded and clipped to
            what it can hold.

    Gives (N, *size, C).
    """
    xp = namespace(images)
    dtype = dtypes.name(images.dtype) if dtype is None else dtype
    y = images if dtypes.name(images.dtype) in ("float32", "float64") else cast(images, "float32")
    if matrix is not None:
        height, width = size or y.shape[1:3]
        ys, xs = _places(matrix, height, width)
        if moves is not None:
            ys, xs = ys + moves[:, 0, ...], xs + moves[:, 1, ...]
        y = read(y, ys, xs, "nearest" if exact else interpolation, fill_mode, fill_value)
    for s, (low, high) in enumerate(clips):
        y = _coloured(xp, y, colours[s, ...], None if means is None else means[s, ...])
        y = y if low is None else xp.clip(y, low, high)
    return saturated(y, dtype)


def _places(matrix, height, width):
    """Where the pixels of results are read: (ys, xs), (N, height, width) each."""
    xp = namespace(matrix)
    y, x = pixels(xp, height, width, matrix)
    entry = [[xp.reshape(matrix[:, i, k], (-1, 1, 1)) for k in range(3)] for i in range(3)]
    u, v, w = (a * x + b * y + c for a, b, c in entry)
    return v / w, u / w


def _coloured(xp, images, matrix, mean):
    """Images (N, H, W, C) after a colour matrix (N, C, C + 1) and parts (N,) of the mean."""
    channels = images.shape[3]
    offset = matrix[:, None, None, :, channels]
    if mean is not None:
        middle = xp.mean(images, axis=(1, 2), keepdims=True)
        offset = middle * xp.reshape(mean, (-1, 1, 1, 1)) + offset
    by = xp.matrix_transpose(matrix[:, None, :, :channels])
    return xp.matmul(images, xp.astype(by, images.dtype)) + xp.astype(offset, images.dtype)


def saturated(y, dtype: str):
    """Floats as numbers of a dtype: rounded and within its range if it is an integer one."""
    if dtypes.is_integer(dtype):
        xp, limits = namespace(y), np.iinfo(dtype)
        y = xp.round(y)
        if limits.bits < 32:
            y = xp.clip(y, limits.min, limits.max)
    return y if dtypes.name(y.dtype) == dtype else cast(y, dtype)


@warped.shape
def _(images, *arrays, size=None, dtype=None, **options):
    n, height, width, channels = images.shape
    return Abstract((n, *(size or (height, width)), channels), dtype or images.dtype)


def warp(images, geometry=None, colours=(), dtype=None, data_format: str | None = None):
    """A batch of images, or one, read at other places and then changed in colour, in one pass.

    Args:
        images: (N, H, W, C), or channels first, or without N.
        geometry: a `Geometry`, or None to read every pixel where it is.
        colours: `Colour`s, applied one after the other.
        dtype: of the result; that of the images by default.
        data_format: `config.image_data_format()` by default.
    """
    batch, restored = batch_of("warp", images, data_format)
    home, exact = devices.home_of(plain(images)), dtypes.name(images.dtype) == "float64"

    def there(values):
        return devices.put(values.astype(np.float64 if exact else np.float32, copy=False), home)

    options = {"dtype": dtype, "clips": tuple((c.low, c.high) for c in colours)}
    matrix = matrices = means = None
    if geometry is not None:
        matrix = there(geometry.matrix)
        options |= geometry._replace(matrix=None)._asdict()
        del options["matrix"]
    if colours:
        matrices = there(np.stack([c.matrix for c in colours]))
    if any(c.mean is not None for c in colours):
        none = np.zeros(len(colours[0].matrix), np.float32)
        means = there(np.stack([none if c.mean is None else c.mean for c in colours]))
        options["averaged"] = tuple(c.mean is not None for c in colours)
    return restored(warped(batch, matrix, matrices, means, **options))
