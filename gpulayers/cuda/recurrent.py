"""SimpleRNN, LSTM and GRU over sequences of CuPy arrays.

The products of the inputs of all steps are one product before the steps, those of the gradients of
the weights one each after them.  A unit's gates lie side by side (recurrent.cuh), so that weights
are rearranged first, and their gradients last.  In between one step follows the other:

| by | a step is |
| --- | --- |
| "products" | a product of `gemm`, and one launch for all that follows it: recurrent.cu |
| "steps" | one launch with the product in it: recurrent_step.cu |
| "scan" | a part of the one launch for all steps: recurrent_scan.cu |

For the gradient the gates of all steps are kept, in the place of the products of the inputs: to
compute them again would take a product as large as all of the forward pass.  Where that is too
much memory, `ops.recurrent` computes long sequences in segments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..ops import recurrent as ops
from . import gemm, recurrent_scan, recurrent_step
from .activation import bias_activation_backward
from .dense import NAMES
from .matrices import Matrices
from .module import Module, blocks, contiguous, empty, empty_like, is_float
from .partial_sums import accumulator

_source = Module("recurrent")

THREADS = 256
# From so many sequences times units squared on, cuBLAS's product of a step takes longer than the
# launch behind it.  An estimate, to be measured: 8 us at 300 TFLOP/s.
PRODUCTS_FROM = 2**28
SIZES = np.dtype([(name, "i8") for name in ("count", "steps", "units")])

INSTANCES = [
    {"T": dtype, "CELL": cell, "ACTIVATION": activation, "GATE": gate}
    for dtype, cell, activation, gate in (
        ("float32", "LSTM", "TANH", "SIGMOID"),
        ("bfloat16", "GRU", "TANH", "SIGMOID"),
        ("float32", "GRU_BEFORE", "TANH", "SIGMOID"),
        ("bfloat16", "SIMPLE", "TANH", "SIGMOID"),
        ("float64", "LSTM", "RELU", "SIGMOID"),
    )
]


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
        self.cell, self.given, self.mask = cell, directions, mask
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
        return _source.kernel(name, **self.names)

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

    # There and back.

    def forward(self, save: bool) -> None:
        """Compute the states; and keep the gates, if they are to be saved."""
        cell, units = self.cell, self.units
        packed = self.packed_weights("kernel", cell.of_inputs)
        self.packed_kernel = packed
        self.gates = empty(self.shape(units * cell.slots), self.dtype)
        for one, weights, gates in zip(self.given, packed, self.gates, strict=True):
            gemm.matmul(one.x, weights, out=gates)
        self.bias = self._packed_biases()
        self.packed = [self.packed_weights("recurrent", order) for order in cell.of_states]
        firsts = [_stacked([one.first[i] for one in self.given]) for i in range(len(one.first))]
        self.first, self.first_carry = firsts[0], firsts[1] if cell is LSTM else None
        self.states = empty(self.shape(units), self.dtype)
        self.carries = empty(self.shape(units), self.dtype) if cell is LSTM else None
        self.reset = empty(self.shape(units), self.dtype) if cell is GRU_BEFORE else None
        self.way = way(self)
        if self.states.size:
            WAYS[self.way][0](self, save)

    def carried(self):
        """What goes from step to step: a copy of first carries or states; None if nothing does."""
        if self.cell is SIMPLE:
            return None
        carry = self.first_carry if self.cell is LSTM else self.first
        return carry.astype(accumulator(self.dtype))

    def backward(self, g, g_carry):
        """The gradients of what gates were computed from, of the first states and carries."""
        d, wide = empty_like(self.gates), accumulator(self.dtype)
        d_first, direct = empty_like(self.first), empty(self.first.shape, wide)
        d_first_carry = d_carry = None
        if self.cell is LSTM:
            d_first_carry, d_carry = empty_like(self.first), empty(self.first.shape, wide)
        if self.states.size:
            WAYS[self.way][1](self, g, g_carry, d, direct, d_carry)
            back = None
            if self.way != "scan":
                back, turned = empty_like(self.first), self.weights(self.packed[0], turned=True)
                gemm.multiply(self.at(d, 0), turned, self.all_at_once(back), self.directions)
            self.launch(
                "recurrent_finish", back, direct, d_carry, d_first, d_first_carry, d_first.size
            )
        return d, d_first, d_first_carry


def _stacked(arrays):
    """Arrays behind each other along a new first axis."""
    if len(arrays) == 1:
        return contiguous(arrays[0])[None]
    y = empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
    for place, one in zip(y, arrays, strict=True):
        place[...] = one
    return y


# A step as a product and a launch.


def forward_by_products(run: Sequences, save: bool) -> None:
    """All steps, from `run.gates` to `run.states`."""
    carry, before = run.carried(), run.all_at_once(run.first)
    for step in range(run.steps):
        gates = run.at(run.gates, step)
        for second, packed in enumerate(run.packed):
            left = run.at(run.reset, step) if second else before
            gemm.multiply(left, run.weights(packed), gates, run.directions, True)
            run.launch(
                "recurrent_forward", run.gates, run.bias, run.first, run.states, run.carries, carry,
                run.reset, run.mask, run.sizes, run.directions, step, save, bool(second),
            )  # fmt: skip
        before = run.at(run.states, step)


def backward_by_products(run: Sequences, g, g_carry, d, direct, d_carry) -> None:
    """All steps back: gradients of what gates were computed from, and those that are carried."""
    back = empty_like(run.first)
    product = run.all_at_once(back)
    for step in range(run.steps - 1, -1, -1):
        given = back if step < run.steps - 1 else None
        for second in range(len(run.packed)):
            run.launch(
                "recurrent_backward", g, g_carry, run.gates, run.first, run.first_carry, run.states,
                run.carries, d, given, direct, d_carry, run.mask, run.sizes, run.directions, step,
                bool(second),
            )  # fmt: skip
            # First what comes through r, for z and r come from the first product.
            if step or second < len(run.packed) - 1:
                turned = run.weights(run.packed[-1 - second], turned=True)
                gemm.multiply(run.at(d, step), turned, product, run.directions)
            given = back


WAYS = {
    "products": (forward_by_products, backward_by_products),
    "steps": (recurrent_step.forward, recurrent_step.backward),
    "scan": (recurrent_scan.forward, recurrent_scan.backward),
}


def way(run: Sequences) -> str:
    """Which of `WAYS` is expected to be the fastest.  For "scan", `run` gets the plan for it."""
    run.plan = recurrent_scan.plan(run)
    if run.plan is not None:
        return "scan"
    many = run.count * run.units**2 >= PRODUCTS_FROM
    return "products" if many and not gemm.capturing() else "steps"


# The operations.


def _direction(arrays, states: int) -> Weights:
    x, rest = arrays[0], arrays[1:]
    return Weights(x, tuple(rest[:states]), *rest[states : states + 3])


def _fits(*directions) -> bool:
    return all(is_float(one.x, *one.first, *one[2:]) for one in directions)


def gradients(run: Sequences, g, g_carry, needs):
    """For each direction the gradients of its inputs, first states and weights.

    needs: for each direction whether those of (x, kernel, recurrent kernel, bias) are wanted.
    """
    d, *firsts = run.backward(g, g_carry)
    found = []
    for i, (one, wanted) in enumerate(zip(run.given, needs, strict=True)):
        first = tuple(f[i] for f in firsts if f is not None)
        flat = d[i].reshape(-1, d.shape[-1])
        dx = None
        if wanted[0]:
            dx = gemm.matmul(flat, run.packed_kernel[i].T).reshape(one.x.shape)
        found.append((dx, *first, *_weight_gradients(run, i, flat, wanted[1:])))
    return found


def _weight_gradients(run: Sequences, i: int, d, wanted):
    """Those of the kernel, the recurrent kernel and the bias of a direction."""
    cell, one = run.cell, run.given[i]
    d_kernel = d_recurrent = d_bias = None
    if wanted[0]:
        rows = one.x.reshape(-1, one.x.shape[-1])
        d_kernel = run.unpacked(gemm.matmul(rows.T, d), one.kernel, cell.of_inputs)
    if wanted[1]:
        factors = [_before(run, i)] + ([run.reset[i]] if cell is GRU_BEFORE else [])
        for factor, order in zip(factors, cell.of_states, strict=True):
            product = gemm.matmul(factor.reshape(-1, run.units).T, d)
            d_recurrent = run.unpacked(product, one.recurrent, order, d_recurrent)
    if one.bias is not None and wanted[2]:
        d_bias = _bias_gradient(run, one.bias, d)
    return d_kernel, d_recurrent, d_bias


def _before(run: Sequences, i: int):
    """The states of a direction before each step."""
    y = empty(run.states.shape[1:], run.dtype)
    if i == 0:
        y[:, 0], y[:, 1:] = run.first[i], run.states[i][:, :-1]
    else:
        y[:, -1], y[:, :-1] = run.first[i], run.states[i][:, 1:]
    return y


def _bias_gradient(run: Sequences, bias, d):
    like = empty((d.shape[-1],), run.dtype)
    sums = bias_activation_backward(d, d, like, needs=(False, True))[1]
    y = empty(bias.shape, run.dtype)
    if bias.ndim == 1:
        return run.unpacked(sums, bias, run.cell.of_inputs, y)
    run.unpacked(sums, bias[0], run.cell.of_inputs, y[0])
    run.unpacked(sums, bias[1], run.cell.of_states[0], y[1])
    return y


def _sequence(cell: Cell, arrays, activations: dict, needs):
    """The states of one direction, and their pullback if something needs it."""
    states = 2 if cell is LSTM else 1
    arrays = (*arrays, *(None,) * (states + 5 - len(arrays)))
    one, mask = _direction(arrays, states), arrays[-1]
    if not _fits(one) or one.x.shape[1] == 0:
        return NotImplemented
    mask = None if mask is None else contiguous(mask)
    run = Sequences(cell, activations, [one._replace(x=contiguous(one.x))], mask)
    run.forward(needs is not None)
    out = (run.states[0], run.carries[0]) if cell is LSTM else run.states[0]
    if needs is None:
        return out
    wanted = (*needs, *(False,) * (len(arrays) - len(needs)))

    def pullback(g):
        g, g_carry = g if cell is LSTM else (g, None)
        g_carry = None if g_carry is None else contiguous(g_carry)
        weights = (wanted[0], *wanted[1 + states : 4 + states])
        return (*gradients(run, contiguous(g), g_carry, [weights])[0], None)[: len(needs)]

    return out, pullback


@ops.simple_rnn.on("cupy")
def _(*arrays, activation="tanh", needs=None):
    return _sequence(SIMPLE, arrays, {"activation": activation}, needs)


@ops.lstm.on("cupy")
def _(*arrays, activation="tanh", recurrent_activation="sigmoid", needs=None):
    options = {"activation": activation, "recurrent_activation": recurrent_activation}
    return _sequence(LSTM, arrays, options, needs)


@ops.gru.on("cupy")
def _(*arrays, activation="tanh", recurrent_activation="sigmoid", reset_after=True, needs=None):
    options = {"activation": activation, "recurrent_activation": recurrent_activation}
    return _sequence(GRU if reset_after else GRU_BEFORE, arrays, options, needs)
