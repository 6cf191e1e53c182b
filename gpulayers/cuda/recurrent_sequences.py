"""Sequences of recurrent layers on the GPU as kernels see them: arrays, weights, and steps."""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

import numpy as np

from . import gemm
from .activation import curve_of
from .matrices import Matrices
from .module import Module, blocks, contiguous, empty, other_work
from .partial_sums import accumulator

source = Module("recurrent")

THREADS = 256
# Bytes of the gates that are in memory at a time, unless these are fewer steps.
AT_ONCE, LEAST_STEPS = 1 << 26, 16
SIZES = np.dtype([(name, "i8") for name in ("count", "steps", "units")])


class Cell(NamedTuple):
    """A cell as the kernels know it.

    Orders say which gate of the weights each slot of a unit has, from the lowest four bits on; 15:
    none.  There is one for each product of states.
    """

    name: str
    gates: int
    slots: int
    of_inputs: int
    of_states: tuple[int, ...]

    @property
    def states(self) -> int:
        """How many states go from step to step."""
        return 2 if self.name == "LSTM" else 1


SIMPLE = Cell("SIMPLE", 1, 1, 0, (0,))
LSTM = Cell("LSTM", 4, 4, 0x3210, (0x3210,))
GRU = Cell("GRU", 3, 4, 0xF210, (0x2F10,))
GRU_BEFORE = Cell("GRU_BEFORE", 3, 4, 0xF210, (0xFF10, 0xF2FF))


CELLS = {"simple_rnn": SIMPLE, "lstm": LSTM, "gru": GRU}


def cell_of(operation: str, reset_after: bool = True) -> Cell:
    """The cell of an operation of `ops.recurrent`."""
    return CELLS[operation] if reset_after else GRU_BEFORE


class Weights(NamedTuple):
    """What one direction has: inputs (N, steps, D), first states (N, U) each, and weights."""

    x: object
    first: tuple
    kernel: object
    recurrent: object
    bias: object


class Sequences:
    """Sequences in one direction, or in both, or some steps of them, and what becomes of them.

    Arrays of all directions: `gates` (directions, N, steps, U * slots), `states`, `carries` and
    `reset` (directions, N, steps, U), `first` and `first_carry` (directions, N, U), `mask`
    (directions, N, steps).  `packed` is where weights are kept as kernels want them, for others,
    too, that have the same ones.
    """

    def __init__(
        self, cell: Cell, activations: dict, directions: list[Weights], mask=None, packed=None
    ):
        one = directions[0]
        self.cell, self.given = cell, directions
        self.directions, self.dtype = len(directions), one.x.dtype
        self.count, self.steps = one.x.shape[:2]
        self.units, self.places = one.recurrent.shape[0], None
        self.x, self._packed = [one.x for one in directions], {} if packed is None else packed
        self.mask = None if mask is None else stacked([mask] * self.directions)
        self.names = {
            "T": self.dtype, "CELL": cell.name,
            "ACTIVATION": curve_of(activations["activation"]).name,
            "GATE": curve_of(activations.get("recurrent_activation")).name,
        }  # fmt: skip

    @property
    def sizes(self) -> np.ndarray:
        """As the kernels take them."""
        return np.array([(self.count, self.steps, self.units)], SIZES)

    def shape(self, *widths) -> tuple[int, ...]:
        """(directions, N, steps, *widths)."""
        return (self.directions, self.count, self.steps, *widths)

    def kernel(self, name):
        """One of the kernels of recurrent.cu."""
        return source.kernel(name, **self.names)

    def launch(self, name, *args, steps=1) -> None:
        """A kernel with a thread for each unit of all sequences, at so many steps."""
        grid = blocks(self.directions * self.count * self.units * steps, THREADS)
        self.kernel(name)(grid, THREADS, *args)

    # Steps in parts.

    def parts(self) -> list[tuple[int, int]]:
        """From which step to which the parts go whose gates are in memory at a time."""
        each = self.directions * self.count * self.units * self.cell.slots * self.dtype.itemsize
        steps = max(AT_ONCE // max(each, 1), LEAST_STEPS)
        return [(a, min(a + steps, self.steps)) for a in range(0, self.steps, steps)]

    def part(self, start: int, stop: int) -> Sequences:
        """Those steps of each direction as sequences of their own: all steps are these ones."""
        if stop - start == self.steps:
            return self
        other_work()
        part = copy(self)
        part.steps = stop - start
        part.places = [slice(start, stop), slice(self.steps - stop, self.steps - start)]
        part.x = [contiguous(x[:, place]) for x, place in zip(self.x, part.places, strict=False)]
        part.mask, part.states, part.carries = part.cut(self.mask), None, None
        if start:
            part.first = self._after(start - 1, self.states)
            part.first_carry = self._after(start - 1, self.carries)
        return part

    def _after(self, step: int, states):
        """The states after a step, (directions, N, U)."""
        if states is None:
            return None
        pairs = zip(states, (step, self.steps - 1 - step), strict=False)
        return stacked([one[:, place] for one, place in pairs])

    def cut(self, array):
        """These steps of an array of all steps; a copy unless these are all."""
        if array is None or self.places is None:
            return array
        found = empty((*array.shape[:2], self.steps, *array.shape[3:]), array.dtype)
        for to, one, place in zip(found, array, self.places, strict=False):
            to[...] = one[:, place]
        return found

    def put(self, array, found) -> None:
        """Put these steps where they belong in an array of all steps, if they are not there."""
        if array is not found:
            for to, one, place in zip(array, found, self.places, strict=False):
                to[:, place] = one

    def allocate(self) -> None:
        """Memory for what becomes of the steps, where there is none."""
        units, dtype = self.units, self.dtype
        self.gates = empty(self.shape(units * self.cell.slots), dtype)
        self.reset = empty(self.shape(units), dtype) if self.cell is GRU_BEFORE else None
        if self.states is None:
            self.states = empty(self.shape(units), dtype)
            self.carries = empty(self.shape(units), dtype) if self.cell is LSTM else None

    def project(self) -> None:
        """The products of the inputs, to `gates`."""
        for x, weights, gates in zip(self.x, self.packed_kernel, self.gates, strict=True):
            gemm.matmul(x, weights, out=gates)

    def before(self):
        """The states before each step, (directions, N, steps, U)."""
        found = empty(self.shape(self.units), self.dtype)
        found[0, :, 0], found[0, :, 1:] = self.first[0], self.states[0, :, :-1]
        if self.directions > 1:
            found[1, :, -1], found[1, :, :-1] = self.first[1], self.states[1, :, 1:]
        return found

    # Weights, as kernels want them, and back.

    def _pack(self, weights, packed, order, *, unpack=False, add=False):
        rows, gates = weights.size // (self.cell.gates * self.units), self.cell.gates
        grid = blocks(rows * self.units, THREADS)
        self.kernel("recurrent_pack")(
            grid, THREADS, weights, packed, rows, self.units, gates, order, unpack, add
        )

    def packed_weights(self, name: str, order: int):
        """Those of all directions, in the order of slots."""
        if (name, order) not in self._packed:
            all_of_them = [contiguous(getattr(one, name)) for one in self.given]
            rows = all_of_them[0].shape[0]
            packed = empty((self.directions, rows, self.units * self.cell.slots), self.dtype)
            for weights, place in zip(all_of_them, packed, strict=True):
                self._pack(weights, place, order)
            self._packed[name, order] = packed
        return self._packed[name, order]

    def _packed_biases(self):
        biases, cell = [one.bias for one in self.given], self.cell
        if biases[0] is None or "bias" in self._packed:
            return self._packed.get("bias")
        packed = empty((self.directions, self.units * cell.slots), self.dtype)
        for bias, place in zip(biases, packed, strict=True):
            of_inputs, of_states = (bias[0], bias[1]) if bias.ndim == 2 else (bias, None)
            self._pack(contiguous(of_inputs), place, cell.of_inputs)
            if of_states is not None:
                self._pack(contiguous(of_states), place, cell.of_states[0], add=True)
        self._packed["bias"] = packed
        return packed

    def unpacked(self, packed, like, order: int, y=None):
        """The weights in their own order; where `y` is given, the gates of the order in there."""
        y = empty(like.shape, self.dtype) if y is None else y
        self._pack(y, packed, order, unpack=True)
        return y

    # Steps as matrices.

    def at(self, array, step: int) -> Matrices:
        """A step (N, width) of an array (directions, N, steps, width), in all directions."""
        width = array.shape[-1]
        last = self.steps - 1
        stride = self.count * self.steps * width + (last - 2 * step) * width
        return Matrices(
            array, self.count, width, False, self.steps * width,
            stride if self.directions > 1 else 0, step * width,
        )  # fmt: skip

    def all_at_once(self, array) -> Matrices:
        """The rows (N, width) of an array (directions, N, width)."""
        width = array.shape[-1]
        return Matrices(array, self.count, width, False, width, self.count * width)

    def weights(self, packed, *, turned=False) -> Matrices:
        """The recurrent weights of a product, or their transpose."""
        rows, columns = packed.shape[1:]
        shape = (columns, rows) if turned else (rows, columns)
        return Matrices(packed, *shape, turned, columns, rows * columns)

    def make(self) -> None:
        """Everything that is there before the first step."""
        cell = self.cell
        self.bias = self._packed_biases()
        firsts = [stacked([one.first[i] for one in self.given]) for i in range(cell.states)]
        self.first, self.first_carry = firsts[0], firsts[1] if cell is LSTM else None
        self.states = empty(self.shape(self.units), self.dtype)
        self.carries = empty(self.shape(self.units), self.dtype) if cell is LSTM else None

    @property
    def packed_kernel(self):
        """The weights of the inputs."""
        return self.packed_weights("kernel", self.cell.of_inputs)

    @property
    def packed(self):
        """The recurrent weights of each product."""
        return [self.packed_weights("recurrent", order) for order in self.cell.of_states]

    @property
    def together(self):
        """The recurrent weights in one, of all products."""
        order, *others = self.cell.of_states
        return self.packed_weights("recurrent", self.cell.of_inputs if others else order)

    def carried(self):
        """What goes from step to step: a copy of first carries or states; None if nothing does."""
        if self.cell is SIMPLE:
            return None
        carry = self.first_carry if self.cell is LSTM else self.first
        return carry.astype(accumulator(self.dtype))


def stacked(arrays):
    """Arrays behind each other along a new first axis."""
    if len(arrays) == 1:
        return contiguous(arrays[0])[None]
    y = empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
    other_work()
    for place, one in zip(y, arrays, strict=True):
        place[...] = one
    return y
