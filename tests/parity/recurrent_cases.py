"""Recurrent layers that gpulayers and real Keras are compared on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

BATCH, STEPS, INPUTS, UNITS = 2, 50, 2, 2
FILM_STEPS, FILM_SIZES = 4, {1: (7,), 2: (5, 4), 3: (4, 3, 3)}
CELLS = {
    "SimpleRNN": ("SimpleRNN", {}),
    "LSTM": ("LSTM", {}),
    "GRU": ("GRU", {}),
    "GRU before": ("GRU", {"reset_after": False}),
}
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
CALLS = 3  # Of a stateful layer; its states are set to zeros before the last one.


class RecurrentCase(NamedTuple):
    """A layer, which `make` takes from a module of layers, and how it is called.

    shape: of the inputs.
    masked: whether there is a mask: "begin" for one that is False at first in a sequence, "ends"
        for one that is True at the last step of each call.
    states: shapes of initial states that are given; in lists for cells of several states.
    drops: how many dropout masks of inputs and of states the cell is given, and their shapes.
    calls: into so many calls the steps are parted.
    scale: of the weights.
    """

    key: str
    make: Callable
    shape: tuple = (BATCH, STEPS, INPUTS)
    masked: str | None = None
    states: tuple | list = ()
    drops: tuple = ()
    calls: int = 1
    scale: float = 0.6

    def random(self):
        return np.random.RandomState(sum(map(ord, self.key)))

    def arrays(self, shapes):
        """Inputs, mask or None, initial states, dropout masks, weights: the same everywhere."""
        rng, mask = self.random(), None

        def normal(shape, scale=1.0):
            return (rng.normal(size=shape) * scale).astype("float32")

        x = normal(self.shape)
        if self.masked:
            mask = rng.uniform(size=self.shape[:2]) < 0.7
            mask[:, 0], mask[0, 0] = True, self.masked != "begin"
            mask[1, -1] = False
            if self.calls > 1:  # Where masked steps come first, Keras's backends differ.
                ends = self.masked == "ends"
                mask[:, [p.stop - 1 if ends else p.start for p in self.pieces()]] = True
        states = [
            [normal(shape) for shape in one] if isinstance(one, list) else normal(one)
            for one in self.states
        ]
        drops = [
            [(rng.uniform(size=shape) < 0.6).astype("float32") / 0.6 for _ in range(count)]
            for count, shape in self.drops
        ]
        return x, mask, states, drops, [normal(shape, self.scale) for shape in shapes]

    def pieces(self):
        """The steps of each call."""
        ends = [self.shape[1] * i // self.calls for i in range(self.calls + 1)]
        return [slice(a, b) for a, b in pairwise(ends)]


def cotangent(shape, place: int):
    """The weights of a result in the sum whose gradient is compared."""
    return np.cos(np.arange(np.prod(shape)) + place).reshape(shape).astype("float32")


def recurrent_cases():
    """All cases."""
    yield from argument_cases()
    yield from own_argument_cases()
    yield from dropout_cases()
    yield from both_ways_cases()
    yield from cell_cases()
    yield from distributed_cases()
    yield from film_cases()


def named(name, **options):
    """A function that makes the layer of a name."""
    return lambda layers: getattr(layers, name)(**options)


def argument_cases():
    """Each combination of what all recurrent layers take, for each cell."""
    for label, (name, own) in CELLS.items():
        own = {"units": UNITS, "return_state": True, **own}
        count = 2 if name == "LSTM" else 1
        for many, back, masked, unroll, zero in product(
            (False, True), (False, True), (None, "middle", "begin"), (False, True), (False, True)
        ):
            if (zero and not masked) or (masked == "middle" and (unroll or zero)):
                continue  # There is nothing more to see than with another mask.
            if many and back and unroll and zero:
                continue  # Keras puts the zeros of the steps in their first order.
            options = {
                "return_sequences": many, "go_backwards": back, "unroll": unroll,
                "zero_output_for_mask": zero,
            }  # fmt: skip
            key = f"{label}, many {many}, back {back}, {masked}, unroll {unroll}, zero {zero}"
            yield RecurrentCase(key, named(name, **own, **options), masked=masked)
        for back, masked in product((False, True), (None, "begin")):
            make = named(name, **own, go_backwards=back)
            key = f"{label}, states, back {back}, {masked}"
            # After 50 steps nothing is left of the gradient of a SimpleRNN's first state.
            shape = BATCH, 12 if name == "SimpleRNN" else STEPS, INPUTS
            yield RecurrentCase(key, make, shape, masked, ((BATCH, UNITS),) * count)
        for many, back, masked in product((False, True), (False, True), (None, "begin")):
            options = {"return_sequences": many, "go_backwards": back, "stateful": True}
            key = f"{label}, stateful, many {many}, back {back}, {masked}"
            make = named(name, **own, **options)
            mask = "ends" if masked and back else masked
            yield RecurrentCase(key, make, masked=mask, calls=CALLS)


def own_argument_cases():
    """What the cells themselves take."""
    for label, (name, own) in CELLS.items():
        own, gated = {"units": UNITS, **own}, name != "SimpleRNN"
        yield RecurrentCase(f"{label}, alone", named(name, **own))
        yield RecurrentCase(f"{label}, no bias", named(name, **own, use_bias=False))
        gate = {"recurrent_activation": "hard_sigmoid"} if gated else {}
        make = named(name, **own, activation="relu", **gate)
        yield RecurrentCase(f"{label}, relu", make, scale=0.3)
        gate = {"recurrent_activation": "tanh"} if gated else {}
        make = named(name, **own, activation=None, **gate)
        yield RecurrentCase(f"{label}, linear", make, scale=0.3)
        if gated:
            make = named(name, **own, implementation=1, return_sequences=True)
            yield RecurrentCase(f"{label}, implementation 1", make, masked="begin")


def dropout_cases():
    """Dropout by given masks: which draws they are is not Keras's to say."""
    for label, (name, own) in CELLS.items():
        own = {"units": UNITS, "return_sequences": True, **own}
        for of_x, of_h in ((0.4, 0.0), (0.0, 0.4), (0.4, 0.4)):
            for implementation in (1, 2):
                options = {"dropout": of_x, "recurrent_dropout": of_h}
                gates = 1
                if name != "SimpleRNN":
                    options["implementation"] = implementation
                    if implementation == 1 or of_h:
                        gates = GATES[name]
                if implementation == 1 and (name == "SimpleRNN" or not of_h):
                    continue  # Without dropout of states, Keras fails there.
                drops = (bool(of_x) * gates, (BATCH, INPUTS)), (bool(of_h) * gates, (BATCH, UNITS))
                key = f"{label}, dropout {of_x} {of_h}, implementation {implementation}"
                make = named(name, **own, **options)
                yield RecurrentCase(key, make, drops=drops)
                yield RecurrentCase(f"{key}, masked", make, masked="begin", drops=drops)


def both_ways_cases():
    def both(name, further, **options):
        def make(layers):
            other = {k: v(layers) if callable(v) else v for k, v in further.items()}
            return layers.Bidirectional(getattr(layers, name)(UNITS, **options), **other)

        return make

    modes = "concat", "sum", "mul", "ave", None
    every = {"return_state": True, "return_sequences": True}
    for mode, many, masked in product(modes, (False, True), (None, "begin")):
        options = {"return_sequences": many, "return_state": True}
        make = both("LSTM", {"merge_mode": mode}, **options)
        yield RecurrentCase(f"both ways, {mode}, many {many}, {masked}", make, masked=masked)
    for mode, masked in product(modes, (None, "middle")):
        back = named("GRU", units=UNITS, go_backwards=True, **every)
        make = both("LSTM", {"merge_mode": mode, "backward_layer": back}, **every)
        yield RecurrentCase(f"both ways, own, {mode}, {masked}", make, masked=masked)
    for label, (name, own) in CELLS.items():
        states = ((BATCH, UNITS),) * (4 if name == "LSTM" else 2)
        for many, masked in product((False, True), (None, "begin")):
            options = {**own, **every, "return_sequences": many}
            key = f"both ways, {label}, many {many}, {masked}"
            yield RecurrentCase(key, both(name, {}, **options), masked=masked)
            key = f"both ways, {label}, states, many {many}, {masked}"
            make, scale = both(name, {}, **options), 0.9 if name == "SimpleRNN" else 0.6
            yield RecurrentCase(key, make, masked=masked, states=states, scale=scale)
        for masked in (None, "begin"):
            # With states returned, Keras fails.
            make = both(name, {}, stateful=True, return_sequences=True, **own)
            key = f"both ways, {label}, stateful, {masked}"
            yield RecurrentCase(key, make, masked=masked, calls=CALLS)
            for unroll, zero in ((True, False), (True, True), (False, True)):
                make = both(name, {}, unroll=unroll, zero_output_for_mask=zero, **own)
                key = f"both ways, {label}, {masked}, unroll {unroll}, zero {zero}"
                yield RecurrentCase(key, make, masked=masked)
    back = named("GRU", units=3, go_backwards=True, return_sequences=True)
    make = both("LSTM", {"backward_layer": back}, return_sequences=True)
    yield RecurrentCase("both ways, two kinds", make, masked="middle")

    def cells(layers):
        return layers.Bidirectional(layers.RNN([layers.GRUCell(2), layers.LSTMCell(3)]))

    yield RecurrentCase("both ways, cells", cells, masked="begin")


def cell_cases():
    """Cells by themselves, in a list, and stacked."""
    names, states = ("LSTM", "GRU", "SimpleRNN"), [[(BATCH, 2), (BATCH, 2)], (BATCH, 3), (BATCH, 4)]

    def made(layers):
        return [getattr(layers, f"{name}Cell")(UNITS + i) for i, name in enumerate(names)]

    wraps = {
        "listed": made,
        "stacked": lambda layers: layers.StackedRNNCells(made(layers)),
    }
    for name in names:
        for masked in (None, "begin"):

            def alone(layers, name=name):
                return layers.RNN(getattr(layers, f"{name}Cell")(UNITS), return_sequences=True)

            yield RecurrentCase(f"RNN of {name}Cell, {masked}", alone, masked=masked)
    for (label, wrap), many, returned, masked in product(
        wraps.items(), (False, True), (False, True), (None, "begin")
    ):
        base = {"return_sequences": many, "return_state": returned}
        ways = {"": {}}
        if returned:
            ways |= {
                "states": {}, "back": {"go_backwards": True}, "stateful": {"stateful": True},
                "unroll": {"unroll": True},
            }  # fmt: skip
            if masked:
                ways |= {"zero": {"zero_output_for_mask": True}}
        for way, options in ways.items():
            make = lambda layers, wrap=wrap, options=base | options: layers.RNN(
                wrap(layers), **options
            )
            mask = "middle" if masked and way == "states" else masked
            yield RecurrentCase(
                f"{label}, many {many}, states {returned}, {masked}, {way}", make, masked=mask,
                states=states if way == "states" else (), calls=CALLS if way == "stateful" else 1,
            )  # fmt: skip


def distributed_cases():
    def inside(name, *arguments, **options):
        return lambda layers: layers.TimeDistributed(getattr(layers, name)(*arguments, **options))

    yield RecurrentCase("each step, Dense", inside("Dense", 3), (BATCH, STEPS, INPUTS))
    yield RecurrentCase("each step, Dense, masked", inside("Dense", 3, "relu"), masked="middle")
    yield RecurrentCase("each step, Conv1D", inside("Conv1D", 2, 3), (BATCH, 4, 7, 2))
    yield RecurrentCase("each step, LSTM", inside("LSTM", 2), (BATCH, 3, 5, 2))


def film_cases():
    every = {"return_sequences": True, "return_state": True, "padding": "same"}
    ways = {
        "plain": {},
        "all steps": every,
        "back": {"go_backwards": True, "return_sequences": True},
        "strides": {"strides": 2, "padding": "same", "return_sequences": True},
        "dilations": {"dilation_rate": 2, "padding": "same"},
        "no bias": {"use_bias": False, "activation": "relu"},
        "channels first": {"data_format": "channels_first", "return_state": True},
        "unrolled": {**every, "unroll": True},
    }
    masked = {
        "": {},
        "last": {"return_sequences": False},
        "back": {"go_backwards": True},
        "zero": {"zero_output_for_mask": True},
        "unrolled": {"unroll": True},
        "unrolled, zero": {"unroll": True, "zero_output_for_mask": True},
        "channels first": {"data_format": "channels_first"},
    }
    for rank, sizes in FILM_SIZES.items():
        state = (BATCH, *sizes, 2)

        def case(key, options, rank=rank, sizes=sizes, **further):
            steps = further.pop("steps", FILM_STEPS)
            shape = (BATCH, steps, *sizes, 2)
            if options.get("data_format") == "channels_first":
                shape = (BATCH, steps, 2, *sizes)
            make = named(f"ConvLSTM{rank}D", filters=2, kernel_size=3, **options)
            return RecurrentCase(f"films {rank}, {key}", make, shape, **further)

        for label, options in ways.items():
            yield case(label, options)
        for label, options in masked.items():
            yield case(f"masked, {label}", every | options, masked="begin")
        for mask in (None, "begin"):
            kind = "middle" if mask else None
            yield case(f"states, {mask}", every, masked=kind, states=(state,) * 2)
            options = every | {"stateful": True}
            yield case(f"stateful, {mask}", options, masked=mask, calls=2, steps=6)
            options = {"padding": "same", "return_state": True}
            yield case(f"{STEPS} steps, {mask}", options, masked=mask, steps=STEPS, scale=0.3)
        options = every | {"dropout": 0.4, "recurrent_dropout": 0.4}
        yield case("dropout", options, drops=((4, state), (4, state)))

    def both(layers):
        return layers.Bidirectional(layers.ConvLSTM1D(2, 3, padding="same", return_sequences=True))

    yield RecurrentCase("films both ways", both, (BATCH, FILM_STEPS, 7, 2), masked="begin")
