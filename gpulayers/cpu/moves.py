"""Moves of programs, as the pieces of a plan of inference write them: see `program.py`."""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from ..jit import program_table as loops
from ..jit import tiles
from ..ops import activation as smooth
from ..ops import rectifier as ramps
from ..ops.activation import SELU_ALPHA, SELU_SCALE
from ..ops.pooling import max_pooling
from ..ops.softmax import softmax
from . import inference
from .grids import Grid, Unwritable, joint, table
from .recurrent_moves import recurrent
from .sliding import AXES, geometry

LARGEST_KERNEL = 1 << 16  # Elements; larger ones are not to be read where they lie by more than
FEW = 16  # rows of results.
FEW_ROWS = 3  # Up to so many, each is multiplied by itself.
MOST = 4e7  # Operations of a move: the ways for large arrays are as fast from there.
BOUNDS = {None: (-np.inf, np.inf), ramps.relu: (0, np.inf), ramps.relu6: (0, 6)}
# Moves of curves, and two numbers that they have.
CURVES = {
    smooth.sigmoid: (loops.SIGMOID, 0, 0), smooth.tanh: (loops.TANH, 0, 0),
    smooth.silu: (loops.SILU, 0, 0), smooth.elu: (loops.ELU, 1, 1),
    smooth.selu: (loops.ELU, SELU_SCALE, SELU_SCALE * SELU_ALPHA), softmax: (loops.SOFTMAX, 0, 0),
    (smooth.gelu, ("approximate", False)): (loops.GELU, 0, 0),
    (ramps.leaky_relu, ("negative_slope", 0.2)): (loops.LEAKY, 0.2, 0),
}  # fmt: skip


class Moves:
    """What a plan does to arrays of one shape.

    Methods take grids, in the place of arrays, and give one.
    """

    unwritable, floor = Unwritable, inference

    def __init__(self, shape):
        self.grids, self.kept, self.values, self.checks, self._moves = [], [], {}, {}, []
        self._operations = []
        self.height, self.lanes = tiles.shape(4)
        self.input = self._grid(shape)

    def _grid(self, shape, storage=None) -> Grid:
        self.grids.append(Grid(shape, storage))
        return self.grids[-1]

    def value(self, variable, fixed: bool = False):
        """The array of a variable, which is read in each run, or `fixed`, compared with now."""
        value = variable._value
        there = type(value) is np.ndarray and value.dtype == np.float32
        if not there or not (value.flags.c_contiguous and value.flags.aligned):
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
        if isinstance(function, partial):
            function = function.func, *function.keywords.items()
        if function not in CURVES:
            raise Unwritable
        y, whole = self._result(x, own), 0 if function is softmax else AXES
        what, *numbers = CURVES[function]
        self._moves.append(lambda: self._each(what, x, y, whole, numbers=numbers))
        return y

    def normalized(self, x: Grid, gamma, beta, epsilon: float) -> Grid:
        """The channels of each place with mean 0 and deviation 1, times gamma, plus beta."""
        y = self._grid(x.shape)
        gamma, beta = (
            np.full(x.channels, fill, np.float32) if v is None else self.value(v)
            for v, fill in ((gamma, 1), (beta, 0))
        )
        self._moves.append(
            lambda: self._each(
                loops.NORMAL, x, y, 0, first=gamma, second=beta, numbers=(epsilon, 0)
            )
        )
        return y

    def recurrent(self, x: Grid, *cell, **ways) -> Grid:
        """All steps of a recurrent layer; see `recurrent_moves.py`."""
        return recurrent(self, x, *cell, **ways)

    def joined(self, grids) -> Grid:
        """The channels of one array behind those of another."""
        y = self._grid((*grids[0].shape[:-1], sum(grid.channels for grid in grids)))
        begin = 0
        for grid in grids:
            self._moves.append(partial(self._put, grid, y, begin))
            begin += grid.channels
        return y

    def _put(self, x: Grid, y: Grid, begin: int) -> dict:
        return self._each(loops.COPY, x, y, 0) | dict(places=y.places() + begin)

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
        if not own or x.lasting:
            return self._grid(x.shape)
        x.maker = None
        return x

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


def shares(geo):
    """What the sum of a window's elements is multiplied by for their mean."""
    found = np.ones(1, np.float32)
    axes = zip(geo.sizes, geo.windows, geo.strides, geo.padding, geo.counts, strict=True)
    for n, k, s, (low, _), count in axes:
        start = np.arange(count) * s - low
        there = np.minimum(start + k, n) - np.maximum(start, 0)
        found = (found[:, None] / there).reshape(-1)
    return np.tile(found, geo.batch).astype(np.float32)
