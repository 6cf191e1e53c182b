"""Sums of channels, and channels multiplied and added to, each element read once.

Rows hold all channels, perhaps several times one after another (`columns`), or one channel each, so
that row r is of channel r modulo their number (`rows`).  `after` is the result of a ReLU, through
which g comes (without g, x), or None.
"""

from __future__ import annotations

import numpy as np

from . import kernel, part

ADDED = 2048  # Elements, so that rounding errors stay small.
SAMPLED = 32  # Rows whose mean sums of squares are first taken around.
APART = 16  # Variances that the square of the distance from there to the mean may have.


@part
def through(g, after, i, j):
    """An element of g, or 0 if the ReLU let nothing through."""
    if after is None:
        return g[i, j]
    return g[i, j] if after[i, j] > 0 else g.dtype.type(0)


@part
def add_columns(x, middle, g, after, totals, products, first, last):
    """Add what `sum_columns` gives."""
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


@kernel("totals", "products")
def sum_columns(x, middle, g, after, totals, products, first, last):
    """Sums of g and of g (x - middle); without g, of x - middle and of its square."""
    add_columns(x, middle, g, after, totals, products, first, last)


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


@part
def put_columns(x, mean, slope, offset, g, factor, after, out, relu, first, last):
    """Write what `combined` gives, for columns of one channel."""
    for i in range(first, last):
        for j in range(x.shape[1]):
            out[i, j] = combined(x, mean, slope, offset, g, factor, after, relu, i, j, j)


@kernel("out")
def combine_columns(x, mean, slope, offset, g, factor, after, out, relu, first, last):
    """What `combined` gives, for columns of one channel."""
    put_columns(x, mean, slope, offset, g, factor, after, out, relu, first, last)


@kernel("out")
def combine_rows(x, mean, slope, offset, g, factor, after, out, relu, first, last):
    """The same for rows of one channel."""
    for i in range(first, last):
        channel = i % len(slope)
        for j in range(x.shape[1]):
            out[i, j] = combined(x, mean, slope, offset, g, factor, after, relu, i, j, channel)


@part
def of_channel(sums, channel, channels):
    """The sum of a channel's columns, in float64."""
    total = 0.0
    for j in range(channel, len(sums), channels):
        total += sums[j]
    return total


@part
def measure(x, middle, mean, variance, totals, products):
    """Write the moments of channels, from sums around a value near the mean of each.

    Where one turns out to be far from it, sums are taken once more, around the mean.
    """
    rows, width, channels = x.shape[0], x.shape[1], len(mean)
    count = rows * (width // channels)
    for _ in range(2):
        totals[:] = 0
        products[:] = 0
        add_columns(x, middle, None, None, totals, products, 0, rows)
        near = True
        for c in range(channels):
            apart = of_channel(totals, c, channels) / count
            spread = of_channel(products, c, channels) / count - apart * apart
            start = middle[c]
            near &= apart * apart <= APART * spread + (1e-6 * start) ** 2
            mean[c] = start + apart
            variance[c] = 0.0 if spread < 0 else spread
        if near:
            return
        for j in range(width):
            middle[j] = mean[j % channels]


@kernel("y", "mean", "variance")
def normalize(x, gamma, beta, y, mean, variance, epsilon, relu):
    """Rows of columns of one channel, normalized by the moments of all of them, and these."""
    width, channels = x.shape[1], len(mean)
    room = np.zeros((5, width), x.dtype)
    middle, slope, offset = room[0], room[1], room[2]
    step = -(-x.shape[0] // SAMPLED)
    for i in range(0, x.shape[0], step):
        for j in range(width):
            middle[j] += x[i, j]
    for c in range(channels):
        near = of_channel(middle, c, channels) / (width // channels * -(-x.shape[0] // step))
        for j in range(c, width, channels):
            middle[j] = near
    measure(x, middle, mean, variance, room[3], room[4])
    for j in range(width):
        c = j % channels
        middle[j] = mean[c]
        slope[j] = x.dtype.type(1) / np.sqrt(variance[c] + epsilon)
        if gamma is not None:
            slope[j] *= gamma[c]
        if beta is not None:
            offset[j] = beta[c]
    put_columns(x, middle, slope, offset, None, None, None, y, relu, 0, len(x))


@kernel("dx", "d_gamma", "d_beta")
def differentiate(
    x, g, after, mean, variance, gamma, d_mean, d_variance, dx, d_gamma, d_beta, epsilon
):
    """The gradients of `normalize`, for those of its results, by x, or None, and by its weights."""
    width, channels = x.shape[1], len(mean)
    count = x.shape[0] * (width // channels)
    room = np.zeros((6, width), x.dtype)
    middle, slope, offset, factor = room[0], room[1], room[2], room[3]
    totals, products = room[4], room[5]
    for j in range(width):
        middle[j] = mean[j % channels]
    add_columns(x, middle, g, after, totals, products, 0, len(x))
    for c in range(channels):
        inverse = x.dtype.type(1) / np.sqrt(variance[c] + epsilon)
        total, product = of_channel(totals, c, channels), of_channel(products, c, channels)
        d_beta[c], d_gamma[c] = total, product * inverse
        scale = inverse if gamma is None else inverse * gamma[c]
        for j in range(c, width, channels):
            factor[j] = scale
            offset[j] = (d_mean[c] - scale * d_beta[c]) / count
            slope[j] = (2 * d_variance[c] - inverse * scale * d_gamma[c]) / count
    if dx is not None:
        put_columns(x, middle, slope, offset, g, factor, after, dx, False, 0, len(x))
