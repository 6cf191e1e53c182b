"""Reverse-mode differentiation: arrays that record what is done to them.

Tapes nest: arrays of an inner tape hold arrays of the outer one, so gradients of gradients come
from the same rules.  An array's `level` says on which tape of the nest it was recorded.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import Token
from functools import cache

import numpy as np

from . import devices, dtypes
from .namespace import RANK, namespace, plain_namespace
from .operators import Operators
from .variable import SCOPE, Scope, Variable

_namespaces: dict[type, object] = {}  # Of recorded arrays, by the plain array's type.


class TapeArray(Operators):
    """An array of the level below together with its place on a tape (None for a constant)."""

    __slots__ = ("__weakref__", "_mask", "index", "tape", "value")
    level = 1
    mask_slot = True

    def __init__(self, value, tape, index=None):
        self.value, self.tape, self.index = value, tape, index

    def __array_namespace__(self, *, api_version=None):
        found = _namespaces.get(type(self.value)) if self.level == 1 else None
        if found is None:
            from .recording import tape_namespace

            found = tape_namespace(namespace(self.value), self.level)
            if self.level == 1:
                _namespaces[type(self.value)] = found
        return found

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)

    @property
    def device(self):
        return devices.home_of(plain(self)).device

    def to_device(self, target, /, *, stream=None):
        raise TypeError("move arrays between devices before they are recorded, not inside a layer.")

    def __bool__(self):
        return bool(self.value)

    def __int__(self):
        return int(self.value)

    def __float__(self):
        return float(self.value)

    def __index__(self):
        return self.value.__index__()

    def __repr__(self):
        return f"TapeArray({self.value!r})"


RANK[TapeArray] = 1


@cache
def tape_array(level: int) -> type[TapeArray]:
    """The class of the arrays that a tape inside `level - 1` others records."""
    if level == 1:
        return TapeArray
    kind = type(f"TapeArray{level}", (TapeArray,), {"__slots__": (), "level": level})
    RANK[kind] = level
    return kind


def is_recorded(x) -> bool:
    """Whether `x` belongs to a tape."""
    return isinstance(x, TapeArray)


def plain(x):
    """The plain array under a recorded one or a Variable; anything else as it is."""
    while True:
        if type(x) is Variable:
            x = x._value
        elif isinstance(x, TapeArray):
            x = x.value
        else:
            return x


def stop_gradient(x):
    """`x` as a constant: nothing before it gets a gradient through it.

    Takes an array or a Variable, gives an array of the same values.
    """
    if type(x) is Variable:
        x = x.value
    return type(x)(x.value, x.tape) if isinstance(x, TapeArray) else x


class Tape:
    """The record of a forward pass, from which gradients are read.

    Args:
        variables: the Variables whose gradients are wanted; by default every trainable one.
        persistent: keep the record after `gradient`, to ask again.

    Within `with Tape() as tape:` Variables are recorded where they are used; other arrays after
    `x = tape.watch(x)`.  A tape inside another gives gradients of gradients.
    """

    def __init__(self, variables=None, persistent: bool = False):
        self._wanted = None if variables is None else {id(v): v for v in variables}
        self.persistent = persistent
        self._nodes: list[tuple] = []  # (first output's index, count or 0, parents, pullbacks)
        self._specs: list[tuple] = []  # (shape, dtype) by index
        # Sources by identity: (Variable or array, index). No TapeArrays: they know their tape, and
        # a circle would keep all that was recorded until the garbage collector comes.
        self._read: dict[int, tuple[Variable, int]] = {}
        self._watched: dict[int, tuple[object, int]] = {}
        # Variables that were read in another dtype, by identity: (dtype, array, index); and the
        # places of their own, whose gradients are cast in the end, all at once.
        self._casts: dict[int, tuple[str, object, int]] = {}
        self._late: set[int] = set()
        self._token: Token | None = None
        self._outer: Tape | None = None
        self._kind = TapeArray

    def __enter__(self):
        if self._token is not None:
            raise RuntimeError("this Tape is already recording: make a new one.")
        scope = SCOPE.get()
        self._outer = None if scope is None else scope.tape
        self._kind = tape_array(1 if self._outer is None else self._outer._kind.level + 1)
        self._token = SCOPE.set(Scope(self) if scope is None else scope.within(self))
        return self

    def __exit__(self, *error):
        SCOPE.reset(self._token)
        self._token = None

    @contextmanager
    def paused(self):
        """Within it, Variables are read as outside of this tape: nothing new is recorded."""
        scope = SCOPE.get()
        token = SCOPE.set(Scope(self._outer) if scope is None else scope.within(self._outer))
        try:
            yield
        finally:
            SCOPE.reset(token)

    def watch(self, x):
        """`x` as an input of the record, whose gradient can be asked for.

        The returned array is to be used (for a Variable: the Variable itself may be used too);
        `gradient` accepts either as a source.
        """
        if type(x) is Variable:
            if self._wanted is not None:
                self._wanted[id(x)] = x
            return self._kind(self._below(x), self, self._new_place(x))
        if isinstance(x, self._kind):
            return x
        watched = self._new(self._lift_below(x))
        self._watched[id(x)] = (x, watched.index)
        return watched

    def constant(self, x):
        """A plain array as one of this tape, without a gradient."""
        return x if type(x) is self._kind else self._kind(self._lift_below(x), self)

    @property
    def is_outermost(self) -> bool:
        """Whether it is inside no other tape."""
        return self._outer is None

    def another(self, kind: type[Tape] | None = None) -> Tape:
        """A new tape, of this or another kind, for the gradients of the same Variables."""
        return (kind or Tape)(None if self._wanted is None else self._wanted.values())

    def position(self) -> tuple[int, int]:
        """Where the record ends now, for `since`."""
        return len(self._nodes), len(self._specs)

    def since(self, position) -> tuple[list, list]:
        """The parents of each node from a position on, and shapes and dtypes of all results."""
        nodes, specs = position
        return [node[2] for node in self._nodes[nodes:]], self._specs[specs:]

    def variables_read(self) -> list[Variable]:
        """The Variables that have been read, of those whose gradients are wanted."""
        return [variable for variable, _ in self._read.values()]

    def read(self, variable: Variable):
        """What a Variable's `value` is while this tape is the innermost."""
        return self._kind(self._below(variable), self, self.place_of(variable))

    def read_cast(self, variable: Variable, scope: Scope):
        """The same in the dtype of a scope: one node for all readings."""
        dtype, short, index = self._casts.get(id(variable), (None, None, None))
        if dtype == scope.autocast:
            return self._kind(short, self, index)
        short, place = scope.short_copy(variable), self.place_of(variable)
        if place is None:
            return self._kind(short, self)
        self._late.add(place)
        made = self.record(short, (place,), lambda g: (g,))
        self._casts[id(variable)] = scope.autocast, short, made.index
        return made

    def place_of(self, variable: Variable) -> int | None:
        """Where a Variable's gradient will be added up; None if it is not wanted."""
        found = self._read.get(id(variable))
        if found is not None:
            return found[1]
        wanted = variable.trainable if self._wanted is None else id(variable) in self._wanted
        return self._new_place(variable) if wanted and dtypes.is_floating(variable._value) else None

    def forget(self, variable: Variable) -> None:
        """A Variable was assigned: its next reading starts anew."""
        self._read.pop(id(variable), None)
        self._casts.pop(id(variable), None)
        if self._outer is not None:
            self._outer.forget(variable)

    def record(self, outs, parents, pullbacks, many=False):
        """Add a node; `outs` is one array, or a tuple of them if `many`."""
        first, specs, kind = len(self._specs), self._specs, self._kind
        if not many:
            specs.append((outs.shape, outs.dtype))
            self._nodes.append((first, 0, parents, pullbacks))
            return kind(outs, self, first)
        specs.extend((out.shape, out.dtype) for out in outs)
        self._nodes.append((first, len(outs), parents, pullbacks))
        return tuple(kind(out, self, first + i) for i, out in enumerate(outs))

    def gradient(self, target, sources, output_gradients=None):
        """Gradients of `target` (of its sum, if it is no scalar) with respect to `sources`.

        Args:
            target: a recorded array of this tape, or a list of them to be added.
            sources: Variables or watched arrays: one, or a list, tuple or dict of them.
            output_gradients: weights of the elements of `target`, of its shape.

        Returns arrays of the sources' shapes and dtypes in the structure of `sources`, None where
        `target` does not depend on a source.  Raises ValueError if the record has been used up,
        TypeError if `target` was not recorded here.
        """
        from .. import tree

        targets = target if isinstance(target, (list, tuple)) else [target]
        weights = output_gradients if isinstance(output_gradients, (list, tuple)) else None
        grads: dict[int, object] = {}
        for i, t in enumerate(targets):
            g = weights[i] if weights is not None else output_gradients
            self._seed(t, g, grads)
        is_flat = type(sources) is list and {*map(type, sources)} <= {Variable}
        places = [self._place(s) for s in (sources if is_flat else tree.flatten(sources))]
        keep = {p for p in places if p is not None}
        if type(targets[0].value) is np.ndarray:
            self._walk(grads, keep)
        else:
            with devices.beside(plain(targets[0])):
                self._walk(grads, keep)
            if self._late:
                self._cast_late(grads, keep)
        found = [None if p is None else grads.get(p) for p in places]
        return found if is_flat else tree.pack_sequence_as(sources, found)

    def _seed(self, target, g, grads):
        if type(target) is not self._kind or target.tape is not self:
            raise TypeError(
                "Tape.gradient: the target was not recorded by this tape. Compute it inside "
                "`with tape:` from Variables or from arrays given to `tape.watch`."
            )
        if target.index is None:
            return
        if not self._nodes and target.index not in self._inputs():
            raise ValueError(
                "Tape.gradient: this record has been used up. Ask for all gradients at once, or "
                "make the tape with persistent=True."
            )
        value, index = target.value, target.index
        if g is None and type(value) is np.ndarray:
            g = np.ones(value.shape, value.dtype)
        else:
            xp = namespace(value)
            g = xp.ones_like(value) if g is None else xp.asarray(plain(g), dtype=value.dtype)
        grads[index] = grads[index] + g if index in grads else g

    def _inputs(self) -> set[int]:
        return {index for _, index in (*self._read.values(), *self._watched.values())}

    def _place(self, source):
        if type(source) is Variable:
            found = self._read.get(id(source))
        elif type(source) is self._kind and source.tape is self:
            return source.index
        else:
            found = self._watched.get(id(source))
        return None if found is None else found[1]

    def _walk(self, grads, keep):
        """Run the record backwards, adding up gradients by index."""
        specs, nodes = self._specs, self._nodes
        pending = list(nodes) if self.persistent else nodes
        if not self.persistent:
            self._casts.clear()  # Their nodes are used up.
        sums = set()  # Places whose gradients are sums made here, to which more may be added.
        while pending:
            first, count, parents, pullbacks = pending.pop()
            if count:
                g = self._collect(grads, first, count, keep, pullbacks)
            elif first in keep:
                g = grads.get(first)
            else:
                g = grads.pop(first, None)
            if g is None:
                continue
            together = pullbacks(g) if callable(pullbacks) else None
            for i, index in enumerate(parents):
                if index is None:
                    continue
                if together is not None:
                    part = together[i]
                else:
                    pullback = pullbacks[i]
                    part = None if pullback is None else pullback(g)
                if part is None:
                    continue
                shape, dtype = specs[index]
                before = grads.get(index)
                if index in self._late:
                    if before is not None:
                        before = grads[index] = _fit(before, shape, dtype)
                        part = _fit(part, shape, dtype)
                elif part.shape != shape or part.dtype != dtype:
                    part = _fit(part, shape, dtype)
                if before is None:
                    grads[index] = part
                elif index in sums:
                    grads[index] = add_to(before, part)
                else:
                    grads[index] = before + part
                    sums.add(index)
            together = part = before = pullbacks = None  # What they held is free for the next.

    def _cast_late(self, grads, keep):
        """Cast the gradients of Variables that were read in other dtypes to their own."""
        from ..ops.casting import cast_all

        late = [p for p in self._late & keep & grads.keys() if grads[p].dtype != self._specs[p][1]]
        for dtype in {self._specs[place][1] for place in late}:
            places = [place for place in late if self._specs[place][1] == dtype]
            made = cast_all(*[grads[place] for place in places], dtype=dtypes.name(dtype))
            grads.update(zip(places, made, strict=True))

    def _collect(self, grads, first, count, keep, pullbacks):
        """Gradients of several outputs; None if there is none at all, else zeros where there is
        none, or None for a pullback that says of itself that it `takes_none`."""
        take = [
            grads.get(i) if i in keep else grads.pop(i, None) for i in range(first, first + count)
        ]
        some = next((g for g in take if g is not None), None)
        if some is None or getattr(pullbacks, "takes_none", False):
            return None if some is None else take
        xp, device = namespace(some), devices.device_of(some)
        return [
            xp.zeros(shape, dtype=dtype, device=device) if g is None else g
            for g, (shape, dtype) in zip(take, self._specs[first : first + count], strict=True)
        ]

    def _new_place(self, variable):
        value = variable._value
        self._specs.append((value.shape, value.dtype))
        place = len(self._specs) - 1
        self._read[id(variable)] = variable, place
        return place

    def _below(self, variable):
        """A Variable's value as the tape around this one sees it."""
        return variable._value if self._outer is None else self._outer.read(variable)

    def _new(self, value):
        self._specs.append((value.shape, value.dtype))
        return self._kind(value, self, len(self._specs) - 1)

    def _lift_below(self, x):
        return x if self._outer is None else self._outer.constant(x)


def add_to(total, part):
    """total + part, where `total` may be overwritten."""
    if type(total) is np.ndarray and total.ndim and total.dtype == part.dtype:
        total += part
        return total
    return total + part


def _fit(g, shape, dtype):
    """Sum and cast a gradient to the shape and dtype of the array it belongs to."""
    xp = namespace(g)
    if g.shape != shape:
        lead = g.ndim - len(shape)
        ones = tuple(i + lead for i, n in enumerate(shape) if n == 1 < g.shape[i + lead])
        if lead or ones:
            g = xp.sum(g, axis=(*range(lead), *ones), dtype=g.dtype)
        g = xp.reshape(g, shape)
    return g if g.dtype == dtype else xp.astype(g, dtype)


def current_tape() -> Tape | None:
    """The innermost tape that records in this thread, or None."""
    scope = SCOPE.get()
    return None if scope is None else scope.tape


def lift(x):
    """A plain array that enters a recorded call becomes a constant of the current tape."""
    if type(x) is TapeArray:
        return x
    tape = current_tape()
    if tape is None or isinstance(x, Variable) or not hasattr(x, "shape"):
        return x
    if isinstance(x, TapeArray) or plain_namespace(x) is not None:
        from .masks import get_mask

        mask = get_mask(x)
        lifted = tape.constant(x)
        if mask is not None and lifted is not x:
            lifted._mask = mask
        return lifted
    return x
