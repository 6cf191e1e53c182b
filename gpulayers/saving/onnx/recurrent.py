"""Recurrent layers as nodes of ONNX, which has the steps first and its gates in another order."""

from __future__ import annotations

import numpy as np

from ... import activations
from ... import layers as made
from .masks import Steps
from .shaping import concatenated
from .writer import NotCovered, Value, Writer, numbers

# Where ONNX's gates stand among ours: i, o, f, c of i, f, c, o; z, r, h as they are.
GATES = {made.LSTMCell: (0, 3, 1, 2), made.GRUCell: (0, 1, 2), made.SimpleRNNCell: (0,)}
OPERATIONS = {made.LSTMCell: "LSTM", made.GRUCell: "GRU", made.SimpleRNNCell: "RNN"}
# ONNX's name of each activation, with its numbers alpha and beta where it has them.
ACTIVATIONS = {
    "tanh": ("Tanh", None, None), "sigmoid": ("Sigmoid", None, None), "relu": ("Relu", None, None),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5), "linear": ("Affine", 1.0, 0.0),
    "softsign": ("Softsign", None, None), "softplus": ("Softplus", None, None),
}  # fmt: skip


def recurrent(writer: Writer, layer, x: Value, initial_state=None):
    """A recurrent layer: its outputs, and its states if it returns them."""
    sequence, last, states = _run(writer, layer, x, initial_state)
    if layer.return_sequences:
        y = _flipped(writer, sequence) if layer.go_backwards else sequence
    else:
        y = last
    return [y, *states] if layer.return_state else y


def _run(writer, layer, x, initial_state):
    """The outputs of all steps in the order of the steps, the last one, and the last states."""
    if layer.stateful:
        raise NotCovered("is stateful: ONNX keeps nothing between calls")
    cell, states = layer.cell, []
    cells = cell.cells if isinstance(cell, made.StackedRNNCells) else [cell]
    if initial_state is not None:
        if len(cells) > 1:
            raise NotCovered("has stacked cells with an initial_state, which is not covered")
        if not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
    steps = None
    if x.mask is not None:
        if layer.unroll and initial_state is not None:
            raise NotCovered("is unrolled, with a mask and an initial_state")
        steps = Steps(writer, x.mask)
        x = steps.gathered(x)
    for cell in cells:
        x, of_cell = _run_cell(writer, cell, x, layer.go_backwards, initial_state, steps)
        states += of_cell if len(cells) == 1 else [of_cell]
    last = of_cell[0]
    if steps is not None:
        first = None if initial_state is None else initial_state[0]
        x = steps.scattered(x, first, layer.zero_output_for_mask, layer.go_backwards)
        if layer.zero_output_for_mask:
            at = writer.constant(np.array(0 if layer.go_backwards else -1, np.int64))
            last = writer.single("Gather", x, at, shape=last.shape, axis=1)
    return x, last, states


def _run_cell(writer, cell, x, backwards, initial_state, masked):
    if type(cell) not in GATES:
        raise NotCovered(f"has a cell {type(cell).__name__}, which ONNX does not have")
    batch, steps, _ = x.shape
    weights = [writer.constant(w[None]) for w in _weights(cell)]
    first = [writer.node("Unsqueeze", s, writer.integers(0)) for s in initial_state or ()]
    count = 3 if isinstance(cell, made.LSTMCell) else 2
    outputs = writer.several(
        OPERATIONS[type(cell)],
        writer.node("Transpose", x, perm=[1, 0, 2]),
        *weights,
        None if masked is None else masked.lengths,
        *first,
        count=count,
        hidden_size=cell.units,
        direction="reverse" if backwards else "forward",
        linear_before_reset=int(cell.reset_after) if isinstance(cell, made.GRUCell) else None,
        **_activations(cell),
    )
    sequence = writer.node("Squeeze", outputs[0], writer.integers(1))
    sequence = Value((steps, batch, cell.units), plain=sequence)
    states = [
        writer.single("Squeeze", name, writer.integers(0), shape=(batch, cell.units))
        for name in outputs[1:]
    ]
    if masked is not None:
        given = initial_state or [None] * len(states)
        states = [masked.last(*pair) for pair in zip(states, given, strict=True)]
    return writer.transposed(sequence, (1, 0, 2)), states


def _weights(cell):
    """W (gates, inputs), R (gates, units) and B, in ONNX's order."""
    units, order = cell.units, GATES[type(cell)]

    def arranged(x):
        return np.concatenate([x[..., i * units : (i + 1) * units] for i in order], axis=-1)

    kernel, of_state = (arranged(numbers(w)).T for w in (cell.kernel, cell.recurrent_kernel))
    size = len(order) * units
    bias = np.zeros(size, np.float32) if cell.bias is None else numbers(cell.bias)
    both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    return kernel, of_state, arranged(both).reshape(-1)


def _activations(cell):
    functions = [cell.activation]
    if isinstance(cell, made.LSTMCell):
        functions = [cell.recurrent_activation, cell.activation, cell.activation]
    elif isinstance(cell, made.GRUCell):
        functions = [cell.recurrent_activation, cell.activation]
    names = [getattr(function, "__name__", "") for function in functions]
    for name, function in zip(names, functions, strict=True):
        if name not in ACTIVATIONS or getattr(activations, name) is not function:
            raise NotCovered(f"has the activation {name or function!r}, which ONNX's cells lack")
    found = [ACTIVATIONS[name] for name in names]
    numbered = [one for one in found if one[1] is not None]
    return {
        "activations": [name for name, _, _ in found],
        "activation_alpha": [alpha for _, alpha, _ in numbered] or None,
        "activation_beta": [beta for _, _, beta in numbered] or None,
    }


def _flipped(writer, x):
    """`x` with its steps in the opposite order."""
    least = np.iinfo(np.int64).min
    ends = (writer.integers(n) for n in (-1, least, 1, -1))
    return writer.single("Slice", x, *ends, shape=x.shape)


def bidirectional(writer, layer, x, initial_state=None):
    both = (layer.forward_layer, layer.backward_layer)
    given = [None, None]
    if initial_state is not None:
        half = len(initial_state) // 2
        given = [initial_state[:half], initial_state[half:]]
    found, states = [], []
    for one, first in zip(both, given, strict=True):
        if type(one) not in RECURRENT:
            raise NotCovered(f"has a layer {type(one).__name__} inside, which is not covered")
        sequence, last, of_layer = _run(writer, one, x, first)
        found.append(sequence if layer.return_sequences else last)
        states += of_layer
    if layer.forward_layer.go_backwards and layer.return_sequences:
        found = [_flipped(writer, y) for y in found]
    y = _merged(writer, layer.merge_mode, *found)
    if not layer.return_state:
        return y
    return [*y, *states] if layer.merge_mode is None else [y, *states]


def _merged(writer, mode, a, b):
    if mode is None:
        return [a, b]
    if mode == "concat":
        return concatenated(writer, [a, b], -1)
    y = writer.each("Mul" if mode == "mul" else "Add", a, b)
    return writer.each("Mul", y, 0.5) if mode == "ave" else y


RECURRENT = (made.LSTM, made.GRU, made.SimpleRNN, made.RNN)
LAYERS = {
    **dict.fromkeys(RECURRENT, recurrent),
    made.Bidirectional: bidirectional,
}
