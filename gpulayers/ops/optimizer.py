"""Update rules of optimizers: pure functions of one weight, its gradient and its slots.

A rule gives the new weight and the new slots (None stays None).  `learning_rate` is a Python float
and `step`, the number of this update counted from 1, a Python int; on a device that counts for
itself, in a captured step, both are arrays without axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from inspect import signature
from math import inf
from typing import NamedTuple

import numpy as np

from ..arrays import dtypes, namespace, primitive

ELEMENTWISE: list[primitive] = []  # Rules that may be applied piece by piece.


@dataclass(slots=True)
class Step:
    """What happens around a rule in a step of an optimizer, for a library that does it all at once.

    In this order: gradients are divided, added up, clipped; weights decay; the rule; averages.
    Each list has one entry for each weight; `sums` and `averages` are rewritten in place.

    Args:
        count: how many steps were made before, a Python int or an array without axes.
        first: how many more count: 1, or 0 if `count` is the number of this step already.
        every: gradients of so many steps are added up in `sums` before their mean is used.
        divisor: of the gradients.
        clipnorm, global_clipnorm, clipvalue: as in `Optimizer`; one of them at most.
        decay: weights first lose their learning rate's multiple by it, if `decays` says so.
        averages: moving averages of the weights, of which each update keeps `momentum`; the weights
            take their values every `taken` updates.
        guard: (scale, good, growth) of `LossScaleOptimizer`: gradients are divided by the array
            `scale`; if one is not finite, nothing changes but the scale, which halves.  The array
            `good` counts steps; `growth` of them double the scale.
    """

    count: object = 0
    first: int = 1
    every: int = 1
    sums: list | None = None
    divisor: float = 1.0
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    clipvalue: float | None = None
    decay: float = 0.0
    decays: list[bool] | None = None
    averages: list | None = None
    momentum: float = 0.0
    taken: int = 0
    guard: tuple | None = None


@dataclass(slots=True)
class Made:
    """What a `Step` gave: weights, Nadam's product, and with a guard its (scale, good, count)."""

    weights: list
    product: object = None
    guard: tuple | None = None


class Around(NamedTuple):
    """What else happens to weights and gradients in a step, by rules that do it in the same pass.

    Args:
        decay: the part of itself that a weight loses first.
        scale: what gradients are multiplied by.
        bound: how large their elements may be then.
        together: how many elements all weights have that follow the rule in this step.
    """

    decay: float = 0.0
    scale: float = 1.0
    bound: float = inf
    together: int = 0

    def applied(self, weight, gradient):
        """The weight and the gradient that the rule is for."""
        if self.scale != 1:
            gradient = gradient * self.scale
        if self.bound < inf:
            gradient = namespace(gradient).clip(gradient, -self.bound, self.bound)
        return weight - weight * self.decay if self.decay else weight, gradient


ALONE = Around()


@cache
def is_counted(rule: primitive) -> bool:
    """Whether a rule takes the number of the step."""
    return "step" in signature(rule.reference).parameters


def elementwise(rule):
    """A rule in which no element of a weight depends on another."""
    made = primitive(rule)
    ELEMENTWISE.append(made)
    return made


def rounded(number: float, like) -> float:
    """`number` as a weight's dtype holds it (float32 for 16-bit weights, as in the rules)."""
    return float(_scalar(like)(number))


def power(base, exponent, like):
    """base ** exponent in the weights' precision, either of them a device's step or both numbers.

    Bias corrections need this: 1 - 0.999 is 1.3e-5 (relative) off in float32, and that is what
    Keras computes and what a device computes from its own counter.
    """
    if hasattr(base, "shape") or hasattr(exponent, "shape"):
        return _floating(base, like) ** _floating(exponent, like)
    scalar = _scalar(like)
    return float(scalar(base) ** scalar(exponent))


def _scalar(like):
    return np.float64 if dtypes.name(like.dtype) == "float64" else np.float32


def _floating(x, like):
    return namespace(x).astype(x, like.dtype) if hasattr(x, "shape") else x


def _smaller(a, b):
    if hasattr(a, "shape") or hasattr(b, "shape"):
        return namespace(a, b).minimum(a, b)
    return min(a, b)


@elementwise
def shrink(weight, gradient, *, rate):
    """w - rate w."""
    return (weight - weight * rate,)


@elementwise
def moving_average(average, value, *, momentum):
    """momentum * average + (1 - momentum) * value."""
    if isinstance(momentum, float):
        momentum = rounded(momentum, average)
    return (average * momentum + value * (1 - momentum),)


@elementwise
def gradient_descent(weight, gradient, *, learning_rate):
    """w - lr g."""
    return (weight - gradient * learning_rate,)


@elementwise
def momentum(weight, gradient, m, *, learning_rate, momentum, nesterov):
    """m = momentum m - lr g;  w + m, or with Nesterov's look ahead w + momentum m - lr g."""
    pull = gradient * learning_rate
    m = m * momentum - pull
    return weight + (m * momentum - pull if nesterov else m), m


@elementwise
def adam(weight, gradient, m, v, peak, *, learning_rate, step, beta_1, beta_2, epsilon):
    """w - lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon), moments by lerp.

    With a slot `peak`, its maximum with v stands in v's place (AMSGrad).
    """
    xp = namespace(weight)
    m = m + (gradient - m) * (1 - beta_1)
    v = v + (gradient * gradient - v) * (1 - beta_2)
    if peak is not None:
        peak = xp.maximum(peak, v)
    correction = (1 - power(beta_2, step, weight)) ** 0.5 / (1 - power(beta_1, step, weight))
    spread = xp.sqrt(v if peak is None else peak) + epsilon
    return weight - m * (learning_rate * correction) / spread, m, v, peak


@elementwise
def adamax(weight, gradient, m, u, *, learning_rate, step, beta_1, beta_2, epsilon):
    """w - lr / (1 - beta_1^t) m / (u + epsilon), with u = max(beta_2 u, |g|)."""
    xp = namespace(weight)
    m = m + (gradient - m) * (1 - beta_1)
    u = xp.maximum(u * beta_2, xp.abs(gradient))
    return weight - m * (learning_rate / (1 - power(beta_1, step, weight))) / (u + epsilon), m, u


def nadam_momentum(step, beta_1, like):
    """Nadam's momentum at a step: beta_1 (1 - 0.96^step / 2)."""
    return (1 - power(0.96, step, like) * 0.5) * beta_1


@elementwise
def nadam(weight, gradient, m, v, *, learning_rate, step, product, beta_1, beta_2, epsilon):
    """Adam with Nesterov's momentum; `product` is that of all `nadam_momentum`s up to this step."""
    beta_1, beta_2 = rounded(beta_1, weight), rounded(beta_2, weight)
    now, following = (nadam_momentum(t, beta_1, weight) for t in (step, step + 1))
    m = m + (gradient - m) * (1 - beta_1)
    v = v + (gradient * gradient - v) * (1 - beta_2)
    ahead = m * (following / (1 - product * following)) + gradient * ((1 - now) / (1 - product))
    spread = namespace(weight).sqrt(v / (1 - power(beta_2, step, weight))) + epsilon
    return weight - ahead * learning_rate / spread, m, v


@elementwise
def rmsprop(weight, gradient, v, m, mean, *, learning_rate, rho, momentum, epsilon):
    """w - lr g / sqrt(v + epsilon), v the mean square of g; less mean^2 if centred; m if any."""
    v = v * rho + gradient * gradient * (1 - rho)
    variance = v
    if mean is not None:
        mean = mean * rho + gradient * (1 - rho)
        variance = v - mean * mean
    move = gradient * learning_rate / namespace(weight).sqrt(variance + epsilon)
    if m is not None:
        move = m = m * momentum + move
    return weight - move, v, m, mean


@elementwise
def adagrad(weight, gradient, total, *, learning_rate, epsilon):
    """w - lr g / sqrt(total + epsilon), total the sum of all g^2."""
    total = total + gradient * gradient
    move = gradient * learning_rate / namespace(weight).sqrt(total + epsilon)
    return weight - move, total


@elementwise
def adadelta(weight, gradient, squares, moves, *, learning_rate, rho, epsilon):
    """w - lr d, d = sqrt(moves + epsilon) / sqrt(squares + epsilon) g; means of g^2 and d^2."""
    xp = namespace(weight)
    squares = squares * rho + gradient * gradient * (1 - rho)
    move = xp.sqrt(moves + epsilon) * gradient / xp.sqrt(squares + epsilon)
    moves = moves * rho + move * move * (1 - rho)
    return weight - move * learning_rate, squares, moves


@elementwise
def ftrl(weight, gradient, total, linear, *, learning_rate, exponent, l1, l2, shrinkage):
    """Follow the regularised leader: (clip(linear, +-l1) - linear) / (total^exponent / lr + 2 l2).

    `total` sums g^2; `linear` sums g + 2 shrinkage w - (increase of total^exponent) / lr w.
    """
    xp = namespace(weight)
    before = total**exponent
    total = total + gradient * gradient
    after = total**exponent
    linear = linear + (
        gradient + weight * (2 * shrinkage) - (after - before) / learning_rate * weight
    )
    weight = (xp.clip(linear, -l1, l1) - linear) / (after / learning_rate + 2 * l2)
    return weight, total, linear


@elementwise
def lion(weight, gradient, m, *, learning_rate, beta_1, beta_2):
    """w - lr sign(beta_1 m + (1 - beta_1) g); then m = beta_2 m + (1 - beta_2) g."""
    beta_1, beta_2 = rounded(beta_1, weight), rounded(beta_2, weight)
    direction = namespace(weight).sign(m * beta_1 + gradient * (1 - beta_1))
    return weight - direction * learning_rate, m * beta_2 + gradient * (1 - beta_2)


@elementwise
def schedule_free_adamw(
    weight, gradient, z, v, *, learning_rate, step, warmup_steps, beta_1, beta_2, epsilon
):
    """Steps of Adam's size on z; the weight is beta_1 x + (1 - beta_1) z, x the mean of all z."""
    beta_1, beta_2 = rounded(beta_1, weight), rounded(beta_2, weight)
    time = _floating(step, weight)
    if warmup_steps > 0:
        learning_rate = _smaller(time / warmup_steps, 1.0) * learning_rate
    v = v + (gradient * gradient - v) * (1 - beta_2)
    spread = namespace(weight).sqrt(v / (1 - power(beta_2, step, weight))) + epsilon
    mean = (weight - z * (1 - beta_1)) / beta_1
    z = z - gradient * learning_rate / spread
    share = 1.0 / time
    mean = mean * (1 - share) + z * share
    return z * (1 - beta_1) + mean * beta_1, z, v


@primitive
def lamb(weight, gradient, m, v, *, learning_rate, step, beta_1, beta_2, epsilon):
    """w - lr |w| / |d| d, with d Adam's direction; the ratio is 1 where a norm is 0."""
    xp = namespace(weight)
    m = m + (gradient - m) * (1 - beta_1)
    v = v + (gradient * gradient - v) * (1 - beta_2)
    spread = xp.sqrt(v / (1 - power(beta_2, step, weight))) + epsilon
    move = m / (1 - power(beta_1, step, weight)) / spread
    length, stride = xp.sqrt(xp.sum(weight * weight)), xp.sqrt(xp.sum(move * move))
    both = (length > 0) & (stride > 0)
    one = xp.ones_like(length)
    ratio = xp.where(both, length, one) / xp.where(both, stride, one)
    return weight - move * (ratio * learning_rate), m, v


def _root_mean_square(x):
    xp = namespace(x)
    return xp.sqrt(xp.mean(x * x))


@primitive
def adafactor(
    weight, gradient, row, column, v, *, learning_rate, step, relative_step, decay, epsilon_1,
    epsilon_2, clip_threshold
):  # fmt: skip
    """Steps relative to the weight's size; g^2's mean is kept as a product of rows and columns.

    `row` and `column` are its means over the last axis and the last but one (None for vectors,
    which keep the whole of it in `v`).
    """
    xp = namespace(weight)
    slowing = 1 / _floating(step, weight) ** 0.5
    if relative_step:
        learning_rate = _smaller(learning_rate, slowing)
    size = xp.clip(_root_mean_square(weight), epsilon_2, None)
    squares = gradient * gradient + epsilon_1
    keep = 1 - power(step, decay, weight)
    if row is None:
        v = v * keep + squares * (1 - keep)
    else:
        row = row * keep + xp.mean(squares, axis=-1) * (1 - keep)
        column = column * keep + xp.mean(squares, axis=-2) * (1 - keep)
        share = row / xp.mean(row, axis=-1, keepdims=True)
        v = xp.expand_dims(share, axis=-1) * xp.expand_dims(column, axis=-2)
    move = gradient / xp.sqrt(v)
    excess = xp.clip(_root_mean_square(move) / clip_threshold, 1.0, None)
    move = move * (size * _smaller(learning_rate, slowing) / excess)
    return weight - move, row, column, v


@primitive
def muon(
    weight, gradient, m, *, learning_rate, momentum, nesterov, coefficients, iterations, rms_rate
):
    """w - lr times the momentum made orthogonal, scaled by rms_rate sqrt(max(rows, columns))."""
    m = gradient + m * momentum
    move = orthogonalized(gradient + m * momentum if nesterov else m, coefficients, iterations)
    if rms_rate is not None:
        learning_rate = learning_rate * (max(weight.shape) ** 0.5 * rms_rate)
    return weight - move * learning_rate, m


def orthogonalized(matrix, coefficients, iterations: int):
    """The nearest (semi-)orthogonal matrix, roughly, by a quintic Newton-Schulz iteration."""
    xp = namespace(matrix)
    a, b, c = coefficients
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = xp.matrix_transpose(matrix) if tall else matrix
    x = x / (xp.sqrt(xp.sum(x * x)) + 1e-7)
    for _ in range(iterations):
        square = xp.matmul(x, xp.matrix_transpose(x))
        x = x * a + xp.matmul(square * b + xp.matmul(square * c, square), x)
    return xp.matrix_transpose(x) if tall else x
