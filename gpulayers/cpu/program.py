"""Plans of inference as programs: networks that are small, or see few samples; see `jit.program`.

Kernels are read where they lie, except those with filters that do not fill vectors: of these and of
all else that was computed from variables, a program keeps what the variables were, and compares.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .. import config, jit
from ..jit import program as loops
from .grids import Grid, Unwritable
from .moves import BOUNDS, Moves
from .sliding import AXES
from .threads import available, share

USED = 16  # Calls after which it is worth a second to load Numba, or several to compile.
LARGEST_MEMORY = 1 << 21  # Numbers: a program keeps its memory.
SHARED = 3e7  # Operations of all moves: another thread takes its time to wake up.


class Program(Moves):
    """Moves that are run, all in one call, by any number of threads at once."""

    def finish(self, y: Grid) -> None:
        """Give all grids their places, and write the table."""
        self.output, at = y, 4 * self.height * self.lanes
        y.fixed = True
        x, out = Grid(self.input.shape), Grid(y.shape)
        x.place(0), out.place(0)
        enter = lambda: self._each(loops.ENTER, x, self.input, AXES)
        leave = lambda: self._each(loops.LEAVE, y, out, AXES)
        for grid in self.grids:
            at = grid.place(at)
        self.size = at + self.lanes  # What vectors read behind the end.
        if self.size > LARGEST_MEMORY:
            raise Unwritable
        moves = [enter(), *(write() for write in self._moves), leave()]
        checks = list(self.checks.values())
        self.moves = np.zeros((len(checks) + len(moves), loops.FIELDS), np.intp)
        self.limits = np.zeros((len(self.moves), 2), np.float32)
        for line, (value, copy) in zip(self.moves, checks, strict=False):
            line[[0, loops.COUNT]] = loops.SAME, value.size
            line[[loops.FIRST, loops.SECOND]] = self._address(value), self._address(copy)
        for i, move in enumerate(moves, len(checks)):
            bounds, numbers = move.pop("bounds", None), move.pop("numbers", None)
            self._write(self.moves[i], **move)
            self.limits[i] = BOUNDS[bounds] if numbers is None else numbers
        tall = 2 * self.height
        offsets = np.arange(tall) * 2 * self.lanes
        self.edges = np.concatenate([[tall, self.lanes], offsets, 0 * offsets])
        self.memories = []
        self.run = loops.run.ready(*self._arguments(np.zeros(0, np.float32), self._memory()))

    def _write(self, line, what, begin, rows, to, count, width, depth=0, columns=None, first=None,
               second=None, step=0, whole=0, places=None):  # fmt: skip
        line[[0, loops.FROM, loops.TO]] = what, begin, to.begin
        line[[loops.COUNT, loops.WIDTH, loops.DEPTH]] = count, width, depth
        tables = rows, to.places(whole) if places is None else places, columns
        line[[loops.ROWS, loops.PLACES, loops.COLUMNS]] = [self._address(a) for a in tables]
        line[[loops.FIRST, loops.SECOND]] = self._address(first), self._address(second)
        line[loops.STEP] = step

    def _address(self, array) -> int:
        """Where an array lies, which is kept; numbers are taken for places."""
        if array is None or isinstance(array, int):
            return array or 0
        self.kept.append(array)
        return array.ctypes.data

    def _memory(self):
        memory = np.zeros(self.size, np.float32)
        for grid in self.grids:
            if grid.fill and grid.storage is None:
                memory[grid._at : grid._at + grid.samples * grid.steps[0]] = grid.fill
        return memory

    def _arguments(self, x, memory):
        return x, memory, x, self.moves, self.limits, self.edges

    def holds(self) -> bool:
        """Whether variables have the arrays that they had."""
        for variable, value in self.values.values():  # noqa: SIM110 (`all` takes twice as long)
            if variable._value is not value:
                return False
        return True

    def __call__(self, x):
        """The output for an array; None if constants are no more what they were."""
        out = np.empty(self.output.shape, np.float32)
        return out if self.into(x, out) else None

    def into(self, x, out) -> bool:
        """Write the output for an array; whether constants are what they were."""
        try:
            memory = self.memories.pop()
        except IndexError:
            memory = self._memory()
        given = x.reshape(-1), memory, out.reshape(-1)
        same = self.run(*given, self.moves, self.limits, self.edges)
        self.memories.append(memory)
        return same


class Parts:
    """Programs for parts of the samples, each done by another thread.

    Args:
        parts: (first, last, program) of each.
    """

    def __init__(self, parts):
        self.parts = parts
        self.programs = {id(program): program for _, _, program in parts}.values()
        self.shape = parts[-1][1], *parts[0][2].output.shape[1:]

    def holds(self) -> bool:
        """Whether variables have the arrays that they had."""
        return all(program.holds() for program in self.programs)

    def __call__(self, x):
        """The output for an array; None if constants are no more what they were."""
        x, out = np.ascontiguousarray(x), np.empty(self.shape, np.float32)

        def work(some):
            return all(one.into(x[first:last], out[first:last]) for first, last, one in some)

        return out if all(share(work, self.parts, SHARED)) else None


def divided(write, shape):
    """The program `write(shape)`, or, if it has much to do, one for parts of the samples each; None
    if there are none, or fewer samples than threads."""
    whole, parts = write(shape), available()
    if parts < 2 or (whole is not None and whole.operations < SHARED):
        return whole
    if shape[0] < parts:
        return None
    ends = [shape[0] * i // parts for i in range(parts + 1)]
    made = {n: write((n, *shape[1:])) for n in {b - a for a, b in pairwise(ends)}}
    if None in made.values():
        return None
    return Parts([(a, b, made[b - a]) for a, b in pairwise(ends)])


def wanted(x) -> bool:
    """Whether programs are to be used for arrays like `x`, if they can be."""
    return x.dtype.char == "f" and jit.takes(x, least=0)


def at_once() -> bool:
    """Whether programs are used from the first call on."""
    return config.jit() is True
