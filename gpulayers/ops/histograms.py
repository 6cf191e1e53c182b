"""Images whose values are spread by how frequent they are."""

from __future__ import annotations

from ..arrays import Abstract, devices, namespace, primitive

LEVELS = 256


@primitive
def running_counts(numbers, *, bins: int):
    """How many of the numbers in each row are at most 0, 1, ..., bins - 1.

    Args:
        numbers: integers (rows, n) from 0 to bins - 1.

    Gives integers (rows, bins), the running totals of a histogram.
    """
    xp = namespace(numbers)
    edges = xp.arange(bins, dtype=numbers.dtype, device=devices.device_of(numbers))
    rows = xp.unstack(xp.sort(numbers, axis=1))
    return xp.stack([xp.searchsorted(row, edges, side="right") for row in rows])


@running_counts.shape
def _(numbers, *, bins):
    return Abstract((numbers.shape[0], bins), "int64")


@primitive
def equalized(images, *, bins: int, axis: int | None = None):
    """The values of each channel spread evenly over 0 ... 255, in whole numbers.

    Each value x becomes 255 (c(x) - c0) / (n - c0), rounded, with c(x) the number of values that
    are in the bin of x or a lower one, n that of all values and c0 the least c that is not 0; a
    channel whose values are in one bin stays as it is.

    Args:
        images: floats from 0 to 255, of any shape.
        bins: of the histograms.
        axis: that of the channels, each of which has one histogram; None if all is one channel.
    """
    xp = namespace(images)
    if axis is None:
        return _equalized(xp, images, bins)
    channels = xp.unstack(images, axis=axis)
    return xp.stack([_equalized(xp, channel, bins) for channel in channels], axis=axis)


def _equalized(xp, channel, bins):
    places = level(xp, channel * (bins - 1) / 255, bins)
    counts = running_counts(xp.reshape(places, (1, -1)), bins=bins)[0, :]
    table, spread = spread_evenly(xp, counts, channel.dtype)
    found = level(xp, channel / 255 * (bins - 1), bins)
    made = xp.reshape(xp.take(table, xp.reshape(found, (-1,))), channel.shape)
    return xp.where(spread > 0, made, channel)


@equalized.shape
def _(images, *, bins, axis=None):
    return Abstract(tuple(images.shape), images.dtype)


def spread_evenly(xp, counts, dtype):
    """What becomes of each bin, and how many values are in other bins than the lowest."""
    least = xp.min(xp.where(counts > 0, counts, counts[-1]))
    spread = xp.astype(counts[-1] - least, dtype)
    table = xp.astype(counts - least, dtype) * 255 / xp.where(spread > 0, spread, 1.0)
    return xp.clip(xp.round(table), 0.0, 255.0), spread


def level(xp, values, bins):
    """The bin of each value: a whole number from 0 to bins - 1."""
    return xp.astype(xp.clip(values, 0.0, float(bins - 1)), xp.int64)


def locally_equalized(images, clip_limit: float, tiles: tuple[int, int]):
    """Images equalized by the histograms around each pixel.

    Each tile has a histogram, whose counts above `clip_limit` times their mean are shared out among
    all 256 levels; a pixel is mapped by those of the four tiles around it, interpolated between
    their middles. Zuiderveld, "Contrast limited adaptive histogram equalization", 1994.

    Args:
        images: (N, height, width, C), floats from 0 to 255.
        clip_limit: 0 or less for no limit.
        tiles: how many there are, (down, across).
    """
    xp, (n, height, width, channels) = namespace(images), images.shape
    down, across = tiles
    tall, wide = -(-height // down), -(-width // across)
    sizes = ((height, tall * down), (width, wide * across))
    places = [_mirrored(xp, size, count, images) for size, count in sizes]
    levels = level(xp, images, LEVELS)
    padded = xp.take(xp.take(levels, places[0], axis=1), places[1], axis=2)
    cells = xp.reshape(padded, (n, down, tall, across, wide, channels))
    cells = xp.reshape(xp.permute_dims(cells, (0, 1, 3, 5, 2, 4)), (-1, tall * wide))
    tables = _tables(xp, cells, clip_limit, images.dtype)
    tables = xp.reshape(tables, (n, down, across, channels, LEVELS))
    return _between(xp, tables, levels, (tall, wide))


def _mirrored(xp, size, count, like):
    """The places 0 ... count - 1 of an axis that is continued backwards after its end."""
    period = xp.arange(count, device=devices.device_of(like)) % (2 * size)
    return xp.where(period < size, period, 2 * size - 1 - period)


def _tables(xp, cells, clip_limit, dtype):
    """What becomes of each level in each cell (cells, pixels): (cells, 256)."""
    totals = running_counts(cells, bins=LEVELS)
    counts = xp.astype(totals - xp.concat([0 * totals[:, :1], totals[:, :-1]], axis=1), dtype)
    pixels = cells.shape[1]
    if clip_limit > 0:
        kept = xp.clip(counts, 0.0, clip_limit * pixels / LEVELS)
        counts = kept + xp.sum(counts - kept, axis=1, keepdims=True) / LEVELS
    totals = xp.cumulative_sum(counts, axis=1)
    least = totals[:, :1]
    room = pixels - least
    return xp.clip((totals - least) * 255 / xp.where(room == 0, 1.0, room), 0.0, 255.0)


def _between(xp, tables, levels, tile):
    """Levels (N, H, W, C) mapped by the tables (N, down, across, C, 256) around each pixel."""
    n, height, width, channels = levels.shape
    down, across = tables.shape[1:3]
    rows = _around(xp, height, tile[0], down, tables)
    columns = _around(xp, width, tile[1], across, tables)
    device = devices.device_of(tables)
    flat = xp.reshape(tables, (-1,))
    image = xp.reshape(xp.arange(n, device=device), (-1, 1, 1, 1)) * (
        down * across * channels * LEVELS
    )
    channel = xp.reshape(xp.arange(channels, device=device), (1, 1, 1, -1)) * LEVELS
    place = image + channel + levels
    total = None
    for row, row_weight in rows:
        for column, column_weight in columns:
            tile_at = row[:, None, None] * across + column[:, None]
            at = place + (tile_at * channels * LEVELS)[None, ...]
            part = xp.reshape(xp.take(flat, xp.reshape(at, (-1,))), levels.shape)
            part = part * (row_weight[:, None, None] * column_weight[:, None])
            total = part if total is None else total + part
    return total


def _around(xp, size, tile, count, like):
    """For each pixel along an axis, the two tiles whose middles are around it, with weights."""
    places = xp.arange(size, dtype=like.dtype, device=devices.device_of(like))
    at = (places - tile / 2) / tile
    first = xp.floor(at)
    share = at - first
    first = xp.astype(first, xp.int64)
    return [(xp.clip(first + k, 0, count - 1), share if k else 1 - share) for k in (0, 1)]
