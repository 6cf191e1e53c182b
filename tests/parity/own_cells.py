"""Recurrent layers of users' own cells that gpulayers and real Keras are compared on."""

from __future__ import annotations

from itertools import product

from .recurrent_cases import BATCH, INPUTS, STEPS, UNITS, RecurrentCase

MASKED = (None, "middle")  # Where masked steps come first, Keras's backends differ.


def two_states(layers):
    """An output that is no state, and states in a list."""

    class TwoStates(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.state_size, self.output_size = [UNITS, UNITS], UNITS

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], UNITS), name="kernel")
            self.recurrent = self.add_weight(shape=(UNITS, UNITS), name="recurrent")
            self.built = True

        def call(self, inputs, states):
            z = inputs @ self.kernel + states[0] @ self.recurrent
            new, trace = z / (1 + z * z), 0.9 * states[1] + z
            return new * trace, [new, trace]

    return TwoStates


def one_state(layers):
    """A state_size that is a number."""

    class OneState(layers.Layer):
        state_size = UNITS

        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], UNITS), name="kernel")
            self.built = True

        def call(self, inputs, states):
            state = states[0] if isinstance(states, (list, tuple)) else states
            new = 0.5 * state + inputs @ self.kernel
            return new / (1 + new * new), [new]

    return OneState


def tuple_of_states(layers):
    """States in a tuple, without weights."""

    class TupleOfStates(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.state_size = (UNITS, UNITS)

        def call(self, inputs, states):
            return inputs + states[0] * states[1], (inputs * 0.5 + states[0] * 0.5, states[1] + 0.1)

    return TupleOfStates


def own_cases():
    """All cases."""
    kinds = {"two states": two_states, "one state": one_state, "tuple": tuple_of_states}
    for (label, kind), many, back, masked in product(
        kinds.items(), (False, True), (False, True), MASKED
    ):
        options = {"return_sequences": many, "go_backwards": back, "return_state": True}

        def alone(layers, kind=kind, options=options):
            return layers.RNN(kind(layers)(), **options)

        yield RecurrentCase(f"{label}, many {many}, back {back}, {masked}", alone, masked=masked)
    for many, masked in product((False, True), MASKED):

        def listed(layers, many=many):
            cells = [layers.GRUCell(UNITS), two_states(layers)(), layers.LSTMCell(UNITS)]
            return layers.RNN(cells, return_sequences=many, return_state=True)

        def given(layers, many=many):
            return layers.RNN(two_states(layers)(), return_sequences=many, return_state=True)

        yield RecurrentCase(f"listed, many {many}, {masked}", listed, masked=masked)
        states = ((BATCH, UNITS),) * 2
        yield RecurrentCase(f"given, many {many}, {masked}", given, masked=masked, states=states)
    film = (BATCH, 3, STEPS // 10, INPUTS)
    yield RecurrentCase(
        "each step",
        lambda layers: layers.TimeDistributed(layers.RNN(two_states(layers)())),
        film,
    )
