"""What recurrent layers of NumPy arrays share: products of single steps, and gates in few passes.

Time is the first axis inside.  Gates stand one array (count, units) after the other, so that passes
over several of them have long inner loops.
"""

from __future__ import annotations

from functools import cache, partial
from itertools import pairwise
from math import ceil, prod
from queue import SimpleQueue

import numpy as np

from .activation import HALF, ONE, fits
from .products import SMALL, without_copies
from .threads import available, scratch, share

USUAL = {"activation": "tanh", "recurrent_activation": "sigmoid"}
LEAST_WIDTH, MOST_WIDTH = 16, 64  # Columns of a product that is quick.
AT_ONCE = 1 << 17  # Elements of arrays that stay in the cache between passes.
FIRST, GROWTH, LAST = 4, 1.6, 64  # Steps that are projected before others take them.
SPLIT = 1 << 20  # Multiplications in a step for each gate, from which threads share the sequences.
LEAST_ROWS = 4  # Sequences of a thread.


def usual(arrays, x, options) -> bool:
    """Whether these versions are for such arrays and activations."""
    same = all(a is None or a.dtype == x.dtype for a in arrays)
    return same and fits(x) and x.shape[1] > 0 and is_usual(options)


def is_usual(options) -> bool:
    """Whether activations are those of these versions."""
    return {**USUAL, **options} == USUAL


@cache
def by_exp() -> bool:
    """Whether exp takes half the time of tanh: so with AVX2; the other way round with AVX-512."""
    found = np.lib.introspect.opt_func_info(func_name="^tanh$", signature="^ff$")
    current = found.get("tanh", {}).get("ff", {}).get("current", "")
    return current == "X86_V3" or "AVX2" in current


def sigmoid_factor() -> float:
    """By what that is to be multiplied which `sigmoid` takes."""
    return -1.0 if by_exp() else 0.5


def sigmoid():
    """The function that makes sigmoids of z times `sigmoid_factor()`, in place.

    sigmoid(z) is 1 / (1 + exp(-z)) and (1 + tanh(z / 2)) / 2.
    """
    add, exp, multiply, reciprocal, tanh = np.add, np.exp, np.multiply, np.reciprocal, np.tanh

    def with_exp(z):
        exp(z, z)  # Where it is infinite, the gate is 0.
        add(z, ONE, z)
        reciprocal(z, z)

    def with_tanh(z):
        tanh(z, z)
        multiply(z, HALF, z)
        add(z, HALF, z)

    return with_exp if by_exp() else with_tanh


def sigmoids_and_tanh():
    """The function (both, sigmoids, others) for two parts of an array: `sigmoid` and tanh of it."""
    add, multiply, tanh, of_sigmoids = np.add, np.multiply, np.tanh, sigmoid()

    def apart(both, sigmoids, others):
        of_sigmoids(sigmoids)
        tanh(others, others)

    def together(both, sigmoids, others):
        tanh(both, both)
        multiply(sigmoids, HALF, sigmoids)
        add(sigmoids, HALF, sigmoids)

    return apart if by_exp() else together


def time_first(x, masked=None):
    """(steps, N, ...), with zeros where `masked` (steps, N, 1) is true."""
    x = x.swapaxes(0, 1)
    return x if masked is None else np.where(masked, x.dtype.type(0), x)


def where_masked(mask):
    """(steps, N, 1): where states stay; None if nowhere."""
    return None if mask is None else ~mask.T[:, :, None]


def each(masked, steps) -> list:
    """For each step, where states stay."""
    return [None] * steps if masked is None else list(masked)


def temporary(name: str, shape, dtype):
    """An array in memory of the thread's own, which is its next call's, too."""
    return scratch(f"recurrent {name}", prod(shape), dtype).reshape(shape)


def flat(a):
    """(..., steps, count, size) with one row for each step and sequence."""
    return a[..., 0, :] if a.shape[-2] == 1 else a.reshape(*a.shape[:-3], -1, a.shape[-1])


class StepProduct:
    """Products of matrices (count, depth) of steps with several (depth, width).

    With `out, into = room(count)`, `multiply(x, matrices, into)` writes them into `out`, (parts,
    count, width).  `count` is the largest one.
    """

    def __init__(self, matrices, factors, count: int):
        depth, width = matrices[0].shape
        dtype, parts = matrices[0].dtype, len(matrices)
        self.shape = parts, depth, width
        if count == 1:
            self.multiply, self.matrices = np.dot, np.empty((depth, parts * width), dtype)
            places = [self.matrices[:, i * width : (i + 1) * width] for i in range(parts)]
        else:
            piece = _width(count, depth, width)
            self.multiply = np.matmul
            self.matrices = np.empty((parts, width // piece, depth, piece), dtype)
            places = self.matrices
            matrices = [_in_pieces(matrix, piece) for matrix in matrices]
        for place, matrix, factor in zip(places, matrices, factors, strict=True):
            np.multiply(matrix, factor, out=place)

    def room(self, count: int):
        """New memory for the products of a step, and the same as `multiply` takes it."""
        parts, _, width = self.shape
        out = np.empty((parts, count, width), self.matrices.dtype)
        if self.matrices.ndim == 2:
            return out, out.reshape(1, -1)
        return out, _in_pieces(out, self.matrices.shape[-1])

    def all_steps(self, x, biases, out) -> None:
        """out (parts, steps, N, width) = x (steps, N, depth) @ matrices + biases (parts, width)."""
        if self.matrices.ndim == 2:
            np.matmul(flat(x), self.matrices, out=out.swapaxes(0, 1).reshape(len(x), -1))
        elif self.matrices.shape[1] == 1 and not is_small(x.shape[1:], self.matrices.shape[-1]):
            np.matmul(flat(x), self.matrices[:, 0], out=flat(out))
        else:  # Step by step, without copies of any factor.
            into = _in_pieces(out, self.matrices.shape[-1])
            np.matmul(x[:, None], self.matrices[:, None], out=into)
        if biases is not None:
            out += biases[:, None, None]


class StepProductBack:
    """Sums of products (count, depth) @ (depth, width), one for each part of a step.

    With `memory = room(count)`, `run(parts, memory, out)` computes one for one of the `views` of
    parts (parts, steps, count, depth).
    """

    def __init__(self, matrices, count: int):
        depth, width = matrices[0].shape
        self.parts, self.width = len(matrices), width
        if count == 1:
            self.matrices = np.concatenate(matrices)
            return
        piece = _width(count, depth, width)
        shape = self.parts, width // piece, depth, piece
        self.matrices = np.empty(shape, matrices[0].dtype)
        for place, matrix in zip(self.matrices, matrices, strict=True):
            np.copyto(place, _in_pieces(matrix, piece))

    def room(self, count: int):
        """New memory for the products of a step, and the same as `run` needs it."""
        out = np.empty((self.parts, count, self.width), self.matrices.dtype)
        return out, None if self.matrices.ndim == 2 else _in_pieces(out, self.matrices.shape[-1])

    def views(self, parts):
        """What `run` takes, by step."""
        parts = parts.swapaxes(0, 1)
        if self.matrices.ndim == 2:
            return parts.reshape(len(parts), 1, -1)
        return parts[:, :, None]

    def run(self, parts, memory, out):
        if parts.ndim == 2:
            np.dot(parts, self.matrices, out)
            return
        products, into = memory
        np.matmul(parts, self.matrices, into)
        first, *others = products
        np.add(first, others[0], out)
        for other in others[1:]:
            np.add(out, other, out)


def _width(count: int, depth: int, width: int) -> int:
    """The columns of pieces whose products OpenBLAS computes without copies, if there are such."""
    for pieces in range(1, width // LEAST_WIDTH + 1):
        if width % pieces == 0 and width <= pieces * MOST_WIDTH:
            if is_small((count, depth), width // pieces):
                return width // pieces
    return width


def is_small(shape, columns: int) -> bool:
    """Whether OpenBLAS multiplies a matrix of this shape with so many columns without copies."""
    return without_copies() and shape[0] * shape[1] * columns <= SMALL


def _in_pieces(matrix, piece: int):
    """(..., depth, width) as (..., pieces, depth, piece)."""
    return matrix.reshape(*matrix.shape[:-1], -1, piece).swapaxes(-2, -3)


def sequences(count: int, units: int) -> list[slice]:
    """The sequences that one thread takes through all steps, for each thread."""
    parts = 1
    if count * units * units >= SPLIT:
        parts = max(1, min(available(), count // LEAST_ROWS))
    ends = [count * i // parts for i in range(parts + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


def pieces(steps: int, elements: int) -> list[slice]:
    """Steps of so many elements in pieces that stay in the cache, as many for each thread."""
    threads = available()
    parts = ceil(steps * elements / (AT_ONCE * threads)) * threads
    ends = [steps * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(ends) if a < b]


def growing(steps: int) -> list[slice]:
    """Steps in pieces of which the first is soon done, and the last ones are few."""
    ends, size = [0], FIRST
    while ends[-1] < steps:
        ends.append(min(ends[-1] + int(size), steps))
        size = min(size * GROWTH, LAST)
    return [slice(*pair) for pair in pairwise(ends)]


def do(tasks, operations: float) -> None:
    """Do all tasks, which threads share; `operations` is of all together."""
    share(lambda some: [task() for task in some], tasks, operations)


def one_after_the_other(first, second, items, operations: float) -> None:
    """first(item) and then second(item) for each item, on two threads if there are two."""
    ready = SimpleQueue()

    def begin():
        done = 0
        try:
            for item in items:
                first(item)
                done += 1
                ready.put(item)
        finally:  # After an error, nobody waits for the rest.
            for _ in items[done:]:
                ready.put(None)

    def follow():
        for _ in items:
            item = ready.get()
            if item is not None:
                second(item)

    do([begin, follow], operations)


def product_gradients(needs, x, before, kernels, of_inputs, of_states):
    """The gradients of x (N, steps, D), its kernel, the recurrent kernel, and of both biases.

    Args:
        needs: which of the five are needed; the others are None.
        x, before: (steps, N, D) and the states before each step (steps, N, U).
        kernels: (D, U) for each part of `of_inputs`.
        of_inputs, of_states: the gradients of both products, (parts, steps, N, U), each with the
            places of its parts among the gates.

    All of it is for threads of ours: a product outside would leave those of OpenBLAS waiting, on
    the cores that ours need next.
    """
    size, tasks, dx = before.shape[-1], [], None
    one = np.ones((1, x.shape[0] * x.shape[1]), x.dtype)
    sums = (flat(x).T, of_inputs), (flat(before).T, of_states), (one, of_inputs), (one, of_states)
    found = [None] * len(sums)
    for i, (factor, (gradient, order)) in enumerate(sums):
        if needs[i + 1]:
            found[i] = np.empty((len(factor), len(order) * size), x.dtype)
            for part, gate in zip(gradient, order, strict=True):
                to = found[i][:, gate * size : (gate + 1) * size]
                tasks.append(partial(np.matmul, factor, flat(part), out=to))
    if needs[0]:
        dx = np.empty(x.shape, x.dtype)

        def some(piece):
            to, parts = flat(dx[piece]), flat(of_inputs[0][:, piece])
            np.matmul(parts[0], kernels[0].T, out=to)
            term = np.empty_like(to)
            for part, kernel in zip(parts[1:], kernels[1:], strict=True):
                to += np.matmul(part, kernel.T, out=term)

        tasks += [partial(some, piece) for piece in pieces(len(x), x[0].size)]
    do(tasks, 2.0 * of_inputs[0].size * (needs[0] + needs[1]) * x.shape[-1])
    biases = [None if b is None else b[0] for b in found[2:]]
    return None if dx is None else dx.swapaxes(0, 1), *found[:2], *biases
