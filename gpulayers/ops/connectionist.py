"""Connectionist temporal classification: the probability of a sequence, over all its alignments.

A sequence of N labels is a path through S = 2N + 1 states: its labels with a blank before, between
and after them.  In each step a path stays, goes on by one state, or skips a blank between two
different labels.  All is in logarithms.  Layouts: B batch, T steps, S states.
Source: A. Graves et al., Connectionist temporal classification, ICML 2006, sections 4.1 and 4.2.
"""

from __future__ import annotations

from ..arrays import dtypes, namespace, primitive
from ..arrays.short_floats import cast
from .calling import array_function

__all__ = ["ctc_loss"]

NEVER = -1e30  # The logarithm of no probability; finite, so that sums and differences stay numbers.


@array_function("target", "output", "target_length", "output_length", computes=False)
def ctc_loss(target, output, target_length, output_length, mask_index=0):
    """-log of the probability that `output` gives to the label sequences.

    Args:
        target: labels of shape (batch, max_labels).
        output: logits of shape (batch, steps, classes).
        target_length: how many labels count, of shape (batch,).
        output_length: how many steps count, of shape (batch,).
        mask_index: the class that stands for a blank.

    Returns an array of shape (batch,), infinite (with gradient 0) where the labels are too many
    for the steps.
    """
    if dtypes.name(output.dtype) not in ("float32", "float64"):
        output = cast(output, "float32")
    target, target_length, output_length = (
        cast(a, "int32") for a in (target, target_length, output_length)
    )
    xp = namespace(output)
    batch, steps, _ = output.shape
    labels = target.shape[1]
    states = _with_blanks(xp, target, mask_index)
    place = xp.arange(2 * labels + 1, dtype=target.dtype)
    last = 2 * xp.expand_dims(target_length, axis=-1)
    ends = _log_of((place == last) | (place == last - 1), output)
    skips = _log_of(_skippable(xp, states), output)
    counts = xp.expand_dims(output_length, axis=-1)
    live = xp.arange(steps, dtype=counts.dtype) < counts
    top = xp.max(output, axis=-1, keepdims=True)
    log_sum = xp.log(xp.sum(xp.exp(output - top), axis=-1, keepdims=True)) + top
    wanted = xp.broadcast_to(xp.expand_dims(states, axis=1), (batch, steps, 2 * labels + 1))
    chosen = xp.take_along_axis(output, wanted, axis=-1) - log_sum
    return _surprise(chosen, skips, ends, live)


def _with_blanks(xp, target, blank):
    """Labels (B, N) as states (B, S)."""
    blanks = xp.full_like(target, blank)
    pairs = xp.reshape(xp.stack([blanks, target], axis=-1), (target.shape[0], -1))
    return xp.concat([pairs, xp.full_like(target[:, :1], blank)], axis=1)


def _skippable(xp, states):
    """Whether each state may be entered from two states before it: never from blank to blank."""
    far = states[:, 2:] != states[:, :-2]
    return xp.concat([xp.zeros_like(states[:, :2], dtype=far.dtype), far], axis=1)


def _log_of(condition, like):
    xp = namespace(like)
    return (1.0 - xp.astype(condition, like.dtype)) * NEVER


@primitive
def _surprise(chosen, skips, ends, live):
    """-log of the summed probability of all paths: of shape (B,).

    chosen: (B, T, S) log-probability of each state in each step; skips: (B, S) and ends: (B, S),
    0 where a path may skip to a state or end there, else NEVER; live: (B, T), which steps count.
    """
    xp = namespace(chosen)
    reached = _forward(xp, chosen, skips, live)[-1]
    total = _log_sum(xp, reached + ends)
    return xp.where(total > 0.1 * NEVER, -total, xp.full_like(total, float("inf")))


@_surprise.shape
def _(chosen, skips, ends, live):
    return chosen[:, 0, 0]


@_surprise.vjp
def _(xp, out, chosen, skips, ends, live):
    def dchosen(g):
        before = xp.stack(_forward(xp, chosen, skips, live), axis=1)
        after = xp.stack(_backward(xp, chosen, skips, ends, live), axis=1)
        possible = xp.reshape(xp.isfinite(out), (-1, 1, 1)) & xp.expand_dims(live, axis=-1)
        weight = before + after + xp.reshape(xp.where(xp.isfinite(out), out, 0.0 * g), (-1, 1, 1))
        weight = xp.where(possible, xp.exp(xp.minimum(weight, 0.0)), xp.zeros_like(weight))
        return -xp.reshape(g, (-1, 1, 1)) * weight

    return dchosen, None, None, None


def _forward(xp, chosen, skips, live):
    """For each step, the log-probability (B, S) to have come to each state by then."""
    start = xp.full_like(skips, NEVER)
    start = xp.concat([0.0 * skips[:, :2], start[:, 2:]], axis=1)
    now, found = None, []
    for here, counts in zip(xp.unstack(chosen, axis=1), xp.unstack(live, axis=1), strict=True):
        if now is None:
            now = start + here
        else:
            one, two = _shift(xp, now, 1), _shift(xp, now, 2) + skips
            come = xp.logaddexp(xp.logaddexp(now, one), two) + here
            now = xp.where(xp.expand_dims(counts, axis=-1), come, now)
        found.append(now)
    return found


def _backward(xp, chosen, skips, ends, live):
    """For each step, the log-probability (B, S) to end rightly from each state, that step done."""
    now, found = ends, [ends]
    steps = zip(xp.unstack(chosen, axis=1), xp.unstack(live, axis=1), strict=True)
    for there, counts in reversed(list(steps)[1:]):
        goal = now + there
        one, two = _shift(xp, goal, -1), _shift(xp, goal + skips, -2)
        go = xp.logaddexp(xp.logaddexp(goal, one), two)
        now = xp.where(xp.expand_dims(counts, axis=-1), go, now)
        found.append(now)
    return found[::-1]


def _shift(xp, x, by):
    """The columns of `x` moved to the right by `by`, those that come in being NEVER."""
    gap = xp.full_like(x[:, : abs(by)], NEVER)
    parts = [gap, x[:, :-by]] if by > 0 else [x[:, -by:], gap]
    return xp.concat(parts, axis=1)


def _log_sum(xp, x):
    top = xp.max(x, axis=-1, keepdims=True)
    return xp.log(xp.sum(xp.exp(x - top), axis=-1)) + xp.squeeze(top, axis=-1)
