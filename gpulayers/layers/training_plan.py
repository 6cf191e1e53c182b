"""Training without detours: layers one after the other as a single node of the tape.

A recorded call costs more than the arithmetic of a small layer.  Where each layer of a line is one
operation with a version for the arrays' library, the versions follow each other directly, and so do
their pullbacks.  A plan holds as long as no attribute of any layer is set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import activations
from ..arrays import Variable, dtypes
from ..arrays.functions import TABLE
from ..arrays.namespace import NUMPY
from ..arrays.tape import TapeArray
from .plan import needs_full_call, step
from .tracking import STRUCTURE


class Link(NamedTuple):
    """One operation of a line: a primitive's version for arrays of one library.

    run: (x, *values of the variables, needs=one bool for each) -> (y, pullback), where pullback(g)
        gives as many gradients (see `primitive`).
    """

    run: Callable
    variables: tuple[Variable, ...] = ()


class TrainingPlan:
    """What a model does in training to recorded arrays with given sizes after the first axis."""

    __slots__ = ("dtype", "links", "shape", "version")

    def __init__(self, layer, x):
        self.links = links_of(layer, x)
        self.dtype, self.shape, self.version = x.dtype, x.shape[1:], STRUCTURE[0]

    def fits(self, x) -> bool:
        """Whether `x` is an array like the one that this plan was made for."""
        if self.links is None or type(x) is not np.ndarray:
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
        y, places, pullbacks, moves = x, [place], [], place is not None
        for run, variables in self.links:
            values, needs = [y], [moves]
            for variable in variables:
                place = place_of(variable)
                values.append(variable._value)
                places.append(place)
                needs.append(place is not None)
                moves = moves or place is not None
            if moves:
                y, pullback = run(*values, needs=tuple(needs))
                pullbacks.append((pullback, len(needs)))
            else:
                y = run(*values)
        return y, places, _backwards(pullbacks, len(places), keep) if moves else None


def _backwards(pullbacks, count, keep):
    """The pullback of a line; unless it is to `keep` them, each part is free after its turn."""

    def pullback(g):
        waiting, found = list(pullbacks) if keep else pullbacks, []
        while waiting and g is not None:
            part, size = waiting.pop()
            g, *own = part(g)[:size]
            found = own + found
        return [g] + [None] * (count - 1 - len(found)) + found

    return pullback


def links_of(layer, x) -> list[Link] | None:
    """What `layer` does in training to plain arrays like `x`; None if it needs full calls."""
    own = getattr(layer, "_training_links", None)
    if own is None or needs_full_call(layer, x):
        return None
    return own(x)


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
        for operation, variables in links:
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


def function_link(name: str, **options) -> Link:
    """A function of one array of the array API standard."""
    function, rule = getattr(NUMPY, name), TABLE[name].vjp

    def run(x, needs=None):
        out = function(x, **options)
        return out if needs is None else (out, _from_all(rule(NUMPY, out, x, **options), needs))

    return Link(run)


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
    version = activation.version("numpy") if hasattr(activation, "version") else None
    return None if version is None else [Link(version)]
