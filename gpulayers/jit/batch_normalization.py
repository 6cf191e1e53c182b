"""Sums of channels, and channels multiplied and added to, each element read once.

Rows hold all channels, perhaps several times one after another (`columns`), or one channel each, so
that row r is of channel r modulo their number (`rows`).  `after` is the result of a ReLU, through
which g comes (without g, x), or None.
"""

from __future__ import annotations

from . import kernel, part

ADDED = 2048  # Elements, so that rounding errors stay small.


@part
def through(g, after, i, j):
    """An element of g, or 0 if the ReLU let nothing through."""
    if after is None:
        return g[i, j]
    return g[i, j] if after[i, j] > 0 else g.dtype.type(0)


@kernel("totals", "products")
def sum_columns(x, middle, g, after, totals, products, first, last):
    """Sums of g and of g (x - middle); without g, of x - middle and of its square."""
    width, four = x.shape[1], first + (last - first) // 4 * 4
    for i in range(first, four, 4):
        for j in range(width):
            m = middle[j]
            a, b, c, d = x[i, j] - m, x[i + 1, j] - m, x[i + 2, j] - m, x[i + 3, j] - m
            if g is None:
                totals[j] += (a + b) + (c + d)
                products[j] += (a * a + b * b) + (c * c + d * d)
            else:
                p, q = through(g, after, i, j), through(g, after, i + 1, j)
                r, s = through(g, after, i + 2, j), through(g, after, i + 3, j)
                totals[j] += (p + q) + (r + s)
                products[j] += (a * p + b * q) + (c * r + d * s)
    for i in range(four, last):
        for j in range(width):
            away = x[i, j] - middle[j]
            given = away if g is None else through(g, after, i, j)
            totals[j] += given
            products[j] += given * away


@part
def summed(x, middle, g, after):
    """Both sums of a piece of a row."""
    total, product = x.dtype.type(0), x.dtype.type(0)
    for j in range(len(x)):
        away = x[j] - middle
        given = away
        if g is not None:
            given = g[j]
            if after is not None and not after[j] > 0:
                given = x.dtype.type(0)
        total += given
        product += given * away
    return total, product


@kernel("totals", "products")
def sum_rows(x, middle, g, after, totals, products, first, last):
    """The same for rows of one channel, whose pieces are added up in float64."""
    for i in range(first, last):
        channel, total, product = i % len(middle), 0.0, 0.0
        for start in range(0, x.shape[1], ADDED):
            piece = slice(start, start + ADDED)
            given = None if g is None else g[i, piece]
            kept = None if after is None else after[i, piece]
            more = summed(x[i, piece], middle[channel], given, kept)
            total += more[0]
            product += more[1]
        totals[channel] += total
        products[channel] += product


@part
def combined(x, mean, slope, offset, g, factor, after, relu, i, j, channel):
    """(x - mean) slope + offset + g factor at a place of a channel, all but x and slope perhaps
    None; 0 if that is below and `relu`."""
    y = through(x, after, i, j) if g is None else x[i, j]
    if mean is not None:
        y -= mean[channel]
    y *= slope[channel]
    if offset is not None:
        y += offset[channel]
    if g is not None:
        y += through(g, after, i, j) * factor[channel]
    return x.dtype.type(0) if relu and y < 0 else y


@kernel("out")
def combine_columns(x, mean, slope, offset, g, factor, after, out, relu, first, last):
    """What `combined` gives, for columns of one channel."""
    for i in range(first, last):
        for j in range(x.shape[1]):
            out[i, j] = combined(x, mean, slope, offset, g, factor, after, relu, i, j, j)


@kernel("out")
def combine_rows(x, mean, slope, offset, g, factor, after, out, relu, first, last):
    """The same for rows of one channel."""
    for i in range(first, last):
        channel = i % len(slope)
        for j in range(x.shape[1]):
            out[i, j] = combined(x, mean, slope, offset, g, factor, after, relu, i, j, channel)
