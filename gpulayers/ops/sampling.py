"""Images read at other places: moved, turned, bent."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import devices, dtypes, namespace, plain, random
from ..arrays.seeds import draw_seed
from ..arrays.short_floats import cast
from .calling import array_function, as_floats
from .filtering import bell
from .image_layout import batch_of
from .linalg import solve
from .warping import FIXES, ORDERS, sampled, warped

__all__ = ["affine_transform", "elastic_transform", "map_coordinates", "perspective_transform"]


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
    return sampled(flat, places, inputs.shape, order, fill_mode, fill_value)[..., 0]


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
    matrix = _matrices(xp, _per_image(xp, transform, batch.shape[0], 1), perspective=False)
    how = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": fill_value}
    return restored(warped(batch, matrix, **how))


def _matrices(xp, parameters, perspective):
    """The matrices (N, 3, 3) of maps of 8 parameters each; without perspective, of the first 6."""
    one, zeros = xp.ones_like(parameters[:, :1]), xp.zeros_like(parameters[:, 6:])
    last = parameters[:, 6:] if perspective else zeros
    return xp.reshape(xp.concat([parameters[:, :6], last, one], axis=1), (-1, 3, 3))


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
    ends = (_per_image(xp, as_floats(p)[1], batch.shape[0], 2) for p in (start_points, end_points))
    matrix = _matrices(xp, _homography(xp, *ends), perspective=True)
    how = {"interpolation": interpolation, "fill_value": fill_value}
    return restored(warped(batch, matrix, **how))


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
    pixels, times `alpha` says. (Where blurring adds up more than a hundred numbers, evenly spread
    ones stand for normal ones, which is the same after it.) Simard, Steinkraus and Platt, "Best
    practices for convolutional neural networks applied to visual document analysis", 2003.

    Args:
        images: one image or a batch.
        interpolation, fill_mode, fill_value: as for `affine_transform`.
        seed: an integer or a SeedGenerator; by default the global one is drawn from.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for other names and ranks.
    """
    _require("elastic_transform", interpolation, fill_mode)
    batch, restored = batch_of("elastic_transform", images, data_format)
    moves = elastic_moves(batch, float(sigma), seed) * float(alpha)
    how = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": fill_value}
    return restored(moved(batch, moves, **how))


def moved(batch, moves, **how):
    """Images (N, H, W, C), each pixel read farther down and to the right by `moves` (N, 2, H, W).

    how: as for `warped`.
    """
    xp = namespace(batch, moves)
    still = xp.eye(3, dtype=moves.dtype, device=devices.device_of(plain(moves)))
    matrix = xp.broadcast_to(still, (batch.shape[0], 3, 3))
    return warped(batch, matrix, None, None, moves, **how)


def elastic_moves(batch, sigma: float, seed):
    """Blurred noise for every pixel of images (N, H, W, C), downwards and to the right."""
    n, height, width, _ = batch.shape
    xp, shape, stream = namespace(batch), (n, 2, height, width), draw_seed(seed)
    if 4 * math.pi * sigma**2 > 100:  # So many numbers are added up.
        reach = sigma * math.sqrt(3)  # Of the same deviation.
        noise = random.uniform(shape, -reach, reach, "float32", stream, like=batch)
    else:
        noise = random.normal(shape, 0.0, sigma, "float32", stream, like=batch)
    weights = bell(int(6 * sigma) | 1, sigma or 1.0)
    down, across = (_blurring(size, weights, noise) for size in (height, width))
    moves = xp.matmul(xp.matmul(down, noise), xp.matrix_transpose(across))
    return cast(moves, "float64") if dtypes.name(batch.dtype) == "float64" else moves


def _blurring(size, weights, like):
    """The matrix (size, size) that adds up neighbours along an axis; what is outside counts 0."""
    matrix, before = np.zeros((size, size), np.float32), len(weights) // 2
    for i, weight in enumerate(weights):
        if abs(i - before) < size:
            matrix += np.float32(weight) * np.eye(size, k=i - before, dtype=np.float32)
    return devices.put(matrix, devices.home_of(plain(like)))
