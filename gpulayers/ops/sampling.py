"""Images read at other places: moved, turned, bent."""

from __future__ import annotations

from itertools import product

from ..arrays import as_array, dtypes, namespace, random
from ..arrays.seeds import draw_seed
from ..arrays.short_floats import cast
from .calling import array_function, as_floats, floats
from .filtering import gaussian_blur
from .image_layout import batch_of
from .linalg import solve

__all__ = ["affine_transform", "elastic_transform", "map_coordinates", "perspective_transform"]

ORDERS = {"nearest": 0, "bilinear": 1}


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


@array_function("inputs", "coordinates")
def map_coordinates(inputs, coordinates, order: int, fill_mode: str = "constant", fill_value=0.0):
    """The elements of an array at places between its own.

    Args:
        inputs: an array of rank R. Integers are rounded after interpolation.
        coordinates: (R, ...), the indices of the places, which may be fractions.
        order: 0 for the nearest element, 1 for linear interpolation.
        fill_mode: what lies outside: "constant" for `fill_value`, "nearest" for the edge, "wrap"
            for the other end, "mirror" for the reflection without the edge, "reflect" with it.

    Gives an array of the shape of one of the coordinates. Raises ValueError for another mode,
    order or number of coordinates.
    """
    if fill_mode not in FIXES:
        raise ValueError(
            f"map_coordinates: fill_mode must be one of {', '.join(FIXES)}, got {fill_mode!r}."
        )
    if order not in (0, 1):
        raise ValueError(f"map_coordinates: order must be 0 or 1, got {order!r}.")
    if coordinates.ndim < 2 or coordinates.shape[0] != inputs.ndim:
        raise ValueError(
            f"map_coordinates: coordinates must have the shape ({inputs.ndim}, ...) for inputs of "
            f"the shape {tuple(inputs.shape)}, got {tuple(coordinates.shape)}."
        )
    xp = namespace(inputs, coordinates)
    flat = xp.reshape(inputs, (-1, 1))
    places = xp.unstack(as_floats(coordinates)[1])
    return _sampled(flat, places, inputs.shape, order, fill_mode, fill_value)[..., 0]


def _sampled(rows, places, sizes, order, fill_mode, fill_value):
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
    return [(xp.astype(xp.round(place), xp.int64), None)]


def _around(xp, place):
    """The two neighbours of a place, with their weights."""
    below = xp.floor(place)
    share = place - below
    index = xp.astype(below, xp.int64)
    return [(index, 1 - share), (index + 1, share)]


def _pixels(xp, height, width, like):
    """The coordinates (y, x) of all pixels, each (height, width)."""
    y = xp.reshape(xp.arange(height, dtype=like.dtype), (height, 1))
    x = xp.reshape(xp.arange(width, dtype=like.dtype), (1, width))
    return xp.broadcast_arrays(y, x)


def _read(images, ys, xs, interpolation, fill_mode, fill_value):
    """Images (N, H, W, C) at the places (ys, xs), (N, H', W') each."""
    xp, (_, height, width, channels) = namespace(images, ys, xs), images.shape
    results = []
    for image, y, x in zip(xp.unstack(images), xp.unstack(ys), xp.unstack(xs), strict=True):
        rows = xp.reshape(image, (height * width, channels))
        order = ORDERS[interpolation]
        results.append(_sampled(rows, [y, x], (height, width), order, fill_mode, fill_value))
    return xp.stack(results)


def _require(who, interpolation, fill_mode="constant"):
    if interpolation not in ORDERS:
        raise ValueError(
            f"{who}: interpolation must be 'nearest' or 'bilinear', got {interpolation!r}."
        )
    if fill_mode not in FIXES:
        raise ValueError(f"{who}: fill_mode must be one of {', '.join(FIXES)}, got {fill_mode!r}.")


def _per_image(xp, values, count, rank):
    """One set of parameters for each of `count` images, from one set or as many."""
    values = xp.expand_dims(values, axis=0) if values.ndim == rank else values
    return xp.broadcast_to(values, (count, *values.shape[1:]))


def _column(xp, parameters, k):
    return xp.reshape(parameters[:, k], (-1, 1, 1))


@array_function("images", "transform")
def affine_transform(
    images,
    transform,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value=0,
    data_format: str | None = None,
):
    """Images moved, turned, stretched and sheared.

    Args:
        images: one image or a batch.
        transform: (8,), or (N, 8) for each image: a0, a1, a2, b0, b1, b2 and two zeros. Pixel
            (x, y) of the result is read at (a0 x + a1 y + a2, b0 x + b1 y + b2).
        interpolation: "nearest" or "bilinear".
        fill_mode, fill_value: what lies outside, as for `map_coordinates`.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other names and ranks.
    """
    _require("affine_transform", interpolation, fill_mode)
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise ValueError(
            "affine_transform: transform must have the shape (8,) or (N, 8), got "
            f"{tuple(transform.shape)}."
        )
    batch, restored = batch_of("affine_transform", images, data_format)
    xp, transform = as_floats(transform)
    n, height, width, _ = batch.shape
    parameters = _per_image(xp, transform, n, 1)
    y, x = _pixels(xp, height, width, parameters)
    a0, a1, a2, b0, b1, b2 = (_column(xp, parameters, k) for k in range(6))
    ys, xs = b0 * x + b1 * y + b2, a0 * x + a1 * y + a2
    return restored(_read(batch, ys, xs, interpolation, fill_mode, fill_value))


@array_function("images", "start_points", "end_points")
def perspective_transform(
    images,
    start_points,
    end_points,
    interpolation: str = "bilinear",
    fill_value=0,
    data_format: str | None = None,
):
    """Images seen from another place: four points move to four others, straight lines stay so.

    Args:
        images: one image or a batch.
        start_points, end_points: (4, 2), or (N, 4, 2) for each image: points (x, y).
        interpolation: "nearest" or "bilinear".
        fill_value: what lies outside.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for another name, rank or number of points.
    """
    _require("perspective_transform", interpolation)
    shape = tuple(start_points.shape)
    if shape[-2:] != (4, 2) or len(shape) > 3 or shape != tuple(end_points.shape):
        raise ValueError(
            "perspective_transform: the points must have the shape (4, 2) or (N, 4, 2), both the "
            f"same, got {shape} and {tuple(end_points.shape)}."
        )
    batch, restored = batch_of("perspective_transform", images, data_format)
    xp = namespace(start_points, end_points)
    n, height, width, _ = batch.shape
    ends = (_per_image(xp, as_floats(p)[1], n, 2) for p in (start_points, end_points))
    parameters = _homography(xp, *ends)
    y, x = _pixels(xp, height, width, parameters)
    a0, a1, a2, b0, b1, b2, c0, c1 = (_column(xp, parameters, k) for k in range(8))
    distance = c0 * x + c1 * y + 1
    xs, ys = (a0 * x + a1 * y + a2) / distance, (b0 * x + b1 * y + b2) / distance
    return restored(_read(batch, ys, xs, interpolation, "constant", fill_value))


def _homography(xp, start, end):
    """The 8 parameters of the maps (x, y) -> (a.(x, y, 1), b.(x, y, 1)) / (c.(x, y) + 1).

    They take the points `end` (N, 4, 2) to `start`: two linear equations for each point.
    """
    equations, targets = [], []
    zero = xp.zeros_like(end[:, 0, 0])
    for i in range(4):
        x, y = end[:, i, 0], end[:, i, 1]
        point = [x, y, xp.ones_like(x)]
        for k in range(2):
            target = start[:, i, k]
            row = [*point, zero, zero, zero] if k == 0 else [zero, zero, zero, *point]
            equations.append(xp.stack([*row, -target * x, -target * y], axis=-1))
            targets.append(target)
    return solve(xp.stack(equations, axis=1), xp.stack(targets, axis=1))


@array_function()
def elastic_transform(
    images,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed=None,
    data_format: str | None = None,
):
    """Images bent at random, all channels of one alike.

    Each pixel is read as far off as normal noise of the deviation `sigma`, blurred over `sigma`
    pixels, times `alpha` says. Simard, Steinkraus and Platt, "Best practices for convolutional
    neural networks applied to visual document analysis", 2003.

    Args:
        images: one image or a batch.
        interpolation, fill_mode, fill_value: as for `affine_transform`.
        seed: an integer or a SeedGenerator; by default the global one is drawn from.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other names and ranks.
    """
    _require("elastic_transform", interpolation, fill_mode)
    batch, restored = batch_of("elastic_transform", images, data_format)
    xp, sigma = namespace(batch), float(sigma)
    n, height, width, _ = batch.shape
    noise = random.normal((n, height, width, 2), stddev=sigma, seed=draw_seed(seed))
    noise = as_array(noise, like=batch)
    span = int(6 * sigma) | 1
    noise = gaussian_blur(noise, (span, span), (sigma, sigma), data_format="channels_last")
    y, x = _pixels(xp, height, width, noise)
    ys, xs = y + float(alpha) * noise[..., 0], x + float(alpha) * noise[..., 1]
    return restored(_read(batch, ys, xs, interpolation, fill_mode, fill_value))
