"""Rows normalized one after another, while they are in the cache."""

from __future__ import annotations

import numpy as np

from . import kernel, part


@kernel("out", "means", "factors")
def normalize(x, gamma, beta, out, means, factors, epsilon, limit, first, last):
    """Rows of `out` and their factors; with `means`, after these have been taken away.

    Factors are 1 / sqrt(mean of squares + epsilon), or 1 / sqrt(sum of squares), at most 1 / limit,
    if there is a limit above 0.
    """
    width = x.shape[1]
    share = x.dtype.type(1) / x.dtype.type(width)
    for i in range(first, last):
        mean = x.dtype.type(0)
        if means is not None:
            for j in range(width):
                mean += x[i, j]
            mean *= share
            means[i] = mean
        squares = x.dtype.type(0)
        for j in range(width):
            away = x[i, j] - mean
            squares += away * away
        if limit > 0:
            squares = max(squares, limit * limit)
        else:
            squares = squares * share + epsilon
        factor = x.dtype.type(1) / np.sqrt(squares)
        factors[i] = factor
        for j in range(width):
            y = (x[i, j] - mean) * factor
            if gamma is not None:
                y *= gamma[j]
            if beta is not None:
                y += beta[j]
            out[i, j] = y


@kernel("dx", "d_gamma", "d_beta")
def differentiate(x, g, gamma, means, factors, dx, limit, d_gamma, d_beta, first, last):
    """The gradient of `normalize` by x, and sums over rows of those by gamma and beta if wanted."""
    width = x.shape[1]
    share = x.dtype.type(1) / x.dtype.type(width)
    for i in range(first, last):
        factor, mean = factors[i], x.dtype.type(0)
        if means is not None:
            mean = means[i]
        total, along = x.dtype.type(0), x.dtype.type(0)
        for j in range(width):
            unit, given = (x[i, j] - mean) * factor, g[i, j]
            if d_gamma is not None:
                d_gamma[j] += given * unit
            if d_beta is not None:
                d_beta[j] += given
            if gamma is not None:
                given *= gamma[j]
            total += given
            along += given * unit
        if limit > 0:
            along *= factor * limit < x.dtype.type(1 - 1e-6)  # Else it is the limit that divides.
        else:
            along *= share
        total *= share
        if means is None:
            total = x.dtype.type(0)
        for j in range(width):
            unit, given = (x[i, j] - mean) * factor, g[i, j]
            if gamma is not None:
                given *= gamma[j]
            dx[i, j] = (given - total - unit * along) * factor


@part
def spread(values, n, groups, size, share):
    """Sums of columns in row n become those of their groups, times a share; channels, `groups`
    times `size` of them, stand several times one after another."""
    width, channels = values.shape[1], groups * size
    for k in range(groups):
        total = values.dtype.type(0)
        for start in range(k * size, width, channels):
            for j in range(size):
                total += values[n, start + j]
        total *= share
        for start in range(k * size, width, channels):
            for j in range(size):
                values[n, start + j] = total


@kernel("out", "means", "factors")
def normalize_groups(x, gamma, beta, out, means, factors, groups, size, epsilon, first, last):
    """Samples (N, rows, channels several times), in groups of neighbouring channels.

    Means and factors 1 / sqrt(variance + epsilon), (N, a row), are those of each column's group.
    """
    _, rows, width = x.shape
    share = x.dtype.type(1) / x.dtype.type(rows * (width // groups))
    for n in range(first, last):
        means[n] = 0
        factors[n] = 0
        for i in range(rows):
            for j in range(width):
                means[n, j] += x[n, i, j]
        spread(means, n, groups, size, share)
        for i in range(rows):
            for j in range(width):
                away = x[n, i, j] - means[n, j]
                factors[n, j] += away * away
        spread(factors, n, groups, size, share)
        for j in range(width):
            factors[n, j] = x.dtype.type(1) / np.sqrt(factors[n, j] + epsilon)
        for i in range(rows):
            for j in range(width):
                y = (x[n, i, j] - means[n, j]) * factors[n, j]
                if gamma is not None:
                    y *= gamma[j]
                if beta is not None:
                    y += beta[j]
                out[n, i, j] = y


@kernel("dx", "d_gamma", "d_beta", "along", "totals")
def differentiate_groups(
    x, g, gamma, means, factors, dx, d_gamma, d_beta, along, totals, groups, size, first, last
):
    """The gradient of `normalize_groups` by x, and those by gamma and beta of each sample."""
    _, rows, width = x.shape
    share = x.dtype.type(1) / x.dtype.type(rows * (width // groups))
    for n in range(first, last):
        d_gamma[n] = 0
        d_beta[n] = 0
        for i in range(rows):
            for j in range(width):
                d_beta[n, j] += g[n, i, j]
                d_gamma[n, j] += g[n, i, j] * (x[n, i, j] - means[n, j])
        for j in range(width):
            d_gamma[n, j] *= factors[n, j]
            weight = x.dtype.type(1)
            if gamma is not None:
                weight = gamma[j]
            along[n, j] = d_gamma[n, j] * weight
            totals[n, j] = d_beta[n, j] * weight
        spread(along, n, groups, size, share)
        spread(totals, n, groups, size, share)
        for i in range(rows):
            for j in range(width):
                given = g[n, i, j]
                if gamma is not None:
                    given *= gamma[j]
                unit = (x[n, i, j] - means[n, j]) * factors[n, j]
                dx[n, i, j] = (given - totals[n, j] - unit * along[n, j]) * factors[n, j]
