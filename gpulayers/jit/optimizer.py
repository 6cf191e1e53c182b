"""Update rules of optimizers, one weight after another; slots are rewritten, weights are new.

Loops go over all of the arrays: indices that begin elsewhere might be negative, for all that Numba
knows, and are no faster than one at a time.

Rules of which weights lose a part of themselves first, and in which gradients are scaled and
bounded, take these numbers last: `scale`, `bound` and `decay`, 1, infinity and 0 if there is none.
Without an array `gradient` that stands in `new`: of one array with two names no vectors are made.
"""

from __future__ import annotations

import numpy as np

from . import kernel, part


@part
def pull(gradient, new, i, scale, bound):
    """An element of the gradient, scaled and bounded."""
    g = (new[i] if gradient is None else gradient[i]) * scale
    g = bound if g > bound else g
    return -bound if g < -bound else g


@part
def rest(weight, i, decay):
    """What is left of an element of a weight."""
    return weight[i] - weight[i] * decay


@kernel("new")
def shrink(weight, new, rate):
    for i in range(len(new)):
        new[i] = weight[i] - weight[i] * rate


@kernel("new")
def gradient_descent(weight, gradient, new, learning_rate, scale, bound, decay):
    for i in range(len(new)):
        new[i] = rest(weight, i, decay) - pull(gradient, new, i, scale, bound) * learning_rate


@kernel("m", "new")
def momentum(weight, gradient, m, new, learning_rate, kept, nesterov, scale, bound, decay):
    for i in range(len(new)):
        own = pull(gradient, new, i, scale, bound) * learning_rate
        move = m[i] * kept - own
        m[i] = move
        new[i] = rest(weight, i, decay) + (move * kept - own if nesterov else move)


@kernel("m", "v", "peak", "new")
def adam(
    weight, gradient, m, v, peak, new, rate, by_m, by_v, epsilon, scale, bound, decay
):  # fmt: skip
    """`rate` is corrected for the first steps; `by_m` and `by_v` is how much means follow."""
    for i in range(len(new)):
        g = pull(gradient, new, i, scale, bound)
        mean, square = m[i] + (g - m[i]) * by_m, v[i] + (g * g - v[i]) * by_v
        m[i], v[i] = mean, square
        if peak is not None:
            top = peak[i]
            square = top if top > square or top != top else square
            peak[i] = square
        new[i] = rest(weight, i, decay) - mean * rate / (np.sqrt(square) + epsilon)


@kernel("v", "m", "mean", "new")
def rmsprop(
    weight, gradient, v, m, mean, new, learning_rate, rho, follow, kept, epsilon, scale, bound,
    decay,
):  # fmt: skip
    """`follow` is 1 - rho, `kept` how much of its moves a weight keeps."""
    for i in range(len(new)):
        g = pull(gradient, new, i, scale, bound)
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
        new[i] = rest(weight, i, decay) - move
