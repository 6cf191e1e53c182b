"""Recurrent layers that gpulayers and real Keras are compared on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np

BATCH, STEPS, INPUTS, UNITS = 2, 50, 2, 2
FILM_STEPS = 4
CELLS = {
    "SimpleRNN": ("SimpleRNN", {}),
    "LSTM": ("LSTM", {}),
    "GRU": ("GRU", {}),
    "GRU before": ("GRU", {"reset_after": False}),
}
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


class RecurrentCase(NamedTuple):
    """A layer, which `make` takes from a module of layers, and how it is called.

    shape: of the inputs.
    masked: whether there is a mask: "begin" for one that is False at first in a sequence.
    states: shapes of initial states that are given.
    drops: how many dropout masks of inputs and of states the cell is given, and their shapes.
    """

    key: str
    make: Callable
    shape: tuple = (BATCH, STEPS, INPUTS)
    masked: str | None = None
    states: tuple = ()
    drops: tuple = ()

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
        states = [normal(shape) for shape in self.states]
        drops = [
            [(rng.uniform(size=shape) < 0.6).astype("float32") / 0.6 for _ in range(count)]
            for count, shape in self.drops
        ]
        return x, mask, states, drops, [normal(shape, 0.6) for shape in shapes]


def cotangent(shape, place: int):
    """The weights of a result in the sum whose gradient is compared."""
    return np.cos(np.arange(np.prod(shape)) + place).reshape(shape).astype("float32")


def recurrent_cases():
    """All cases."""
    yield from one_layer_cases()
    yield from dropout_cases()
    yield from both_ways_cases()
    yield from cell_cases()
    yield from distributed_cases()
    yield from film_cases()


def named(name, **options):
    """A function that makes the layer of a name."""
    return lambda layers: getattr(layers, name)(**options)


def one_layer_cases():
    for label, (name, own) in CELLS.items():
        own = {"units": UNITS, **own}
        for many, back, masked in product((False, True), (False, True), (None, "middle")):
            options = {"return_sequences": many, "go_backwards": back, "return_state": True}
            key = f"{label}, many {many}, back {back}, masked {masked}"
            yield RecurrentCase(key, named(name, **own, **options), masked=masked)
        # Unrolled with zeros, Keras gives none on JAX, but does on PyTorch and TensorFlow.
        for unroll, zero in ((False, False), (False, True), (True, False)):
            options = {"unroll": unroll, "zero_output_for_mask": zero, "return_sequences": True}
            key = f"{label}, unrolled {unroll}, zeros {zero}"
            shape = (BATCH, 6 if unroll else STEPS, INPUTS)
            yield RecurrentCase(key, named(name, **own, **options), shape, "begin")
        states = ((BATCH, UNITS),) * (2 if name == "LSTM" else 1)
        for masked in (None, "begin"):
            make = named(name, **own, return_state=True)
            yield RecurrentCase(f"{label}, states, {masked}", make, masked=masked, states=states)
        yield RecurrentCase(f"{label}, no bias", named(name, **own, use_bias=False))
        options = {"activation": "relu"}
        if name != "SimpleRNN":
            options["recurrent_activation"] = "hard_sigmoid"
        shape = (BATCH, 6, INPUTS)
        yield RecurrentCase(f"{label}, relu", named(name, **own, **options), shape)
        options = {"activation": None}
        if name != "SimpleRNN":
            options |= {"recurrent_activation": "tanh", "implementation": 1}
        yield RecurrentCase(f"{label}, linear", named(name, **own, **options), shape)


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
                yield RecurrentCase(key, named(name, **own, **options), drops=drops)


def both_ways_cases():
    def both(name, further, **options):
        def make(layers):
            other = {k: v(layers) if callable(v) else v for k, v in further.items()}
            return layers.Bidirectional(getattr(layers, name)(UNITS, **options), **other)

        return make

    for mode, many, masked in product(
        ("concat", "sum", "mul", "ave", None), (False, True), (None, "begin")
    ):
        make = both("LSTM", {"merge_mode": mode}, return_sequences=many)
        shape = (BATCH, STEPS if mode == "concat" else 7, INPUTS)
        yield RecurrentCase(f"both ways, {mode}, many {many}, masked {masked}", make, shape, masked)
    for name, states in (("LSTM", 4), ("GRU", 2), ("SimpleRNN", 2)):
        make = both(name, {}, return_state=True, return_sequences=True)
        given = ((BATCH, UNITS),) * states
        yield RecurrentCase(f"both ways, {name}, states", make, masked="middle", states=given)
    back = named("GRU", units=3, go_backwards=True, return_sequences=True)
    make = both("LSTM", {"backward_layer": back}, return_sequences=True)
    yield RecurrentCase("both ways, two kinds", make, masked="middle")
    make = both("LSTM", {"merge_mode": None}, return_state=True)
    yield RecurrentCase("both ways, apart, states", make)


def cell_cases():
    def cells(wrap, *names, **options):
        def make(layers):
            made = [getattr(layers, f"{name}Cell")(UNITS + i) for i, name in enumerate(names)]
            return layers.RNN(wrap(layers, made), **options)

        return make

    def listed(layers, made):
        return made

    def alone(layers, made):
        return made[0]

    for name in ("SimpleRNN", "LSTM", "GRU"):
        yield RecurrentCase(f"RNN of {name}Cell", cells(alone, name, return_sequences=True))
    for masked in (None, "begin"):
        make = cells(listed, "LSTM", "GRU", "SimpleRNN", return_sequences=False, return_state=True)
        yield RecurrentCase(f"listed, many False, masked {masked}", make, masked=masked)


def distributed_cases():
    def inside(name, *arguments, **options):
        return lambda layers: layers.TimeDistributed(getattr(layers, name)(*arguments, **options))

    yield RecurrentCase("each step, Dense", inside("Dense", 3), (BATCH, STEPS, INPUTS))
    yield RecurrentCase("each step, Dense, masked", inside("Dense", 3, "relu"), masked="middle")
    yield RecurrentCase("each step, Conv1D", inside("Conv1D", 2, 3), (BATCH, 4, 7, 2))
    yield RecurrentCase("each step, LSTM", inside("LSTM", 2), (BATCH, 3, 5, 2))


def film_cases():
    sizes = (7, 6, 5)
    for rank in (1, 2, 3):
        last = (BATCH, FILM_STEPS, *sizes[:rank], 2)
        first = (BATCH, FILM_STEPS, 2, *sizes[:rank])

        def make(layers, rank=rank, **options):
            return getattr(layers, f"ConvLSTM{rank}D")(2, 3, **options)

        every = {
            "plain": {},
            "all steps": {"return_sequences": True, "return_state": True, "padding": "same"},
            "back": {"go_backwards": True, "return_sequences": True},
            "strides": {"strides": 2, "padding": "same", "return_sequences": True},
            "dilations": {"dilation_rate": 2, "padding": "same"},
            "no bias": {"use_bias": False, "activation": "relu"},
            "channels first": {"data_format": "channels_first", "return_state": True},
        }
        if rank == 3:  # The others take the same way, and Keras takes long.
            every = {label: every[label] for label in ("plain", "all steps", "dilations")}
        for label, options in every.items():
            shape = first if "data_format" in options else last
            build = lambda layers, make=make, options=options: make(layers, **options)
            yield RecurrentCase(f"films {rank}, {label}", build, shape)
        if rank == 3:
            continue
        build = lambda layers, make=make: make(layers, return_sequences=True, padding="same")
        yield RecurrentCase(
            f"films {rank}, states", build, last, states=((BATCH, *sizes[:rank], 2),) * 2
        )
        build = lambda layers, make=make: make(
            layers, return_sequences=True, padding="same", dropout=0.4, recurrent_dropout=0.4
        )
        shape = (BATCH, *sizes[:rank], 2)
        yield RecurrentCase(f"films {rank}, dropout", build, last, drops=((4, shape), (4, shape)))
