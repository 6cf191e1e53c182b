"""SimpleRNN, LSTM and GRU over sequences of CuPy arrays.

The products of the inputs of all steps are one product before the steps, those of the gradients of
the weights one each after them.  A unit's gates lie side by side (recurrent.cuh), so that weights
are rearranged first, and their gradients last.  In between one step follows the other:

| by | a step is |
| --- | --- |
| "products" | a product of `gemm`, and one launch for all that follows it: recurrent.cu |
| "steps" | one launch with the product in it: recurrent_step.cu |
| "scan" | a part of the one launch for all steps: recurrent_scan.cu |

"scan" is for weights that blocks can hold; it takes the place of the host, which needs longer for a
launch than a GPU for a step.  `recurrent_scan.MOST` and `PRODUCTS_FROM` say which way is taken.
Where a GRU's reset comes first, a step has two products.

For the gradient the states stay, not the gates: recurrent_gradients.py.
"""

from __future__ import annotations

from functools import partial
from math import prod

from ..ops import recurrent as ops
from . import gemm, recurrent_scan, recurrent_step
from .activation import curve_of
from .module import blocks, contiguous, empty, empty_like, is_float
from .partial_sums import accumulator
from .recurrent_gradients import gradients
from .recurrent_sequences import (
    GRU,
    GRU_BEFORE,
    LSTM,
    SIMPLE,
    THREADS,
    Cell,
    Sequences,
    Weights,
    cell_of,
)
from .recurrent_sequences import source as _source
from .replay import remembered

# From so many sequences times units squared on, cuBLAS's product of a step takes longer than the
# launch behind it.  An estimate, to be measured: 8 us at 300 TFLOP/s.
PRODUCTS_FROM = 2**28

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


def run_forward(run: Sequences, save: bool) -> Sequences:
    """Compute the states.  Gives the last part of the steps, which has its gates if `save`.

    Those of other parts are gone.
    """
    run.make()
    run.way = way(run)
    for start, stop in run.parts():
        part = run.part(start, stop)
        part.allocate()
        part.project()
        if part.states.size:
            WAYS[run.way][0](part, save and stop == run.steps)
        part.put(run.states, part.states)
        part.put(run.carries, part.carries)
    return part


def run_backward(run: Sequences, g, g_carry=None):
    """The gradients of what gates were computed from, of the first states and carries.

    g, g_carry: of the states and of an LSTM's carries, (directions, N, steps, U).
    """
    wide = accumulator(run.dtype)
    d = empty(run.shape(run.units * run.cell.slots), run.dtype)
    d_first, direct = empty_like(run.first), empty(run.first.shape, wide)
    d_first_carry = d_carry = None
    if run.cell is LSTM:
        d_first_carry, d_carry = empty_like(run.first), empty(run.first.shape, wide)
    if run.states.size:
        WAYS[run.way][1](run, g, g_carry, d, direct, d_carry)
        back = None
        if run.way != "scan":
            back, turned = empty_like(run.first), run.weights(run.packed[0], turned=True)
            gemm.multiply(run.at(d, 0), turned, run.all_at_once(back), run.directions)
        run.launch("recurrent_finish", back, direct, d_carry, d_first, d_first_carry, d_first.size)
    return (d, d_first) if d_first_carry is None else (d, d_first, d_first_carry)


# The operations.


def direction(cell: Cell, arrays, mask) -> Weights:
    """What an operation was given, without its mask; C-contiguous inputs, zeros where masked."""
    x, rest, n = contiguous(arrays[0]), arrays[1:], cell.states
    return Weights(_seen(x, mask), tuple(rest[:n]), *rest[n : n + 3])


def _seen(x, mask):
    """Inputs with zeros where the mask is False: not even NaN is to be in gradients of weights."""
    if mask is None:
        return x
    import cupy

    bits = x.view(f"u{x.itemsize}")  # CuPy does not choose among bfloat16 numbers.
    return cupy.where(mask[:, :, None], bits, bits.dtype.type(0)).view(x.dtype)


def fits(*arrays) -> bool:
    """Whether kernels are for such arrays, of which the first are the inputs."""
    return is_float(*arrays) and arrays[0].shape[1] > 0


def _sequence(cell: Cell, arrays, activations: dict, needs):
    """The states of one direction, and their pullback if something needs it."""
    arrays = (*arrays, *(None,) * (cell.states + 5 - len(arrays)))
    if not fits(*arrays[:-1]):
        return NotImplemented
    run = Sequences(cell, activations, [direction(cell, arrays, arrays[-1])], arrays[-1])
    last = run_forward(run, needs is not None)
    out = (run.states[0], run.carries[0]) if cell is LSTM else run.states[0]
    if needs is None:
        return out

    def pullback(grads):
        grads = [contiguous(g)[None] for g in (grads if cell is LSTM else (grads,))]
        (found,) = gradients(run, last, run_backward, grads, [wanted(cell, needs)])
        return (*found, None)[: len(needs)]

    return out, pullback


def wanted(cell: Cell, needs) -> tuple[bool, ...]:
    """Of (x, kernel, recurrent kernel, bias), whose gradients are: from those of all arguments."""
    needs = (*needs, *(False,) * 4)
    return needs[0], *needs[1 + cell.states : 4 + cell.states]


def over_time(operation, weights, options):
    """The states of all steps, which begin as zeros, as a function of sequences: what kernels want
    of the weights is made once."""
    cell, kept = cell_of(operation.__name__, options.get("reset_after", True)), {}
    activations = {name: how for name, how in options.items() if name != "reset_after"}
    functions = {}

    def steps(names, x, *made):
        packed = dict(zip(names, made, strict=True))
        states = (packed["zeros"],) * cell.states
        run = Sequences(cell, activations, [Weights(x, states, *weights)], packed=packed)
        run_forward(run, False)
        kept.update(packed)
        return run.states[0]

    def run(x):
        zeros = kept.get("zeros")
        if zeros is None or len(zeros) != len(x):
            zeros = empty((len(x), len(weights[1])), x.dtype)
            zeros.fill(0)
            kept["zeros"] = zeros
        if not fits(x, *weights):
            found = operation(x, *(zeros,) * cell.states, *weights, **options)
            return found[0] if cell is LSTM else found
        made = {**kept, "zeros": zeros}  # Of others there may be zeros for fewer sequences.
        names = tuple(made)
        if names not in functions:
            functions[names] = remembered(partial(steps, names))
        return functions[names](contiguous(x), *made.values())

    return run


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


@ops.lstm_step.on("cupy")
def _(
    seen, weighed, carry, *,
    axis=-1, activation="tanh", recurrent_activation="sigmoid", needs=None,
):  # fmt: skip
    if not is_float(seen, weighed, carry) or seen.shape != weighed.shape:
        return NotImplemented
    weighed, carry = contiguous(weighed), contiguous(carry)
    flat, stride = _one_after_another(seen)
    width = prod(carry.shape[1:]) if axis == 1 else carry.shape[-1]
    rows = carry.size // max(width, 1)
    sizes = rows, width, stride, max(rows // max(len(carry), 1), 1)
    names = {
        "T": carry.dtype, "CELL": "LSTM", "ACTIVATION": curve_of(activation).name,
        "GATE": curve_of(recurrent_activation).name,
    }  # fmt: skip
    grid = blocks(rows * blocks(width, 16 // carry.itemsize), THREADS)
    state, new = empty_like(carry), empty_like(carry)
    _source.kernel("lstm_step_forward", **names)(
        grid, THREADS, flat, weighed, carry, state, new, *sizes
    )
    if needs is None:
        return state, new

    def pullback(grads):
        g, g_carry = (contiguous(one) for one in grads)
        d, d_carry = empty_like(weighed), empty_like(carry)
        _source.kernel("lstm_step_backward", **names)(
            grid, THREADS, g, g_carry, flat, weighed, carry, new, d, d_carry, *sizes
        )
        return d, d, d_carry

    return (state, new), pullback


def _one_after_another(x):
    """The elements of an array from the first on, and how far apart its parts are.

    Those are the parts along the first axis, in which the elements follow each other: of one step
    of sequences, for example.  What lies otherwise is copied.
    """
    import cupy

    if x.flags.c_contiguous or not x.size or not x[0].flags.c_contiguous or x.strides[0] < 0:
        x = contiguous(x)
        return x, prod(x.shape[1:])
    stride = x.strides[0] // x.itemsize
    return cupy.ndarray(((len(x) - 1) * stride + x[0].size,), x.dtype, x.data), stride
