"""The way of LSTM and GRU of NumPy arrays through their steps: cpu/lstm.py and cpu/gru.py.

Few passes over each step, and all else for all steps at once.  While one thread goes through the
steps, another projects the inputs of later ones; where units are many, each thread takes some of
the sequences through all steps.

For the gradient the states stay, and of the gates, which are four times as many numbers, those of
the last steps (`KEPT` bytes): of short sequences, all.  Those of steps before are computed again
as they were, so many at a time.  (Measured: were almost none kept, a training step of LSTMs of
(32, 100, 512) would take 156 ms instead of 128, of (32, 100, 128) 18 to 22 instead of 17.)
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
    product_gradients,
    sequences,
    sigmoid_factor,
    temporary,
    time_first,
)

ENOUGH = 1 << 22  # Elements of the gates of steps between which nothing is lost.
KEPT, LEAST_STEPS = 1 << 26, 16  # Bytes of gates that are kept, unless these are fewer steps.


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

    def recurrent_back(self):
        """That of the gradients of the parts."""
        matrices = [m.T for m in self.gates_of(self.recurrent_kernel)]
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

    def all_at_once(self, steps) -> bool:
        """Whether the gates of so many steps are kept."""
        return len(self.pieces(steps)) < 2

    def pieces(self, steps) -> list[slice]:
        """Steps whose gates are in memory at a time."""
        return kept_pieces(steps, self.room * self.count * self.units * self.dtype.itemsize)

    def seen(self, x, piece):
        """Steps of x (N, steps, D) as the products take them."""
        return time_first(x[:, piece], None if self.masked is None else self.masked[piece])

    def record(self, x, gates, arrays) -> None:
        """All steps of x (N, steps, D); `gates` is memory for those of the last of the pieces."""
        *others, last = self.pieces(x.shape[1])
        if others:
            memory = self.steps_of(self.room, others[0].stop, partial(temporary, "gates"))
        for piece in others:
            now = [a[piece.start :] for a in arrays]
            self.forward(self.seen(x, piece), memory, now, piece.start)
        self.forward(self.seen(x, last), gates, [a[last.start :] for a in arrays], last.start)

    def recorded(self, x, gates, arrays):
        """For each of the pieces, last ones first: its steps, inputs, gates and arrays."""
        *others, last = self.pieces(x.shape[1])
        yield last, self.seen(x, last), gates, [a[last.start :] for a in arrays]
        if others:
            memory = self.steps_of(self.room, others[0].stop, partial(temporary, "gates"))
        for piece in others[::-1]:
            seen = self.seen(x, piece)
            now = [a[piece.start : piece.stop + 1].copy() for a in arrays]
            self.forward(seen, memory, now, piece.start)
            yield piece, seen, memory, now

    def gradients(self, x, gates, arrays, firsts, grads, needs):
        """The gradients of x, its kernel, the recurrent kernel, and of both biases.

        Args:
            x, gates, arrays: as for `record`.
            firsts: zeros, which become the gradients of the first states.
            grads: those of `firsts` at all steps, (steps, N, U) each; None for zeros.
            needs: which of the five are needed.
        """
        dx, sums = None, [None] * 4
        for piece, seen, now, some in self.recorded(x, gates, arrays):
            ours = [None if g is None else g[piece] for g in grads]
            for first, g in zip(firsts, ours, strict=True):
                if g is not None:
                    first += g[-1]
            d = self.backward(now, some, firsts, ours, piece.start)
            factors = np.ascontiguousarray(seen), *self.factors_back(some, d)
            found = product_gradients(needs, *factors)
            if len(seen) == x.shape[1]:
                return found
            if needs[0]:
                dx = np.empty(x.shape, x.dtype) if dx is None else dx
                dx[:, piece] = found[0]
            sums = [_plus(a, b) for a, b in zip(sums, found[1:], strict=True)]
        return dx, *sums

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

    def backward(self, gates, arrays, firsts, further, start):
        """The way back: gives (back, steps, N, U) as `factors_of` and `through_back` leave it.

        Args:
            gates, arrays: of the way there.
            firsts: the gradients of the last states, which become those of the first ones.
            further: those of the states at all steps, or None, for `through_back`.
            start: the number of the first of these steps.
        """
        steps = gates.shape[1]
        masked = None if self.masked is None else self.masked[start : start + steps]
        d = self.steps_of(self.back, steps, partial(temporary, "gradients"))

        def factors(piece):
            many = slice(piece.start, piece.stop + 1)
            ours = None if masked is None else masked[piece]
            self.factors_of(gates[:, piece], [a[many] for a in arrays], d[:, piece], ours)

        def run(part):
            kept = None if masked is None else masked[:, part]
            ours = [f[part] for f in firsts], [None if g is None else g[:, part] for g in further]
            self.through_back(d[:, :, part], product, *ours, kept)

        some = pieces(steps, self.count * self.units)
        do([partial(factors, piece) for piece in some], 20.0 * d.size)
        product = self.recurrent_back()
        do([partial(run, part) for part in self.parts], self.work * steps)
        return d

    def factors_back(self, arrays, d):
        """What `product_gradients` takes behind x: the states before each step, kernels, and the
        gradients of both products with the places of their parts among the gates."""
        raise NotImplementedError

    def factors_of(self, gates, arrays, d, masked):
        """By what gradients of states are multiplied on their way, for all steps at once."""
        raise NotImplementedError

    def through_back(self, d, product, firsts, grads, masked):
        """The steps of some sequences, last ones first: factors become gradients, in place."""
        raise NotImplementedError


def kept_pieces(steps: int, each: int) -> list[slice]:
    """Steps of which gates are in memory at a time; `each` has so many bytes."""
    most = max(KEPT // max(each, 1), LEAST_STEPS)
    return [slice(a, min(a + most, steps)) for a in range(0, steps, most)]


def _plus(a, b):
    """The sum of two arrays, of which either may be None."""
    return b if a is None else a if b is None else a + b
