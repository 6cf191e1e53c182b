"""Update rules of optimizers, one weight after another; slots are rewritten, weights are new.

Loops go over all of the arrays: indices that begin elsewhere might be negative, for all that Numba
knows, and are no faster than one at a time.
"""

from __future__ import annotations

import numpy as np

from . import kernel


@kernel("new")
def shrink(weight, new, rate):
    for i in range(len(new)):
        new[i] = weight[i] - weight[i] * rate


@kernel("new")
def gradient_descent(weight, gradient, new, learning_rate):
    for i in range(len(new)):
        new[i] = weight[i] - gradient[i] * learning_rate


@kernel("m", "new")
def momentum(weight, gradient, m, new, learning_rate, kept, nesterov):
    for i in range(len(new)):
        pull = gradient[i] * learning_rate
        move = m[i] * kept - pull
        m[i] = move
        new[i] = weight[i] + (move * kept - pull if nesterov else move)


@kernel("m", "v", "peak", "new")
def adam(weight, gradient, m, v, peak, new, rate, by_m, by_v, epsilon):
    """`rate` is corrected for the first steps; `by_m` and `by_v` is how much means follow."""
    for i in range(len(new)):
        g = gradient[i]
        mean, square = m[i] + (g - m[i]) * by_m, v[i] + (g * g - v[i]) * by_v
        m[i], v[i] = mean, square
        if peak is not None:
            top = peak[i]
            square = top if top > square or top != top else square
            peak[i] = square
        new[i] = weight[i] - mean * rate / (np.sqrt(square) + epsilon)


@kernel("v", "m", "mean", "new")
def rmsprop(weight, gradient, v, m, mean, new, learning_rate, rho, follow, kept, epsilon):
    """`follow` is 1 - rho, `kept` how much of its moves a weight keeps."""
    for i in range(len(new)):
        g = gradient[i]
        variance = v[i] * rho + g * g * follow
        v[i] = variance
        if mean is not None:
            middle = mean[i] * rho + g * follow
            mean[i] = middle
            variance -= middle * middle
        move = g * learning_rate / np.sqrt(variance + epsilon)
        if m is not None:
            move += m[i] * kept
            m[i] = move
        new[i] = weight[i] - move
