"""SimpleRNN, LSTM and GRU over sequences of CuPy arrays.

The products of the inputs of all steps are one product before the steps, those of the gradients of
the weights one each after them.  A unit's gates lie side by side (recurrent.cuh), so that weights
are rearranged first, and their gradients last.  In between one step follows the other:

| by | a step is |
| --- | --- |
| "products" | a product of `gemm`, and one launch for all that follows it: recurrent.cu |
| "steps" | one launch with the product in it: recurrent_step.cu |
| "scan" | a part of the one launch for all steps: recurrent_scan.cu |

"scan" is for weights that blocks can hold, and for products that come before the reset; it takes
the place of the host, which needs longer for a launch than a GPU for a step.  `recurrent_scan.MOST`
and `PRODUCTS_FROM` say which way is taken.

For the gradient the gates of all steps are kept, in the place of the products of the inputs: to
compute them again would take a product as large as all of the forward pass.  Where that is too
much memory, `config.set_recurrent_segment` computes long sequences in segments.
"""

from __future__ import annotations

from math import prod

from ..ops import recurrent as ops
from . import gemm, recurrent_scan, recurrent_step
from .activation import bias_activation_backward
from .dense import NAMES
from .module import blocks, contiguous, empty, empty_like, is_float
from .partial_sums import accumulator
from .recurrent_sequences import (
    GRU,
    GRU_BEFORE,
    LSTM,
    SIMPLE,
    THREADS,
    Cell,
    Sequences,
    Weights,
)
from .recurrent_sequences import source as _source

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


# There and back.


def run_forward(run: Sequences, save: bool) -> None:
    """Compute the states, and keep the gates if they are to be saved."""
    run.make()
    for one, weights, gates in zip(run.given, run.packed_kernel, run.gates, strict=True):
        gemm.matmul(one.x, weights, out=gates)
    run.way = way(run)
    if run.states.size:
        WAYS[run.way][0](run, save)


def run_backward(run: Sequences, g, g_carry):
    """The gradients of what gates were computed from, of the first states and carries."""
    d, wide = empty_like(run.gates), accumulator(run.dtype)
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
    return d, d_first, d_first_carry


# The operations.


def direction(cell: Cell, arrays) -> Weights:
    """What an operation was given, without its mask; C-contiguous inputs."""
    x, rest, n = arrays[0], arrays[1:], cell.states
    return Weights(contiguous(x), tuple(rest[:n]), *rest[n : n + 3])


def fits(*arrays) -> bool:
    """Whether kernels are for such arrays, of which the first are the inputs."""
    return is_float(*arrays) and arrays[0].shape[1] > 0


def gradients(run: Sequences, g, g_carry, needs):
    """For each direction the gradients of its inputs, first states and weights.

    needs: for each direction whether those of (x, kernel, recurrent kernel, bias) are wanted.
    """
    d, *firsts = run_backward(run, g, g_carry)
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
    arrays = (*arrays, *(None,) * (cell.states + 5 - len(arrays)))
    if not fits(*arrays[:-1]):
        return NotImplemented
    run = Sequences(cell, activations, [direction(cell, arrays)], arrays[-1])
    run_forward(run, needs is not None)
    out = (run.states[0], run.carries[0]) if cell is LSTM else run.states[0]
    if needs is None:
        return out

    def pullback(g):
        g, g_carry = g if cell is LSTM else (g, None)
        g_carry = None if g_carry is None else contiguous(g_carry)
        (found,) = gradients(run, contiguous(g), g_carry, [wanted(cell, needs)])
        return (*found, None)[: len(needs)]

    return out, pullback


def wanted(cell: Cell, needs) -> tuple[bool, ...]:
    """Of (x, kernel, recurrent kernel, bias), whose gradients are: from those of all arguments."""
    needs = (*needs, *(False,) * 4)
    return needs[0], *needs[1 + cell.states : 4 + cell.states]


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
        "T": carry.dtype, "CELL": "LSTM", "ACTIVATION": NAMES[activation],
        "GATE": NAMES[recurrent_activation],
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
