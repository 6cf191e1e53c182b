"""Plans of inference as programs: networks that are small, or see few samples; see `jit.program`.

Kernels are read where they lie, except those with filters that do not fill vectors: of these and of
all else that was computed from variables, a program keeps what the variables were, and compares.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from time import sleep

import numpy as np

from .. import config, jit
from ..jit import chains as progress
from ..jit import program as loops
from ..jit import program_table as fields
from .chains import Chain, tables, written
from .grids import Grid, Unwritable
from .moves import BOUNDS, Moves
from .sliding import AXES
from .threads import ENOUGH, available, share

USED = 16  # Calls after which it is worth a second to load Numba, or several to compile.
LARGEST_MEMORY = 1 << 21  # Numbers: a program keeps its memory.
ROWS_OF_A_PART = 8  # Of what is projected at a time, where threads share layers of steps.
PAGE = 1 << 19  # Numbers of a large page.
SHARED = 3e7  # Operations of all moves: another thread takes its time to wake up.


class Program(Moves):
    """Moves that are run, all in one call, by any number of threads at once."""

    def finish(self, y: Grid) -> None:
        """Give all grids their places, and write the table."""
        self.output, at = y, 4 * self.height * self.lanes
        y.fixed = True
        x, out = Grid(self.input.shape), Grid(y.shape)
        x.place(0), out.place(0)
        enter = lambda: self._each(fields.ENTER, x, self.input, AXES)
        leave = lambda: self._each(fields.LEAVE, y, out, AXES)
        for grid in self.grids:
            at = grid.place(at)
        # Behind it there is what vectors read, and room for two threads.
        more = progress.LINE // 4 * (len(self._moves) + 3) + 4 * self.height * self.lanes
        self.size = at + more + 4 * self.lanes
        if self.size > LARGEST_MEMORY:
            raise Unwritable
        checks = [partial(self._check, *pair) for pair in self.checks.values()]
        size = self._steps_of_a_part()
        moves, chains = written([*checks, enter, *self._moves, leave], size)
        self.moves = np.zeros((len(moves), fields.FIELDS), np.intp)
        self.limits = np.zeros((len(moves), 2), np.float32)
        for line, limits, move in zip(self.moves, self.limits, moves, strict=True):
            bounds, numbers = move.pop("bounds", None), move.pop("numbers", None)
            self._write(line, **move)
            limits[:] = BOUNDS[bounds] if numbers is None else numbers
        tall = 2 * self.height
        offsets = np.arange(tall) * 2 * self.lanes
        self.progress = self.chains = self.shared = None
        if self.steps:
            self.chains = np.zeros(progress.ORDER, np.intp)
        if size:
            self.progress = slice(at, at + progress.LINE // 4 * (len(chains) + 1))
            self.shared = tables(chains, at, self.progress.stop)
        self.edges = np.concatenate([[tall, self.lanes], offsets, 0 * offsets])
        self.memories = []
        self.run = loops.run.ready(*self._arguments(np.zeros(0, np.float32), self._memory()))

    def _check(self, value, copy) -> dict:
        """The move that compares an array with what it was."""
        return dict(what=fields.SAME, begin=0, rows=None, to=self.input, count=value.size, width=0,
                    places=0, first=value, second=copy)  # fmt: skip

    def _steps_of_a_part(self) -> int | None:
        """How many steps are done at a time if threads share them; None if not."""
        if self.operations < ENOUGH or available() < 2:
            return None
        return -(-ROWS_OF_A_PART // self.input.samples) if self.steps > 1 else None

    @property
    def steps(self) -> int:
        """How many layers go from step to step."""
        return sum(isinstance(move, Chain) and move.stays for move in self._moves)

    @property
    def least(self) -> float:
        """The operations from which on samples are shared among threads: of steps, that wait for
        weights, each takes longer."""
        return ENOUGH if self.steps else SHARED

    def _write(self, line, what, begin, rows, to, count, width, depth=0, columns=None, first=None,
               second=None, step=0, whole=0, places=None, room=0):  # fmt: skip
        line[[0, fields.FROM, fields.TO]] = what, begin, to.begin
        line[[fields.COUNT, fields.WIDTH, fields.DEPTH]] = count, width, depth
        tables = rows, to.places(whole) if places is None else places, columns
        line[[fields.ROWS, fields.PLACES, fields.COLUMNS]] = [self._address(a) for a in tables]
        line[[fields.FIRST, fields.SECOND]] = self._address(first), self._address(second)
        line[[fields.STEP, fields.ROOM]] = step, room

    def _address(self, array) -> int:
        """Where an array lies, which is kept; numbers are taken for places."""
        if array is None or isinstance(array, int):
            return array or 0
        self.kept.append(array)
        return array.ctypes.data

    def _memory(self):
        memory = memory_of_steps(self.size) if self.steps else np.zeros(self.size, np.float32)
        for grid in self.grids:
            if grid.fill and grid.storage is None:
                memory[grid._at : grid._at + grid.samples * grid.steps[0]] = grid.fill
        return memory

    def _arguments(self, x, memory):
        return x, memory, x, self.moves, self.limits, self.edges, self.chains

    def holds(self) -> bool:
        """Whether variables have the arrays that they had."""
        for variable, value in self.values.values():  # noqa: SIM110 (`all` takes twice as long)
            if variable._value is not value:
                return False
        return True

    def __call__(self, x):
        """The output for an array; None if constants are no more what they were."""
        out = np.empty(self.output.shape, np.float32)
        shared = self.shared is not None and available() > 1
        return out if self.into(x, out, shared) else None

    def into(self, x, out, shared: bool = False) -> bool:
        """Write the output for an array; whether constants are what they were.

        shared: whether another thread may do some of it.
        """
        try:
            memory = self.memories.pop()
        except IndexError:
            memory = self._memory()
        x, y = x.ravel(), out.reshape(-1)  # Of one row, `reshape` may give every other number.
        if shared:
            memory[self.progress] = 0
            found = self._shared(x, memory, y)
        else:
            found = self.run(x, memory, y, self.moves, self.limits, self.edges, self.chains)
        self.memories.append(memory)
        return found != progress.CHANGED

    def _shared(self, *given):
        """What comes of a run that two threads share."""
        fixed, waiting = (self.moves, self.limits, self.edges), progress.WAITING

        def work(some):
            found = progress.DONE
            for who in some:
                while (found := self.run(*given, *fixed, self.shared[who])) == waiting:
                    sleep(0)  # Another thread needs the core that this one is on.
            return found

        found = share(work, range(2), self.operations)
        return progress.CHANGED if progress.CHANGED in found else progress.DONE


def memory_of_steps(size: int):
    """So many zeros for what is read again at each step: in a large page, if they nearly fill one.

    Of small pages, many may have the same few places in a core's second cache, by chance.  For
    arrays of 4 MB NumPy asks for large ones, which come when they are first written to.
    """
    if size < PAGE // 2:
        return np.zeros(size, np.float32)
    found = np.empty(size + 2 * PAGE, np.float32)
    begin = -found.ctypes.data // 4 % PAGE
    found = found[begin : begin + size]
    found[...] = 0
    return found


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
    if parts < 2 or (whole is not None and whole.operations < whole.least):
        return whole
    if whole is not None and whole.steps and (whole.shared is not None or shape[0] < parts):
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
