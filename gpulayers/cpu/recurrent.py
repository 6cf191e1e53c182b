"""The way of LSTM and GRU of NumPy arrays through their steps: cpu/lstm.py and cpu/gru.py.

Few passes over each step, and all else for all steps at once.  While one thread goes through the
steps, another projects the inputs of later ones; where units are many, each thread takes some of
the sequences through all steps.
"""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np

from .steps import (
    StepProduct,
    StepProductBack,
    do,
    growing,
    one_after_the_other,
    pieces,
    sequences,
    sigmoid_factor,
    temporary,
    time_first,
)

ENOUGH = 1 << 22  # Elements of the gates of steps between which nothing is lost.


class Run:
    """The weights of a call, and the way through its steps.

    Args:
        h: the first states (N, U).
        kernel, recurrent_kernel, biases: as the operations take them; `biases` of the projected
            inputs alone, (gates U,) or None.
        masked: (steps, N, 1), where states stay; None for nowhere.

    Inside, the gates of all steps are (parts, steps, N, U), in an order of their own.
    """

    order: tuple[int, ...]  # For each part, its place among the gates of the weights.
    tangent: int  # The part that is no sigmoid.
    room = 4  # Parts for each step: the gates, and what else is kept for the gradient.
    back = 5  # Parts for each step on the way back.

    def __init__(self, h, kernel, recurrent_kernel, biases, masked):
        (self.count, self.units), self.dtype = h.shape, h.dtype
        self.kernel, self.recurrent_kernel, self.bias = kernel, recurrent_kernel, biases
        self.masked = masked
        self.parts = sequences(self.count, self.units)
        self.most = max(part.stop - part.start for part in self.parts)
        # Operations of a step.
        self.work = 2.0 * len(self.order) * self.count * self.units * self.units

    @cached_property
    def factors(self):
        """By what the weights of each part are multiplied: see `sigmoid`."""
        factors = np.full(len(self.order), sigmoid_factor(), self.dtype)
        factors[self.tangent] = 1
        return factors

    @cached_property
    def product(self):
        """That of the inputs."""
        return StepProduct(self.gates_of(self.kernel), self.factors, self.count)

    @cached_property
    def biases(self):
        """Those of the projected inputs, (parts, U), or None."""
        if self.bias is None:
            return None
        return np.stack(self.gates_of(self.bias)) * self.factors[:, None]

    @cached_property
    def recurrent(self):
        """The product of the states."""
        return StepProduct(self.gates_of(self.recurrent_kernel), self.factors, self.most)

    def recurrent_back(self, order):
        """That of the gradients of the parts in this order."""
        matrices = [m.T for m in self.gates_of(self.recurrent_kernel, order)]
        return StepProductBack(matrices, self.most)

    def gates_of(self, weights, order=None):
        """The parts of weights, in the order here or another one."""
        size = self.units
        return [weights[..., i * size : (i + 1) * size] for i in order or self.order]

    def steps_of(self, parts, steps, memory=np.empty):
        """Memory (parts, steps, N, U): all of a step lies together if there is one sequence."""
        if self.count == 1:
            return memory((steps, parts, 1, self.units), self.dtype).swapaxes(0, 1)
        return memory((parts, steps, self.count, self.units), self.dtype)

    def gates(self, steps):
        """Memory for the gates of so many steps, and what else is kept."""
        return self.steps_of(self.room, steps)

    def outputs(self, x, arrays):
        """The steps of x (N, steps, D) without a record, some at a time.

        arrays: (steps + 1, N, U), of which the first states stand in the first places.
        """
        steps = x.shape[1]
        most = max(1, min(steps, ENOUGH // (self.room * self.count * self.units)))
        gates = self.steps_of(self.room, most, partial(temporary, "gates"))
        for start in range(0, steps, most):
            some = slice(start, min(start + most, steps))
            seen = time_first(x[:, some], None if self.masked is None else self.masked[some])
            now = gates[:, : some.stop - start]
            self.forward(seen, now, [a[start:] for a in arrays], start)

    def forward(self, x, gates, arrays, start=0):
        """The steps of x (steps, N, D) from the one numbered `start`, in place."""
        steps, projected = len(x), gates[: len(self.order)]
        masked = None if self.masked is None else self.masked[start : start + steps]
        work = 2 * self.work * steps

        def project(piece):
            self.product.all_steps(x[piece], self.biases, projected[:, piece])

        def run(part, piece):
            ours = None if masked is None else masked[piece, part]
            many = slice(piece.start, piece.stop + 1)
            self.through(gates[:, piece, part], [a[many, part] for a in arrays], ours)

        _ = self.product, self.recurrent  # Made before threads ask for them.
        if len(self.parts) == 1:
            one_after_the_other(project, partial(run, self.parts[0]), growing(steps), work)
            return
        some = pieces(steps, projected[:, 0].size)
        do([partial(project, piece) for piece in some], work)
        do([partial(run, part, slice(0, steps)) for part in self.parts], work)

    def through(self, gates, arrays, masked):
        """The steps of some sequences, whose inputs have been projected into `gates`."""
        raise NotImplementedError

    def backward(self, gates, arrays, firsts, order, *further):
        """The way back: gives (back, steps, N, U) as `factors_of` and `through_back` leave it.

        Args:
            gates, arrays: of the way there.
            firsts: the gradients of the last states, which become those of the first ones.
            order: that of the parts whose gradients go into the product.
            further: for `through_back`.
        """
        steps = gates.shape[1]
        d = self.steps_of(self.back, steps, partial(temporary, "gradients"))

        def factors(piece):
            many = slice(piece.start, piece.stop + 1)
            masked = None if self.masked is None else self.masked[piece]
            self.factors_of(gates[:, piece], [a[many] for a in arrays], d[:, piece], masked)

        def run(part):
            masked = None if self.masked is None else self.masked[:, part]
            ours = [f[part] for f in firsts], [None if g is None else g[:, part] for g in further]
            self.through_back(d[:, :, part], product, *ours, masked)

        some = pieces(steps, self.count * self.units)
        do([partial(factors, piece) for piece in some], 20.0 * d.size)
        product = self.recurrent_back(order)
        do([partial(run, part) for part in self.parts], self.work * steps)
        return d

    def factors_of(self, gates, arrays, d, masked):
        """By what gradients of states are multiplied on their way, for all steps at once."""
        raise NotImplementedError

    def through_back(self, d, product, firsts, grads, masked):
        """The steps of some sequences, last ones first: factors become gradients, in place."""
        raise NotImplementedError
