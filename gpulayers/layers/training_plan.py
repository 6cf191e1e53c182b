"""Training without detours: the layers of a model as a single node of the tape.

A recorded call costs more than the arithmetic of a small layer.  Where each layer of a line or of a
graph is some operations with versions for the arrays' library, the versions follow each other
directly, and so do their pullbacks.  A plan holds as long as no attribute of any layer is set.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from .. import activations
from ..arrays import Variable, dtypes
from ..arrays.functions import TABLE
from ..arrays.namespace import NUMPY
from ..arrays.tape import TapeArray, add_to
from .plan import needs_full_call, step
from .tracking import STRUCTURE


class Link(NamedTuple):
    """One operation: a primitive's version for arrays of one library.

    run: (*arrays, *values of the variables, needs=one bool for each) -> (y, pullback), where
        pullback(g) gives as many gradients (see `primitive`).
    back: how many links before this one gave each of its arrays: 1 is the last.  In front of the
        first link of a layer lie its inputs, in their order.
    """

    run: Callable
    variables: tuple[Variable, ...] = ()
    back: tuple[int, ...] = (1,)


class TrainingPlan:
    """What a model does in training to recorded arrays with given sizes after the first axis."""

    __slots__ = ("dtype", "shape", "steps", "version")

    def __init__(self, layer, x):
        links = links_of(layer, x)
        self.steps = None if links is None else _steps(links)
        self.dtype, self.shape, self.version = x.dtype, x.shape[1:], STRUCTURE[0]

    def fits(self, x) -> bool:
        """Whether `x` is an array like the one that this plan was made for."""
        if self.steps is None or type(x) is not np.ndarray:
            return False
        return x.dtype is self.dtype and x.shape[1:] == self.shape

    def record(self, x):
        """The outputs for a recorded array, as one node of its tape."""
        tape = x.tape
        y, places, pullback = self.run(x.value, x.index, tape.place_of, tape.persistent)
        return TapeArray(y, tape) if pullback is None else tape.record(y, places, pullback)

    def run(self, x, place, place_of, keep=False):
        """The outputs for a plain array, and how gradients go back.

        Args:
            x: what `fits`.
            place: where the gradient of `x` belongs, None if it is not wanted.
            place_of: the same for Variables.
            keep: whether the pullback will be used more than once.

        Returns (outputs, places, pullback): pullback(g) gives a gradient for each of the places,
        which are those of `x` and of all Variables in turn. It is None if there is none to give.
        """
        results, places, pullbacks = [x], [place], []
        moving = [place is not None]
        for run, variables, sources, free in self.steps:
            values = [results[i] for i in sources]
            needs = [moving[i] for i in sources]
            start = len(places)
            for variable in variables:
                place = place_of(variable)
                values.append(variable._value)
                places.append(place)
                needs.append(place is not None)
            moves = True in needs
            if moves:
                y, pullback = run(*values, needs=tuple(needs))
                pullbacks.append((pullback, sources, len(results), start, len(places)))
            else:
                y = run(*values)
            for i in free:
                results[i] = None
            results.append(y)
            moving.append(moves)
        back = _backwards(pullbacks, len(results) - 1, len(places), keep) if moves else None
        return y, places, back


def _steps(links):
    """For each link what it runs, its variables, the numbers of its arrays, and of those that are
    free afterwards; 0 is the input, and each link gives the next."""
    if not links:
        return None
    sources = [tuple([to - b for b in link.back]) for to, link in enumerate(links, 1)]
    last = {i: step for step, own in enumerate(sources) for i in own}
    free = [tuple([i for i in set(own) if last[i] == step]) for step, own in enumerate(sources)]
    return [
        (link.run, link.variables, own, done)
        for link, own, done in zip(links, sources, free, strict=True)
    ]


def _backwards(pullbacks, last, count, keep):
    """The pullback of a plan; unless it is to `keep` them, each part is free after its turn.

    It adds up gradients by the numbers of arrays: of those that several links take, in place from
    the second sum on.
    """

    def pullback(g):
        waiting, found = list(pullbacks) if keep else pullbacks, [None] * count
        grads, sums = {last: g}, set()
        while waiting:
            part, sources, to, start, end = waiting.pop()
            g = grads.pop(to, None)
            if g is None:
                continue
            made = part(g)
            part = g = None
            for i, more in zip(sources, made):
                before = grads.get(i)
                if before is None or more is None:
                    grads[i] = more if before is None else before
                elif i in sums:
                    grads[i] = add_to(before, more)
                else:
                    grads[i] = before + more
                    sums.add(i)
            found[start:end] = made[len(sources) : len(sources) + end - start]
            made = more = before = None
        found[0] = grads.get(0)
        return found

    return pullback


def links_of(layer, *arrays) -> list[Link] | None:
    """What `layer` does in training to plain arrays like these; None if it needs full calls."""
    own = getattr(layer, "_training_links", None)
    if own is None or any(needs_full_call(layer, x) for x in arrays):
        return None
    return own(*arrays)


def links_of_all(layers, x) -> list[Link] | None:
    """The links of layers that follow each other; None if one of them needs full calls."""
    found = []
    for layer in layers:
        links, run = links_of(layer, x), step(layer, x)
        if links is None or run is None:
            return None
        found += links
        x = run(x)
    return found


def without_gradients(links) -> Callable:
    """What the operations of a line give, one after the other, for a plain array."""

    def run(x):
        for operation, variables, _ in links:
            x = operation(x, *[variable._value for variable in variables])
        return x

    return run


def primitive_link(op, x, weights=(), **options) -> Link | None:
    """A primitive of arrays like `x` and of weights, where None stands for one that is missing.

    None if these are not floats of one dtype.
    """
    variables = tuple(w for w in weights if w is not None)
    if not dtypes.is_floating(x) or any(v._value.dtype != x.dtype for v in variables):
        return None
    missing = [i + 1 for i, w in enumerate(weights) if w is None]
    places = [0] + [i + 1 for i, w in enumerate(weights) if w is not None]

    def run(*values, needs=None):
        values = list(values)
        wanted = None if needs is None else list(needs)
        for i in missing:
            values.insert(i, None)
            if wanted is not None:
                wanted.insert(i, False)
        made = in_numpy(op, values, wanted, **options)
        if needs is None or not missing:
            return made
        y, pullback = made
        return y, lambda g: _chosen(pullback(g), places)

    return Link(run, variables)


def function_link(name: str, back=(1,), **options) -> Link:
    """A function of arrays of the array API standard; of several, they have one shape."""
    function, rule = getattr(NUMPY, name), TABLE[name].vjp

    def run(*xs, needs=None):
        out = function(*xs, **options)
        return out if needs is None else (out, _from_all(rule(NUMPY, out, *xs, **options), needs))

    return Link(run, back=back)


def links_between(name: str, count: int) -> list[Link]:
    """A function of two arrays, from the first of so many inputs to the last."""
    first = function_link(name, (count, count - 1))
    return [first, *[function_link(name, (1, count - 1)) for _ in range(count - 2)]]


def _from_all(pullbacks, needs):
    """One pullback for all arguments, of those that there are for each."""
    return lambda g: [p(g) if need else None for p, need in zip(pullbacks, needs, strict=True)]


def _chosen(gradients, places):
    return [gradients[i] for i in places]


def in_numpy(op, arrays, needs, **options):
    """What a version of `op` for NumPy arrays gives; or, for cases left to it, the reference."""
    version = op.version("numpy")
    made = NotImplemented
    if version is not None:
        made = version(*arrays, needs=None if needs is None else tuple(needs), **options)
    if made is not NotImplemented:
        return made
    if needs is None:
        return op.reference(*arrays, **options)
    out = op(*arrays, **options)  # A version may know the result, but not the gradient.
    pullbacks = op._vjp(NUMPY, out, *arrays, **options)
    return out, pullbacks if callable(pullbacks) else _from_all(pullbacks, needs)


def activation_links(activation) -> list[Link] | None:
    """An activation function in training; None for one without a version for NumPy arrays."""
    if activation is activations.linear:
        return []
    curve = activations.CURVES.get(activation)
    if isinstance(curve, partial):
        op, options = curve.func, curve.keywords
        return [Link(lambda x, needs=None: in_numpy(op, [x], needs, **options))]
    version = activation.version("numpy") if hasattr(activation, "version") else None
    return None if version is None else [Link(version)]
