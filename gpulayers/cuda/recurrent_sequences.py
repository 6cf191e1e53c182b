"""Sequences of recurrent layers on the GPU as kernels see them: arrays, weights, and steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .dense import NAMES
from .matrices import Matrices
from .module import Module, blocks, contiguous, empty
from .partial_sums import accumulator

source = Module("recurrent")

THREADS = 256
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


class Weights(NamedTuple):
    """What one direction has: inputs (N, steps, D), first states (N, U) each, and weights."""

    x: object
    first: tuple
    kernel: object
    recurrent: object
    bias: object


class Sequences:
    """Sequences in one direction, or in both, and what becomes of them.

    Arrays of all directions: `gates` (directions, N, steps, U * slots), `states`, `carries` and
    `reset` (directions, N, steps, U), `first` and `carry` (directions, N, U); `packed` has the
    recurrent weights of each product, (directions, U, U * slots).
    """

    def __init__(self, cell: Cell, activations: dict, directions: list[Weights], mask=None):
        one = directions[0]
        self.cell, self.given = cell, directions
        self.mask = None if mask is None else contiguous(mask)
        self.directions, self.dtype = len(directions), one.x.dtype
        self.count, self.steps = one.x.shape[:2]
        self.units = one.recurrent.shape[0]
        self.names = {
            "T": self.dtype, "CELL": cell.name,
            "ACTIVATION": NAMES[activations["activation"]],
            "GATE": NAMES[activations.get("recurrent_activation")],
        }  # fmt: skip
        self.sizes = np.array([(self.count, self.steps, self.units)], SIZES)

    def shape(self, *widths) -> tuple[int, ...]:
        """(directions, N, steps, *widths)."""
        return (self.directions, self.count, self.steps, *widths)

    def kernel(self, name):
        """One of the kernels of recurrent.cu."""
        return source.kernel(name, **self.names)

    def launch(self, name, *args) -> None:
        """A kernel with a thread for each unit of all sequences."""
        grid = blocks(self.directions * self.count * self.units, THREADS)
        self.kernel(name)(grid, THREADS, *args)

    # Weights, as kernels want them, and back.

    def _pack(self, weights, packed, order, *, unpack=False, add=False):
        rows, gates = weights.size // (self.cell.gates * self.units), self.cell.gates
        grid = blocks(rows * self.units, THREADS)
        self.kernel("recurrent_pack")(
            grid, THREADS, weights, packed, rows, self.units, gates, order, unpack, add
        )

    def packed_weights(self, name: str, order: int):
        """Those of all directions, in the order of slots."""
        all_of_them = [contiguous(getattr(one, name)) for one in self.given]
        rows = all_of_them[0].shape[0]
        packed = empty((self.directions, rows, self.units * self.cell.slots), self.dtype)
        for weights, place in zip(all_of_them, packed, strict=True):
            self._pack(weights, place, order)
        return packed

    def _packed_biases(self):
        biases, cell = [one.bias for one in self.given], self.cell
        if biases[0] is None:
            return None
        packed = empty((self.directions, self.units * cell.slots), self.dtype)
        for bias, place in zip(biases, packed, strict=True):
            of_inputs, of_states = (bias[0], bias[1]) if bias.ndim == 2 else (bias, None)
            self._pack(contiguous(of_inputs), place, cell.of_inputs)
            if of_states is not None:
                self._pack(contiguous(of_states), place, cell.of_states[0], add=True)
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
        """Everything that is there before the first step, but for `gates`."""
        cell, units = self.cell, self.units
        self.packed_kernel = self.packed_weights("kernel", cell.of_inputs)
        self.packed = [self.packed_weights("recurrent", order) for order in cell.of_states]
        self.bias = self._packed_biases()
        firsts = [stacked([one.first[i] for one in self.given]) for i in range(cell.states)]
        self.first, self.first_carry = firsts[0], firsts[1] if cell is LSTM else None
        self.gates = empty(self.shape(units * cell.slots), self.dtype)
        self.states = empty(self.shape(units), self.dtype)
        self.carries = empty(self.shape(units), self.dtype) if cell is LSTM else None
        self.reset = empty(self.shape(units), self.dtype) if cell is GRU_BEFORE else None

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
    for place, one in zip(y, arrays, strict=True):
        place[...] = one
    return y
