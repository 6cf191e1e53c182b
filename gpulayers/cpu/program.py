"""Plans of inference as programs: networks that are small, or see few samples; see `jit.program`.

Kernels are read where they lie, except those with filters that do not fill vectors: of these and of
all else that was computed from variables, a program keeps what the variables were, and compares.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np

from .. import config, jit
from ..jit import program as loops
from ..jit import tiles
from ..ops import activation as smooth
from ..ops import rectifier as ramps
from ..ops.pooling import max_pooling
from ..ops.softmax import softmax
from . import inference
from .grids import Grid, Unwritable, joint, table
from .sliding import AXES, geometry
from .threads import available, share

USED = 16  # Calls after which it is worth a second to load Numba, or several to compile.
LARGEST_KERNEL = 1 << 16  # Elements; larger ones are not to be read where they lie by more than
FEW = 16  # rows of results.
FEW_ROWS = 3  # Up to so many, each is multiplied by itself.
MOST = 4e7  # Operations of a move: the ways for large arrays are as fast from there.
SHARED = 3e7  # Of all moves: another thread takes its time to wake up.
BOUNDS = {None: (-np.inf, np.inf), ramps.relu: (0, np.inf), ramps.relu6: (0, 6)}
CURVES = {smooth.sigmoid: loops.SIGMOID, smooth.tanh: loops.TANH, smooth.silu: loops.SILU,
          softmax: loops.SOFTMAX}  # fmt: skip


class Program:
    """What a plan does to arrays of one shape, as it is written and run."""

    unwritable, floor = Unwritable, inference

    def __init__(self, shape):
        self.grids, self.kept, self.values, self.checks, self._moves = [], [], {}, {}, []
        self._operations = []
        self.height, self.lanes = tiles.shape(4)
        self.input = self._grid(shape)

    def _grid(self, shape, storage=None) -> Grid:
        self.grids.append(Grid(shape, storage))
        return self.grids[-1]

    # What pieces write.

    def value(self, variable, fixed: bool = False):
        """The array of a variable, which is read in each run, or `fixed`, compared with now."""
        value = variable._value
        if type(value) is not np.ndarray or value.dtype.char != "f" or not value.flags.carray:
            raise Unwritable
        self.values[id(variable)] = variable, value
        if fixed:
            self.checks[id(variable)] = value, value.copy()
        return value

    def product(self, x: Grid, kernel, bias, factor, function, options, read=()) -> Grid:
        """A convolution or a product of matrices, with what follows it; see `cpu.inference`.

        read: the variables whose arrays kernel and bias are.
        """
        windows, filters = kernel.shape[:-2], kernel.shape[-1]
        rank = len(x.shape) - 2
        if len(windows) != rank:  # A product of matrices for each place.
            windows, options = (1,) * rank, {}
        strides, dilations = (options.get(k, (1,) * rank) for k in ("strides", "dilations"))
        padding, groups = options.get("padding", ((0, 0),) * rank), options.get("groups", 1)
        geo = geometry(x.shape, windows, filters, strides, padding, dilations, groups)
        by_channel = groups == geo.channels == filters >= self.lanes
        if geo.operations > MOST or not geo.outputs or not (groups == 1 or by_channel):
            raise Unwritable
        self._operations.append(geo.operations)
        y = self._grid((x.samples, *geo.counts[AXES - rank :], filters))
        rows = geo.outputs <= FEW_ROWS and geo.places == 1 == prod(geo.sizes)
        if rows and groups == 1:
            kind, kernel = loops.FEW_ROWS, kernel.reshape(-1, filters)
        else:
            if geo.depth * filters > LARGEST_KERNEL and geo.outputs > FEW:
                raise Unwritable
            x = self._with_margins(x, geo.padding, 0.0)
            kind, kernel = loops.CHANNELS, kernel.reshape(-1, filters)
            if not by_channel:
                kind = loops.PRODUCT
                if filters % self.lanes:
                    kernel, bias = (None if a is None else self._full(a) for a in (kernel, bias))
                    for variable in read:
                        self.value(variable, fixed=True)
        later, added = function not in BOUNDS or factor is not None, bias
        if bias is None or factor is not None:
            added = np.zeros(kernel.shape[-1], np.float32)

        def write():
            inner = zip(x.steps[1:4], geo.dilations, strict=True)
            columns = table(geo.windows, tuple(step * d for step, d in inner))[: geo.places]
            if kind == loops.PRODUCT:
                columns = (columns[:, None] + np.arange(x.channels)).reshape(-1)
            lows = zip(geo.padding, x.steps[1:4], strict=True)
            moved = zip(x.steps[1:4], geo.strides, strict=True)
            steps = (x.steps[0], *(step * s for step, s in moved))
            return dict(
                what=kind, begin=x.begin - sum(low * step for (low, _), step in lows),
                rows=table((geo.batch, *geo.counts), steps), to=y, count=geo.outputs,
                width=filters, depth=geo.depth, columns=columns, first=kernel, second=added,
                step=kernel.shape[-1], bounds=None if later else function,
            )  # fmt: skip

        self._moves.append(write)
        if factor is not None:
            return self.mapped(y, factor, bias, function, True)
        return self.curved(y, function, True) if later else y

    def _full(self, constant):
        """A kernel or a bias with zeros behind it, as many as fill vectors."""
        more = (0, -constant.shape[-1] % self.lanes)
        return np.pad(constant, [(0, 0)] * (constant.ndim - 1) + [more])

    def mapped(self, x: Grid, factor, offset, function, own: bool) -> Grid:
        """x factor + offset for each channel."""
        y = self._result(x, own)
        factor = np.ones(x.channels, np.float32) if factor is None else factor
        offset = np.zeros(x.channels, np.float32) if offset is None else offset
        factor, offset = (np.ascontiguousarray(a, np.float32) for a in (factor, offset))
        bounds = function if function in BOUNDS else None
        self._moves.append(
            lambda: self._each(loops.MAP, x, y, 0, bounds, first=factor, second=offset)
        )
        return y if function in BOUNDS else self.curved(y, function, True)

    def curved(self, x: Grid, function, own: bool) -> Grid:
        """A curve of each number, or of all channels."""
        if function in BOUNDS:
            return self.mapped(x, None, None, function, own)
        if function not in CURVES:
            raise Unwritable
        y, whole = self._result(x, own), 0 if function is softmax else AXES
        self._moves.append(lambda: self._each(CURVES[function], x, y, whole))
        return y

    def summed(self, arrays, function) -> Grid:
        """The sum of arrays of one shape."""
        total, *others = arrays
        for i, other in enumerate(others):
            last = i == len(others) - 1
            bounds = function if last and function in BOUNDS else None
            total = self._sum(total, other, bounds)
        return total if function in BOUNDS else self.curved(total, function, True)

    def _sum(self, a: Grid, b: Grid, bounds) -> Grid:
        y = self._result(a, False)

        def write():
            whole = joint(AXES, a, b, y)
            move = self._each(loops.SUM, a, y, whole, bounds)
            return move | dict(columns=b.places(whole), first=b.begin)

        self._moves.append(write)
        return y

    def pooled(self, x: Grid, operation, windows, strides, padding) -> Grid:
        """The largest of what each window sees, or the mean of what is in x."""
        largest, once = operation is max_pooling, (1,) * len(windows)
        geo = geometry(x.shape, windows, x.channels, strides, padding, once, x.channels)
        if not geo.outputs:
            raise Unwritable
        x = self._with_margins(x, geo.padding, -np.inf if largest else 0.0)
        y = self._grid((x.samples, *geo.counts[AXES - len(windows) :], x.channels))

        def write():
            lows = zip(geo.padding, x.steps[1:4], strict=True)
            moved = zip(x.steps[1:4], geo.strides, strict=True)
            steps = (x.steps[0], *(step * s for step, s in moved))
            return dict(
                what=loops.LARGEST if largest else loops.MEAN, to=y, count=geo.outputs,
                begin=x.begin - sum(low * step for (low, _), step in lows), width=x.channels,
                rows=table((geo.batch, *geo.counts), steps), depth=geo.places,
                columns=table(geo.windows, x.steps[1:4]), first=shares(geo),
            )  # fmt: skip

        self._moves.append(write)
        return y

    def rows(self, x: Grid, shape) -> Grid:
        """The numbers of each sample, one behind the other."""
        if x.fill is not None:
            x = self._copy(x)
        x.fixed = True
        return self._grid((x.samples, *shape), storage=x if x.storage is None else x.storage)

    def widened(self, x: Grid, widths) -> Grid:
        """Zeros around x: (before, after) for each axis."""
        inner = widths[1:-1]
        if any(widths[0]) or any(widths[-1]) or min(map(min, inner)) < 0:
            raise Unwritable
        sizes = [low + n + high for n, (low, high) in zip(x.shape[1:-1], inner, strict=True)]
        y = self._grid((x.samples, *sizes, x.channels))
        y.lasting = True
        lows = [0] * (AXES - len(inner)) + [low for low, _ in inner]

        def write():
            places = table((x.samples, *x.sizes), y.steps[:-1])
            places = places + sum(low * s for low, s in zip(lows, y.steps[1:4], strict=True))
            return self._each(loops.COPY, x, y, 0) | dict(places=places)

        self._moves.append(write)
        return y

    def _with_margins(self, x: Grid, margins, fill) -> Grid:
        if x.takes(margins, fill):
            return x
        y = self._copy(x)
        y.takes(margins, fill)
        return y

    def _copy(self, x: Grid) -> Grid:
        y = self._grid(x.shape)
        self._moves.append(lambda: self._each(loops.COPY, x, y, AXES))
        return y

    def _result(self, x: Grid, own: bool) -> Grid:
        return x if own and not x.lasting else self._grid(x.shape)

    def _each(self, what, x, y, whole, bounds=None, **more):
        """A move from places of x to those of y, of which some axes may be one."""
        whole = joint(whole, x, y)
        rows = x.places(whole)
        width = prod(x.sizes[AXES - whole :]) * x.channels if whole else x.channels
        count = prod((x.samples, *x.sizes)[: AXES + 1 - whole])
        return dict(what=what, begin=x.begin, rows=rows, to=y, count=count, width=width,
                    whole=whole, bounds=bounds, **more)  # fmt: skip

    @property
    def operations(self) -> int:
        """Of all products."""
        return sum(self._operations)

    # What is run.

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
        moves = [enter(), *(write() for write in self._moves), leave()]
        checks = list(self.checks.values())
        self.moves = np.zeros((len(checks) + len(moves), loops.FIELDS), np.intp)
        self.limits = np.zeros((len(self.moves), 2), np.float32)
        for line, (value, copy) in zip(self.moves, checks, strict=False):
            line[[0, loops.COUNT]] = loops.SAME, value.size
            line[[loops.FIRST, loops.SECOND]] = self._address(value), self._address(copy)
        for i, move in enumerate(moves, len(checks)):
            self._write(self.moves[i], **move)
            self.limits[i] = BOUNDS[move.get("bounds")]
        tall = 2 * self.height
        offsets = np.arange(tall) * 2 * self.lanes
        self.edges = np.concatenate([[tall, self.lanes], offsets, 0 * offsets])
        self.memories = []
        self.run = loops.run.ready(*self._arguments(np.zeros(0, np.float32), self._memory()))

    def _write(self, line, what, begin, rows, to, count, width, depth=0, columns=None, first=None,
               second=None, step=0, whole=0, bounds=None, places=None):  # fmt: skip
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


def shares(geo):
    """What the sum of a window's elements is multiplied by for their mean."""
    found = np.ones(1, np.float32)
    axes = zip(geo.sizes, geo.windows, geo.strides, geo.padding, geo.counts, strict=True)
    for n, k, s, (low, _), count in axes:
        start = np.arange(count) * s - low
        there = np.minimum(start + k, n) - np.maximum(start, 0)
        found = (found[:, None] / there).reshape(-1)
    return np.tile(found, geo.batch).astype(np.float32)


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
