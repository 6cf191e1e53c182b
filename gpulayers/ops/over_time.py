"""Sequences step by step: any cell over time, at once or in segments that are computed again."""

from __future__ import annotations

import contextlib
import math

from .. import tree
from ..arrays import Abstract, namespace
from ..arrays.recomputing import Apart, can_recompute, copied, has_gradient, record
from ..arrays.tape import plain


def over_time(step, inputs, states, mask=None, *, zero_masked=False, last_only=False, first=None):
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


def in_segments(run, inputs, states, mask, steps, keep=None):
    """`run` over segments of sequences, each of which is computed again for its gradient.

    Between segments only the states stay in memory; while a gradient is computed, what one segment
    needs comes on top. With as many segments as steps in each, both grow like the square root of
    the number of steps.  Where nothing is recorded, and on a tape within another, all is one
    segment.

    Args:
        run: a pure function (inputs, states, mask, last output before, None at first) -> (last
            output, outputs of all steps or None, new states).
        inputs, states, mask: as for `over_time`.
        steps: of a segment; "auto" for the square root of all of them; None for one segment.
        keep: called after the last step, gives a function that gives the context within which
            steps can be taken again: for what `run` remembers meanwhile.

    Gives what `run` gives.
    """
    if steps is None or not can_recompute() or type(inputs) is Abstract:
        return run(inputs, states, mask, None)
    segments = _Segments(run, inputs, states, mask, steps)
    results = segments.results(keep)
    arrays = [inputs, *tree.flatten(states)]
    *found, last = record(results, arrays, segments.variables, segments.gradients)
    outputs = None
    if segments.many:
        last, outputs = found.pop(), last
    return last, outputs, tree.pack_sequence_as(states, found)


class _Segments:
    """The segments of a call of `in_segments`, which hold nothing of the record around."""

    def __init__(self, run, inputs, states, mask, steps):
        self.run, self.apart, self.mask = run, Apart(), plain(mask)
        self.needs_inputs = has_gradient(inputs)
        self.inputs, *self.states = map(plain, [inputs, *tree.flatten(states)])
        self.structure = tree.map_structure(lambda _: 0, states)
        total, self.count = inputs.shape[1], len(self.states)
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
        one = slice(0, 1)
        self.apart.require_pure(self.function(one), [self.inputs[:, one, ...], *self.states])
        variables, self.starts, outputs, now = {}, [], [], self.states
        for piece in self.pieces:
            self.starts.append(now)
            arrays = [self.inputs[:, piece, ...], *now]
            found, read = self.apart.results(self.function(piece), arrays)
            variables |= {id(v): v for v in read}
            now = [copied(a) for a in found[: self.count + 1]]  # They may be parts of all steps.
            outputs += found[self.count + 1 :]
        self.variables = list(variables.values())
        self.again = contextlib.nullcontext if keep is None else keep()
        return [*now, namespace(*outputs).concat(outputs, axis=1)] if self.many else now

    def gradients(self, grads):
        """Those of inputs, first states and Variables, given those of the results."""
        xp = namespace(self.inputs)
        carried, of_all = list(grads[: self.count + 1]), grads[self.count + 1 :]
        of_inputs, sums = [], [None] * len(self.variables)
        with self.again():
            for piece, start in zip(self.pieces[::-1], self.starts[::-1], strict=True):
                given = [*carried, *(g[:, piece, ...] for g in of_all)]
                arrays = [self.inputs[:, piece, ...], *start]
                needs = [self.needs_inputs, *(True for _ in start)]
                found, of_variables = self.apart.gradients(
                    self.function(piece), arrays, needs, self.variables, given
                )
                of_inputs.append(found[0])
                carried = found[1:]
                sums = [_plus(a, b) for a, b in zip(sums, of_variables, strict=True)]
        of_inputs = None if of_inputs[0] is None else xp.concat(of_inputs[::-1], axis=1)
        return [of_inputs, *carried, *sums]


def _plus(a, b):
    return b if a is None else a if b is None else a + b
