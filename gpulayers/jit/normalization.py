"""Rows normalized one after another, while they are in the cache."""

from __future__ import annotations

import numpy as np

from . import kernel


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
