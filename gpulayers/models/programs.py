"""Plans of inference written as programs, one for each number of samples: see `cpu/program.py`."""

from __future__ import annotations

from functools import partial

from .. import config

_NONE = object()  # That there is no program.


class Programs:
    """The programs of a plan, made when it has been used for a while.

    They may be used by several threads at once.
    """

    MOST = 16

    def __init__(self, plan):
        self.plan, self.made, self.uses = plan, {}, 0

    @classmethod
    def of(cls, plan):
        """Those of a plan that has one input and one output, both arrays; else None."""
        one = plan.single and plan.structure is None and len(plan.outputs) == 1
        fits = plan.gpu is None and not plan.in_context and plan.kinds[0][0] == "float32"
        return cls(plan) if one and fits else None

    def output(self, x):
        """The output for an array; None if plans are to do it another way, as yet or ever."""
        program = self.made.get(len(x))
        if program is None:
            program = self._next(x)
        if program is _NONE or config.jit() is False or not x.flags.aligned:
            return None
        if program.holds():
            y = program(x)
            if y is not None:
                return y
        self.made, self.uses = {}, 0  # Something is being changed: perhaps again and again.
        return None

    def _next(self, x):
        from ..cpu import program as cpu

        self.uses += 1
        if not cpu.wanted(x) or (self.uses <= cpu.USED and not cpu.at_once()):
            return _NONE
        if len(self.made) >= self.MOST:
            self.made = {}
        found = cpu.divided(partial(written, self.plan), x.shape) or _NONE
        self.made[len(x)] = found
        return found


def written(plan, shape):
    """The program of a plan for an array of some shape; None if it does better without."""
    from ..cpu.grids import Unwritable
    from ..cpu.program import Program

    try:
        program = Program(shape)
        grids = {plan.inputs[0]: program.input}
        for step in plan.steps:
            made = step.piece.write(program, step.own, *(grids[i] for i in step.sources))
            grids[step.to[0]] = made
        program.finish(grids[plan.outputs[0]])
    except Unwritable:
        return None
    return program
