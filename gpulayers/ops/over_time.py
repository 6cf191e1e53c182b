"""Sequences step by step: any cell over time, at once or in segments that are computed again."""

from __future__ import annotations

import contextlib
import math
import operator

from .. import tree
from ..arrays import Abstract, namespace
from ..arrays.recomputing import (
    Apart,
    Watched,
    can_recompute,
    copied,
    has_gradient,
    kept_since,
    record,
)
from ..arrays.tape import current_tape, plain

KEPT = 1 << 27  # Bytes that steps keep for their gradient, about.  (LSTM and GRU have their own.)
PART = 2  # Of those, what steps take that are computed again: a part of so many.


def over_time(
    step, inputs, states, mask=None, *, zero_masked=False, last_only=False, first=None, until=None
):
    """A cell at each step of sequences.

    Args:
        step: a function (x, states) -> (output, new states) of one step; it changes nothing else.
        inputs: (N, steps, ...).
        states: arrays (N, ...) in any structure, which is that of the new states.
        mask: (N, steps), False where a sequence keeps its states and repeats its last output.
        zero_masked: give zeros there instead.
        last_only: only the last output is wanted.
        first: the output that is repeated before there is one; zeros if None, and if it has
            another shape than outputs have.
        until: a function that says after each step whether it shall be the last; never if None.

    Gives (last output, outputs (N, steps, ...) or None if `last_only`, last states).
    """
    if any(type(x) is Abstract for x in tree.flatten([inputs, states])):
        return _shapes_over_time(step, inputs, states, last_only)
    xp = namespace(inputs)
    outputs, output, before = [], None, first
    masks = [None] * inputs.shape[1]
    if mask is not None:
        masks, inputs = xp.unstack(mask, axis=1), seen(inputs, mask)
    for x, kept in zip(xp.unstack(inputs, axis=1), masks, strict=True):
        output, new = step(x, states)
        if kept is None:
            states = tree.pack_sequence_as(states, _same_count(new, states))
        else:
            if before is None or before.shape != output.shape or zero_masked:
                before = namespace(output).zeros_like(output)
            output = before = chosen(kept, output, before)
            pairs = zip(_same_count(new, states), tree.flatten(states), strict=True)
            states = tree.pack_sequence_as(states, [chosen(kept, n, old) for n, old in pairs])
        if not last_only:
            outputs.append(output)
        if until is not None and until():
            break
    return output, None if last_only else namespace(output).stack(outputs, axis=1), states


def _shapes_over_time(step, inputs, states, last_only):
    """The same for shapes alone: one step tells."""
    x = Abstract((inputs.shape[0], *inputs.shape[2:]), inputs.dtype)
    states = tree.map_structure(lambda s: Abstract(s.shape, s.dtype), states)
    output, new = step(x, states)
    states = tree.pack_sequence_as(states, _same_count(new, states))
    every = Abstract((output.shape[0], inputs.shape[1], *output.shape[1:]), output.dtype)
    return output, None if last_only else every, states


def seen(inputs, mask):
    """Inputs (N, steps, ...) with zeros where the mask (N, steps) is False: nobody asks for what is
    there, and not even NaN is to come through in gradients."""
    if mask is None:
        return inputs
    xp = namespace(inputs)
    mask = xp.reshape(mask, (*mask.shape, *(1 for _ in inputs.shape[2:])))
    return xp.where(mask, inputs, xp.zeros_like(inputs))


def _same_count(new, states):
    found, wanted = tree.flatten(new), len(tree.flatten(states))
    if len(found) != wanted:
        raise ValueError(f"recurrence: a cell of {wanted} states gave {len(found)} new ones.")
    return found


def chosen(kept, new, before):
    """`new` where the mask `kept` (N,) of a step is True, else `before`."""
    xp = namespace(new, kept)
    return xp.where(xp.reshape(kept, (-1,) + (1,) * (new.ndim - 1)), new, before)


def over_time_within_memory(step, inputs, states, mask=None, *, keep=None, look=list, **options):
    """`over_time` that keeps about `KEPT` bytes for the gradient, and else the states alone.

    The first steps are recorded as they are; those that would need more memory are computed again
    for their gradient, some at a time.  All are recorded as they are if the second one shows that
    it must not be taken twice: if it uses recorded arrays that it is not given, if anybody else
    holds what it records, or if it changes what `look` sees.

    Args:
        step, inputs, states, mask, options: as for `over_time`.
        keep: as for `in_segments`.
        look: a function that gives a list of objects; a step shall leave them the same ones.
    """
    if type(inputs) is Abstract or not can_recompute():
        return over_time(step, inputs, states, mask, **options)
    start = _FirstSteps(step, inputs.shape[1], look)
    found = over_time(start, inputs, states, mask, until=start.is_enough, **options)

    def run(inputs, states, mask, before):
        return over_time(step, inputs, states, mask, **{**options, "first": before})

    return _and_the_rest(run, found, inputs, mask, start.taken, keep)


def whole_at_first(run, inputs, states, mask, before, most, keep=None):
    """`run` for the first steps, at most `most`, as it is, and for the others in segments.

    run, inputs, states, mask, before, keep: as for `in_segments`.
    """
    if type(inputs) is Abstract or not can_recompute() or inputs.shape[1] <= most:
        return run(inputs, states, mask, before)
    some = None if mask is None else mask[:, :most]
    found = run(inputs[:, :most, ...], states, some, before)
    return _and_the_rest(run, found, inputs, mask, most, keep)


def _and_the_rest(run, found, inputs, mask, taken, keep):
    """What `run` gives for all steps, given what was found for those that have been taken."""
    if taken == inputs.shape[1]:
        return found
    last, outputs, states = found
    mask = None if mask is None else mask[:, taken:]
    steps = max(1, taken // PART)
    last, rest, states = in_segments(
        run, inputs[:, taken:, ...], states, mask, steps, keep, before=last
    )
    if outputs is not None:
        outputs = namespace(outputs, rest).concat([outputs, rest], axis=1)
    return last, outputs, states


class _FirstSteps:
    """A cell whose first step tells how many of `total` are to be recorded as they are."""

    def __init__(self, step, total, look):
        self._step, self._total, self._look = step, total, look
        self._most, self._start, self.taken = total, None, 0

    def __call__(self, x, states):
        self.taken += 1
        if self.taken == 1:
            self._start = current_tape().position()
        if self.taken == 2 and self._most < self._total:
            return self._watched(x, states)
        return self._step(x, states)

    def _watched(self, x, states):
        before = self._look()
        with Watched([x, *tree.flatten(states)]) as watched:
            output, new = self._step(x, states)
        after = self._look()
        same = len(before) == len(after) and all(map(operator.is_, before, after))
        if not (same and watched.can_be_repeated([output, *tree.flatten(new)])):
            self._most = self._total
        return output, new

    def is_enough(self) -> bool:
        if self.taken == 1:
            fit = KEPT // max(kept_since(self._start), 1)
            self._most = min(max(fit, 2), self._total)
        return self.taken >= self._most


def in_segments(run, inputs, states, mask, steps, keep=None, before=None):
    """`run` over segments of sequences, each of which is computed again for its gradient.

    Between segments only the states stay in memory; while a gradient is computed, what one segment
    needs comes on top. With as many segments as steps in each, both grow like the square root of
    the number of steps.  Where nothing is recorded, and on a tape within another, all is one
    segment.

    Args:
        run: a pure function (inputs, states, mask, last output before, None at first) -> (last
            output, outputs of all steps or None, new states).
        inputs, states, mask: as for `over_time`.
        steps: of a segment; "auto" for the square root of all of them; "whole" to record all
            steps as they are.
        keep: called after the last step, gives a function that gives the context within which
            steps can be taken again: for what `run` remembers meanwhile.
        before: the last output before all these steps; None if there is none.

    Gives what `run` gives.
    """
    if steps == "whole" or not can_recompute() or type(inputs) is Abstract:
        return run(inputs, states, mask, before)
    before = None if mask is None else before
    segments = _Segments(run, inputs, states, mask, steps, before)
    results = segments.results(keep)
    arrays = [inputs, *tree.flatten(states), *([] if before is None else [before])]
    *found, last = record(results, arrays, segments.variables, segments.gradients)
    outputs = None
    if segments.many:
        last, outputs = found.pop(), last
    return last, outputs, tree.pack_sequence_as(states, found)


class _Segments:
    """The segments of a call of `in_segments`, which hold nothing of the record around."""

    def __init__(self, run, inputs, states, mask, steps, before):
        self.run, self.apart, self.mask = run, Apart(), plain(mask)
        self.needs_inputs = has_gradient(inputs)
        self.inputs, *self.first = map(plain, [inputs, *tree.flatten(states)])
        self.structure = tree.map_structure(lambda _: 0, states)
        total, self.count = inputs.shape[1], len(self.first)
        # What one segment hands to the next: states, and the last output if it may be repeated.
        self.handed = self.count + (mask is not None)
        if before is not None:
            self.first.append(plain(before))
        if steps == "auto":
            steps = math.isqrt(total - 1) + 1
        self.pieces = [slice(i, min(i + steps, total)) for i in range(0, total, steps)]
        self.many = False  # Whether outputs of all steps are given.

    def function(self, piece):
        """A segment as a function of arrays: inputs, states, and the last output before, if any;
        it gives the new states, the last output and perhaps all outputs."""
        mask = None if self.mask is None else self.mask[:, piece]

        def function(arrays):
            inputs, *states = arrays
            before = states.pop() if len(states) > self.count else None
            packed = tree.pack_sequence_as(self.structure, states)
            last, outputs, new = self.run(inputs, packed, mask, before)
            self.many = outputs is not None
            return [*tree.flatten(new), last, *([outputs] if self.many else [])]

        return function

    def results(self, keep):
        """What `function` gives for all steps."""
        variables, self.starts, self.held, outputs, now = {}, [], [], [], self.first
        for piece in self.pieces:
            arrays = [self.inputs[:, piece, ...], *now]
            found, read, held = self.apart.results(self.function(piece), arrays)
            variables |= {id(v): v for v in read}
            self.starts.append(now)
            self.held.append(held)
            now = [copied(a) for a in found[: self.handed]]  # They may be parts of all steps.
            outputs += found[self.count + 1 :]
        self.end = now
        self.variables = list(variables.values())
        self.again = contextlib.nullcontext if keep is None else keep()
        ends = [*now, *map(copied, found[self.handed : self.count + 1])]
        return [*ends, namespace(*outputs).concat(outputs, axis=1)] if self.many else ends

    def gradients(self, grads):
        """Those of inputs, first states and Variables, given those of the results."""
        xp = namespace(self.inputs)
        carried, of_all = list(grads[: self.count + 1]), grads[self.count + 1 :]
        of_inputs, sums, ends = [], [None] * len(self.variables), self.end
        with self.again():
            segments = zip(self.pieces, self.starts, self.held, strict=True)
            for piece, start, held in reversed(list(segments)):
                given = [*carried, *(g[:, piece, ...] for g in of_all)]
                arrays = [self.inputs[:, piece, ...], *start]
                needs = [self.needs_inputs, *(True for _ in start)]
                found, of_variables = self.apart.gradients(
                    self.function(piece), arrays, needs, self.variables, given,
                    held=held, ends=ends,
                )  # fmt: skip
                of_inputs.append(found[0])
                carried, ends = [*found[1:], *[None] * (self.count + 1 - self.handed)], start
                sums = [_plus(a, b) for a, b in zip(sums, of_variables, strict=True)]
        of_inputs = None if of_inputs[0] is None else xp.concat(of_inputs[::-1], axis=1)
        return [of_inputs, *carried[: len(self.first)], *sums]


def _plus(a, b):
    return b if a is None else a if b is None else a + b
